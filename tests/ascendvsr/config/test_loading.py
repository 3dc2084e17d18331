"""Settings: YAML files, overrides, and what is refused."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import literal_path
from ascendvsr.config import load_config, save_config
from tests.support import command_line

CONFIGS = sorted(Path("configs").rglob("*.yaml"))
WORDS = ["yes", "1.10", "1:30", "null", "~", "0x1F", "2020-01-01"]
INF = float("inf")


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
        ("data.hold_out", "[000, 011]", ["000", "011"]),
        ("data.hold_out", "[yes, 1.10, 1:30, null, '~', 0x1F, 2020-01-01]", WORDS),
        ("data.train_set", "on", "on"),
        ("solver.lr_schedule.milestones", "[1e4, 020]", [10000, 20]),
        ("solver.xla", "yes", True),
        ("init_from", "None", ""),
        ("eval.protocol", "null", ""),
        ("edvr.loss_type", "marginal_l1", "marginal l1"),
        ("data.noise.noise_type", "gaussian process", "gaussian process"),
        ("model.name", "LiteFlowNet", "BIMNet"),
        ("solver.param_groups", "[{pattern: 010, freeze_until: .inf}]", [{"pattern": "010", "freeze_until": INF}]),
    ],
)
def test_values_are_read_as_the_type_of_the_key(key, text, value, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(f"{key}: {text}\n")
    for config in (load_config(None, [key, text]), load_config(file)):
        found = value_of(config, key)
        assert found == value
        assert type(found) is type(value)


def value_of(config, key: str):
    for name in key.split("."):
        config = config[name]
    return config


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
        (
            ["solver.lr_schedule.total_steps", "[10]"],
            "1 and 4 .total_steps: the command line; restart_weights: the",
        ),
        (["device_ids", "[0, 1, 0]"], r"device_ids is \[0, 1, 0\]; it should name a device once .the command line"),
        (["data.train_in_size", "[a, b]"], "data.train_in_size"),
        (["data.train_in_size", "[0, 0]"], "item .number 1. that is 0; it should be from 1 to 1000000"),
        (["data.hold_out", "000"], "data.hold_out should be a list"),
        (["data.hold_out", ""], "data.hold_out should be a list, each item text, not nothing"),
        (["data.train_in_size", "[" * 3000], "more than 20 lists and sections stand inside of each other"),
        (["random_seed", "9" * 6000], "random_seed should be a whole number, not '9999"),
        (["random_seed", "2020-13-45"], "random_seed should be a whole number, not '2020-13-45'"),
        (["random_seed", "0x_"], "random_seed should be a whole number, not '0x_'"),
        (["random_seed", "True"], "random_seed should be a whole number, not 'True'"),
        (["random_seed", "-1"], "random_seed is -1; it should be from 0 to 2147483647 .the command line."),
        (["solver.keep_checkpoints", "-1"], "solver.keep_checkpoints is -1; it should be from 0"),
        (["solver.grad_clip_norm", "-1"], "solver.grad_clip_norm is -1.0; it should be from 0 to"),
        (["solver.ema_decay", "1.5"], "solver.ema_decay is 1.5; it should be from 0 to 0.9999999"),
        (["solver.lr_schedule.base_lr", ".nan"], "solver.lr_schedule.base_lr is nan; it should be from 0"),
        (["data.num_threads", "0"], "data.num_threads is 0; it should be from 1"),
        (["data.train_batch_size", "0"], "data.train_batch_size is 0; it should be from 1"),
        (["model.name", "XYZ"], "model.name is 'XYZ'; it should be one of: EDVR, "),
        (["output_dir", "$NOT_SET_HERE/a"], r"output_dir is '\$NOT_SET_HERE/a', and \$NOT_SET_HERE is not set"),
        (["solver.param_groups", "[{lr_mult: 2}]"], "solver.param_groups has an item .* that has no pattern"),
        (["solver.param_groups", "[{pattern: a, lr: 2}]"], "that has 'lr'; it should have pattern, lr_mult"),
        (["solver.param_groups", "[{pattern: a, pattern: b}]"], "that has 'pattern' twice"),
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
        ("just words", "should hold `key: value` lines, not 'just words'"),
        ("[1, 2]", "should hold `key: value` lines, not a list"),
        ("\nedvr: {mid_channels: many}", "should be a whole number, not 'many'; from 1 to .*, line 2"),
        (
            "data:\n  hold_out:\n  - '000'\n  - [a]",
            r"an item .number 2. that should be text, not a list .*, line 2",
        ),
        ("edvr: {num_in_ch: 3}\ndata:\nedvr: {mid_channels: 8}", "section 'edvr' stands twice .* 1 and in line 3"),
        ("edvr:\n  hr_in: True\n  hr_in: False", "key 'edvr.hr_in' stands twice in .*: in line 2 and in line 3"),
        ("edvr.hr_in: True\nedvr: {hr_in: False}", "key 'edvr.hr_in' stands twice in .*: in line 1 and in line 2"),
        ("mode: eval\nmode: eval", "key 'mode' stands twice in .*: in line 1 and in line 2"),
        ("base: a.yaml\nbase: b.yaml", "key 'base' stands twice in .*: in line 1 and in line 2"),
        ("edvr: 5", "edvr is a section, which has settings, not '5' .*, line 1"),
        ("edvr: [1]", "edvr is a section, which has settings, not a list .*, line 1"),
        ("device: {cpu: 1}", "device should be one of: auto, cpu, gpu, npu, not a section .*, line 1"),
        ("data: {hold_out: }", "data.hold_out should be a list, each item text, not nothing .*, line 1"),
        ("base: 5", r"no configuration file .*5; .* .base of .*bad.yaml, line 1."),
        ("base: [a.yaml]", "base should be the path of one file, not a list .*, line 1"),
        ("base: bad.yaml", "bad.yaml is its own base: .*bad.yaml -> .*bad.yaml"),
        ("a: " + "[" * 3000, "line 1: more than 20 lists and sections stand inside of each other"),
        ("{a: " * 3000, "line 1: more than 20 lists and sections stand inside of each other"),
        ("".join(" " * level + "a:\n" for level in range(500)), "line 21: more than 20 lists and sections"),
        ("edvr: &a [*a]", "line 1: the alias 'a' contains itself"),
        ("edvr: &a {b: *a}", "line 1: the alias 'a' contains itself"),
        ("edvr: *a", "line 1: the alias 'a' is not defined"),
        ("a: &a0 [1, 1]\n" + "".join(f"b{i}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(24)), "100000 entries"),
        ("x" * 300_000, "has more than the 262144 bytes of a configuration"),
        ("mode: eval\n---\nmode: eval", "line 2: a second document begins"),
        ("random_seed: !!python/object/apply:os.getpid []", "line 1: .*the type of a value is that of its key"),
        ("? [a]\n: 1", "line 1: a key should be a word"),
        ("edvr: {<<: {hr_in: True}}", "line 1: `<<` is not read: say `base: OTHER.yaml`"),
        ("a: &a {mode: eval}\nb: *a", "unknown key 'a' in .*, line 1"),
        ("%YAML " + "9" * 6000 + ".1\n---\nmode: eval", "is not valid YAML"),
        ('mode: "\\UFFFFFFFF"', "is not valid YAML"),
        ("\0", "is not valid YAML"),
        ("k" * 200_000 + ": 1", "is not valid YAML: line 1"),
        ("? " + "k" * 200_000 + "\n: 1", "unknown key 'kkkk"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as error:
        load_config(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "# nothing\n", "edvr:\n", "edvr: {}\ndata: ~\n", "base:\n", "---\n"])
def test_an_empty_file_and_an_empty_section_change_nothing(content, tmp_path):
    (tmp_path / "a.yaml").write_text(content)
    assert load_config(tmp_path / "a.yaml") == load_config()


def test_a_cycle_of_bases_is_shown(tmp_path):
    for name, base in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{name}.yaml").write_text(f"base: {base}.yaml\n")
    with pytest.raises(InputError, match=r"its own base: .*a\.yaml -> .*b\.yaml -> .*c\.yaml -> .*a\.yaml"):
        load_config(tmp_path / "a.yaml")


def test_a_base_may_be_one_of_the_projects_own(tmp_path):
    (tmp_path / "a.yaml").write_text("base: edvr/edvr_m_x4_sr_reds\nrandom_seed: 7\n")
    config = load_config(tmp_path / "a.yaml")
    assert config.random_seed == 7
    assert config.edvr == load_config("configs/edvr/edvr_m_x4_sr_reds.yaml").edvr


@pytest.mark.parametrize("path", ["configs/edvr", "/dev/zero", "a\nb", "x" * 5000, "$NOT_SET_HERE/a.yaml"])
def test_what_is_no_file_of_settings_is_refused(path):
    with pytest.raises(InputError) as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"mode: \xff\xfe")
    with pytest.raises(InputError, match=r"a\.yaml is no configuration: byte 6 is not UTF-8 text"):
        load_config(tmp_path / "a.yaml")


def test_home_and_variables_in_paths_are_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("RUNS", "/runs")
    (tmp_path / "a.yaml").write_text("output_dir: $RUNS/a\ndata: {data_dir: ~/reds}\ninit_from: None\n")
    config = load_config(tmp_path / "a.yaml", ["checkpoint", "~/${RUNS}/$$RUNS"])
    assert (config.output_dir, config.data.data_dir, config.init_from) == ("/runs/a", "/home/me/reds", "")
    assert config.checkpoint == "/home/me//runs/$RUNS"


@settings(deadline=None, max_examples=50)
@given(
    text=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60), names=st.lists(st.text("0123.:e~x"))
)
def test_whatever_a_text_is_a_saved_configuration_gives_it_back(text, names, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "saved.yaml"
    texts = {"solver.notify_command": text, "data.lq_folder": text, "checkpoint": literal_path(text)}
    config = load_config(settings=texts | {"data.hold_out": names})
    save_config(config, path)
    assert load_config(path) == config


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match=r"no configuration file nowhere\.yaml"):
        load_config("nowhere.yaml")


def test_the_projects_own_files_are_found_by_name(monkeypatch, tmp_path):
    expected = load_config("configs/edvr/edvr_m_x4_sr_reds.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_config("edvr/edvr_m_x4_sr_reds") == expected
    assert load_config("configs/edvr/edvr_m_x4_sr_reds.yaml") == expected
    with pytest.raises(InputError, match=r"nearest: edvr/edvr_m_x4_sr_reds"):
        load_config("edvr/edvr_m_x4_sr_red")


def test_a_loaded_tree_cannot_be_changed_by_accident():
    with pytest.raises(AttributeError):
        load_config().device = "cpu"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cost", "model.name", "XYZ"], "model.name is 'XYZ'; it should be one of: EDVR, "),
        (["cost", "edvr.center_frame_idx", "9"], "edvr.center_frame_idx is 9, and a window has"),
        (["train", "solver.keep_checkpoints", "-1"], "solver.keep_checkpoints is -1; it should be from 0"),
        (["eval", "--config", "edvr/edvr_m_x4_sr_red"], "no configuration file edvr/edvr_m_x4_sr_red; "),
        (["train", "--config", "broken.yaml"], "broken.yaml is its own base"),
    ],
)
def test_a_command_refuses_in_one_line_with_status_2_before_tensorflow_starts(arguments, message, tmp_path):
    (tmp_path / "broken.yaml").write_text("base: broken.yaml\n")
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command_line(*arguments), cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
    assert message in result.stderr
