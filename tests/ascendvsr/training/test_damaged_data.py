"""A frame that turns out to be damaged while a run goes on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ascendcv.runner.checkpoint import CheckpointStore
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.training.run import train

Settings = Callable[..., dict[str, object]]


@pytest.fixture
def damaged(training_set: Path, tmp_path: Path, settings: Settings) -> Settings:
    """A maker of settings for the training set with one file whose header is right and whose pixels are not."""

    def make(name: str, changes: dict[str, object]) -> dict[str, object]:
        data_dir = tmp_path / "set"
        if not data_dir.exists():
            shutil.copytree(training_set, data_dir)
        path = data_dir / "images" / name
        data = path.read_bytes()
        path.write_bytes(data[:60] + bytes(60) + data[120:])
        few = {
            "data.train_batch_size": 1,
            "solver.lr_schedule.total_steps": [10],
            "solver.checkpoint_interval": 100,
        }
        return settings({"data.data_dir": str(data_dir)} | few | changes)

    return make


def test_its_samples_are_replaced_and_the_run_reaches_its_end(damaged: Settings, capsys):
    cfg = load_config(settings=damaged("001/truth/00000002.png", {}))
    train(cfg)
    log = next(Path(cfg.output_dir, "log").glob("train-*.log")).read_text()
    assert "is replaced by another one (1 so far): " in log
    assert "images/001/truth/00000002.png is no readable image" in log
    assert "Done at step 10" in log


def test_where_that_is_said_the_run_stops_with_its_state_saved_and_can_go_on(damaged: Settings, tmp_path: Path):
    given = damaged("001/truth/00000002.png", {"data.on_error": "stop"})
    cfg = load_config(settings=given)
    with pytest.raises(
        InputError, match=r"001/truth/00000002\.png is no readable image .*data\.on_error replace"
    ) as said:
        train(cfg)
    steps = CheckpointStore(cfg.output_dir, "EDVR").steps()
    assert steps
    assert f"(the state of step {steps[-1]} is saved)" in str(said.value)
    train(load_config(settings=given | {"data.on_error": "replace", "continue_training": True}))
    assert CheckpointStore(cfg.output_dir, "EDVR").steps()[-1] == 10


def test_a_damaged_frame_of_the_validation_is_named_and_the_state_saved(damaged: Settings):
    cfg = load_config(settings=damaged("000/blur4/00000001.png", {"solver.validation_interval": 3}))
    with pytest.raises(
        InputError, match=r"000/blur4/00000001\.png is no readable image .*\(the state of step 3 is saved\)"
    ):
        train(cfg)
    assert CheckpointStore(cfg.output_dir, "EDVR").steps() == [3]
