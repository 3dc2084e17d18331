"""A recipe's second stage, without the weights of its first, says what to do."""

import pytest

from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.training.first_stage import require_first_stage


@pytest.mark.parametrize(
    ("recipe", "first"),
    [
        ("edvr/edvr_m_x4_sr_reds", "edvr/edvr_m_x4_sr_reds_wotsa"),
        ("edvr/edvr_l_x4_sr_reds", "edvr/edvr_l_x4_sr_reds_wotsa"),
        ("rvrt/002_videosr_bi_vimeo_14frames", "rvrt/001_videosr_bi_reds_30frames"),
        ("tiny/denoise_tiny_2", "tiny/denoise_tiny"),
    ],
)
def test_the_recipe_of_the_first_stage_is_named(recipe, first, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = load_config(recipe)
    with pytest.raises(InputError) as refusal:
        require_first_stage(cfg)
    message = str(refusal.value)
    assert f"init_from is {cfg.init_from}, which is not there" in message
    assert f"`ascendvsr train --config-file {first}`" in message
    assert "init_from ''" in message
    assert "\n" not in message


def test_published_weights_are_named_where_there_are_any(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="published ones: edvr_"):
        require_first_stage(load_config("edvr/edvr_l_x4_sr_reds"))


def test_a_first_stage_that_ended_elsewhere_is_named(tmp_path):
    for step in (500, 4000):
        CheckpointStore(tmp_path / "first", "EDVR").write(step, lambda folder: {})
    cfg = load_config(settings={"init_from": str(tmp_path / "first/EDVR-600000")})
    with pytest.raises(InputError, match=r"the newest checkpoint of that run is .*first/EDVR-4000; say init_from"):
        require_first_stage(cfg)


def test_weights_that_are_there_or_published_or_not_asked_for_are_fine(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"")
    for value in ("", str(tmp_path / "weights.pth"), "edvr_m_x4_reds"):
        require_first_stage(load_config(settings={"init_from": value}))


def test_train_says_so_before_tensorflow_starts(ascendvsr, tmp_path):
    recipe = ("--config-file", "rvrt/002_videosr_bi_vimeo_14frames")
    done = ascendvsr("train", *recipe, "init_from", tmp_path / "a/RVRT-1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "init_from is" in done.stderr
    assert "which is not there" in done.stderr
