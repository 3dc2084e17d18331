"""Settings: YAML files, overrides, and what is refused."""

from pathlib import Path

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config, save_config

CONFIGS = sorted(Path("configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=str)
def test_every_configuration_of_the_project_loads_and_dumps_to_itself(path, tmp_path):
    config = load_config(path)
    save_config(config, tmp_path / "dumped.yaml")
    assert load_config(tmp_path / "dumped.yaml") == config


def test_overrides_win_over_the_file_and_settings_stand_between(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("edvr: {mid_channels: 8, num_blocks_extraction: 1}\n")
    config = load_config(path, ["edvr.mid_channels", "32"], {"edvr.mid_channels": 16, "model.num_frames": 7})
    assert (config.edvr.mid_channels, config.edvr.num_blocks_extraction, config.model.num_frames) == (
        32,
        1,
        7,
    )


def test_a_file_may_say_only_what_differs_from_its_base(tmp_path):
    (tmp_path / "base.yaml").write_text("edvr: {mid_channels: 8}\ndata: {num_threads: 3}\n")
    (tmp_path / "child.yaml").write_text("base: base.yaml\ndata: {num_threads: 5}\n")
    config = load_config(tmp_path / "child.yaml")
    assert (config.edvr.mid_channels, config.data.num_threads) == (8, 5)


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("solver.lr_schedule.base_lr", "1", 1.0),
        ("solver.lr_schedule.base_lr", "1e-4", 1e-4),
        ("solver.lr_schedule.restart_weights", "[1, 1, 1, 0.5]", [1.0, 1.0, 1.0, 0.5]),
        ("edvr.center_frame_idx", "1", 1),
        ("edvr.center_frame_idx", "null", None),
        ("data.eval_in_size", "[-1, -1]", [-1, -1]),
        ("solver.loss_scale", "off", "off"),
        ("checkpoint", "123", "123"),
        ("model.size", "crop", "crop"),
    ],
)
def test_values_are_read_as_the_type_of_the_key(key, text, value):
    config = load_config(None, [key, text])
    for name in key.split("."):
        config = config[name]
    assert config == value
    assert type(config) is type(value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["edvr.mid_channel", "64"], "unknown key 'edvr.mid_channel'.*nearest one is 'edvr.mid_channels'"),
        (["edvr", "64"], "unknown key 'edvr'"),
        (["edvr.mid_channels", "many"], "edvr.mid_channels.*should be a whole number, not 'many'"),
        (["edvr.mid_channels", "1.5"], "should be a whole number"),
        (["solver.xla", "maybe"], "solver.xla.*should be True or False"),
        (["device", "tpu"], "device is 'tpu'; it should be one of: auto, cpu, gpu, npu"),
        (["edvr.num_groups", "2"], "edvr.num_groups is 2.*one group"),
        (["edvr.dcn_version", "v1"], "edvr.dcn_version is 'v1'.*v2"),
        (["edvr.mid_channels"], "KEY VALUE pairs"),
        (["solver.lr_schedule.total_steps", "[10]"], "one entry a period"),
        (["data.train_in_size", "[a, b]"], "data.train_in_size"),
    ],
)
def test_what_cannot_be_is_refused_by_name(overrides, message):
    with pytest.raises(InputError, match=message):
        load_config(None, overrides)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("edvr: {mid_channel: 64}", "unknown key 'edvr.mid_channel' in .*nearest one is 'edvr.mid_channels'"),
        ("edvr: [", "is not valid YAML"),
        ("just words", "should hold `key: value` lines"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        load_config(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match=r"no configuration file nowhere\.yaml"):
        load_config("nowhere.yaml")


def test_a_loaded_tree_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        load_config().device = "cpu"
