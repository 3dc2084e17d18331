"""Training of flow networks: the loss, the data of a configuration, validation, pictures; and real runs."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.flow import training as flow
from ascendvsr.training.plan import read_plan
from tests.ascendcv.dataloader.flow_sets import HEIGHT, WIDTH, make_flying_chairs, make_sintel
from tests.ascendvsr.models.training_parts import inputs_of, training_of
from tests.support import PROJECT, command_line


class Constant:
    """A flow network that answers (2, 1) pixels everywhere."""

    div_flow = 1.0  # the unit in which it warps, as the released training had it

    def __call__(self, frames, training=False):
        batch, height, width, _ = frames[0].shape
        return tf.broadcast_to([2 * flow.DIV_FLOW, flow.DIV_FLOW], (batch, height, width, 2))

    def levels(self, frames):
        batch, height, width, _ = frames[0].shape
        return [self(tf.zeros((1, batch, -(-height // 2**n), -(-width // 2**n), 3))) for n in range(6, 1, -1)]


@pytest.fixture(scope="module")
def data(tmp_path_factory, photograph) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("flow")
    return {
        "flow.train_dir": str(make_flying_chairs(folder / "chairs/data", photograph, count=5)),
        "flow.train_split": str(folder / "chairs/split.txt"),
        "flow.eval_dir": str(make_sintel(folder / "sintel", photograph)),
    }


@pytest.fixture
def config(data, tmp_path):
    settings = data | {"data.train_batch_size": 2, "output_dir": str(tmp_path / "run")}
    return load_config(PROJECT / "configs/deblur_devil/pwcnet_flyingchairs.yaml", settings=settings)


@pytest.mark.parametrize("name", ["pwcnet", "flownet1s"])
def test_the_recipe_is_the_paper_s(name):
    cfg = load_config(PROJECT / f"configs/deblur_devil/{name}_flyingchairs.yaml")
    schedule, optimizer = cfg.solver.lr_schedule, cfg.solver.optimizer
    assert (schedule.type, schedule.unit, schedule.base_lr) == ("MultiStep", "epochs", 1e-4)
    assert (schedule.total_steps, schedule.milestones, schedule.gamma) == ([216], [108, 144, 180], 0.5)
    assert (optimizer.type, optimizer.weight_decay, cfg.data.global_batch_size) == ("Adam", 4e-4, 8)


def test_the_loss_reports_errors_in_pixels():
    batch = {"lq": tf.zeros((2, 2, 64, 64, 3)), "flow": tf.broadcast_to([2.0, 4.0], (2, 64, 64, 2))}
    loss, report, _ = flow.FlowUpdates().loss(Constant(), batch, tf.constant(0), ())
    assert list(report) == [f"epe/level{level}" for level in (6, 5, 4, 3, 2)]
    np.testing.assert_allclose(list(report.values()), 3.0, rtol=1e-5)
    pixels = [(64 // 2**level) ** 2 for level in (6, 5, 4, 3, 2)]
    expected = 2 * sum(0.15 * w * n for w, n in zip((0.32, 0.08, 0.02, 0.01, 0.005), pixels, strict=True))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_batches_are_of_the_training_part(config):
    batch = next(iter(training_of(config).batches((0, 1), 2, 0)))
    assert batch["lq"].shape == (2, 2, HEIGHT, WIDTH, 3)
    assert read_plan(config).steps_per_epoch == 2  # of five pairs one is for validation


def test_validation_is_the_mean_error_on_sintel(config):
    assert training_of(config).scores(Constant()) == {"epe": pytest.approx(0, abs=1e-5)}


def test_the_picture_shows_frames_flow_and_true_flow(config):
    batch = {"lq": tf.ones((1, 2, 8, 10, 3)), "flow": tf.broadcast_to([2.0, 1.0], (1, 8, 10, 2))}
    picture = training_of(config).picture(Constant(), batch)
    assert (picture.shape, picture.dtype) == ((8, 40, 3), np.uint8)
    np.testing.assert_array_equal(picture[:, :20], 255)
    np.testing.assert_array_equal(picture[:, 20:30], picture[:, 30:])


def test_sets_that_are_not_there_are_refused(data):
    cfg = load_config(settings=data | {"model.name": "PWCNet", "flow.train_dir": "none"})
    with pytest.raises(InputError, match="there is no folder none; it should be FlyingChairs_release/data"):
        inputs_of(cfg)
    changes = {"model.name": "PWCNet", "flow.eval_dir": "none", "solver.validation_interval": 5}
    cfg = load_config(settings=data | changes)
    with pytest.raises(InputError, match="there is no folder none/training/clean"):
        inputs_of(cfg)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pwcnet", "flownet1s"])
def test_a_run_learns_is_validated_and_goes_on(tmp_path: Path, data, name):
    """The error on the pairs that it trains on falls; a second process goes on where the first one ended."""
    settings = {
        "output_dir": tmp_path / "run",
        **data,
        "flow.affine": False,
        "flow.colors": False,
        "data.train_batch_size": 2,
        "solver.lr_schedule.unit": "steps",
        "solver.lr_schedule.milestones": [],
        "solver.print_interval": 1,
        "solver.sample_interval": 20,
        "solver.validation_interval": 20,
        "solver.validation_epochs": 0,
        "solver.checkpoint_epochs": 0,
        "solver.checkpoint_interval": 20,
    }

    def train(steps: int, **more) -> None:
        pairs = [str(part) for pair in (settings | more).items() for part in pair]
        command = command_line(
            "train", "--config-file", PROJECT / f"configs/deblur_devil/{name}_flyingchairs.yaml", *pairs
        )
        command += ["solver.lr_schedule.total_steps", str([steps])]
        process = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=1200)
        assert process.returncode == 0, process.stderr

    train(20)
    train(40, continue_training=True)
    rows = (tmp_path / "run/log/log.csv").read_text().splitlines()
    columns = rows[0].split(",")
    loss = [float(row.split(",")[columns.index("loss")]) for row in rows[1:]]
    assert np.mean(loss[-5:]) < 0.5 * np.mean(loss[:5])
    assert "val/epe" in columns
    newest = max((tmp_path / "run").glob("*-40"))
    assert json.loads((newest / "meta.json").read_text())["step"] == 40
    assert list((tmp_path / "run/sample").iterdir())
