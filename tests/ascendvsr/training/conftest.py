"""A training set and a network as small as they come."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import write_image

# One residual block, one frame a window, no attention: what the trainer does around it is the same.
SETTINGS = {
    "device": "cpu",
    "model.num_frames": 1,
    "edvr.with_tsa": False,
    "edvr.mid_channels": 8,
    "edvr.num_deform_groups": 2,
    "edvr.num_blocks_extraction": 1,
    "edvr.num_blocks_reconstruction": 1,
    "edvr.loss_type": "charbonnier",
    "data.train_in_size": [16, 16],
    "data.train_data_queue_size": 4,
    "solver.lr_schedule.total_steps": [4],
    "solver.lr_schedule.restart_weights": [1.0],
    "solver.print_interval": 1,
    "solver.checkpoint_interval": 1,
}


@pytest.fixture(scope="session")
def training_set(tmp_path_factory: pytest.TempPathFactory, photograph: np.ndarray) -> Path:
    """Two clips of five frames, 20x24, as the set train.json, and one of three frames as val.json."""
    return write_set(tmp_path_factory.mktemp("reds"), photograph, 20, 24)


def write_set(folder: Path, photograph: np.ndarray, height: int, width: int) -> Path:
    """Writes such a set with frames of any size."""
    (folder / "sets").mkdir()
    for set_name, names, count in (("train", ("001", "002"), 5), ("val", ("000",), 3)):
        for name in names:
            for index in range(count):
                top, left = 60 * int(name) + 2 * index, 150 + 3 * index
                truth = photograph[top : top + 4 * height, left : left + 4 * width]
                write_image(folder / f"images/{name}/truth/{index:08d}.png", truth)
                write_image(folder / f"images/{name}/blur4/{index:08d}.png", imresize(truth, 0.25))
        shapes = {"gt_shape": [4 * height, 4 * width], "x4_shape": [height, width]}
        videos = [{"name": name, **shapes, "nframes": count} for name in names]
        description = {"prefix": False, "gt_folder": "truth", "x4_folder": "blur4", "videos": videos}
        (folder / f"sets/{set_name}.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def settings(training_set: Path, tmp_path: Path) -> Callable[..., dict[str, object]]:
    """A maker of settings for a training run into `tmp_path`/outputs; changes come as a dictionary."""

    def make(changes: dict[str, object] | None = None) -> dict[str, object]:
        places = {"data.data_dir": str(training_set), "output_dir": str(tmp_path / "outputs")}
        return SETTINGS | places | (changes or {})

    return make
