"""A recipe's global batch: divided among devices, and accumulated from parts where memory asks for it."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.training.plan import divided_batch, read_plan
from ascendvsr.weights import load_checkpoint
from tests.ascendvsr.training.test_train import run
from tests.ascendvsr.training.test_train_processes import finish, start
from tests.support import PROJECT


@pytest.fixture
def arguments_of(tmp_path):
    """A maker of the arguments that a script of scripts/ hands to the program, which is not run."""
    house = tmp_path / "house"
    for folder in ("scripts", "configs"):
        shutil.copytree(PROJECT / folder, house / folder)
    python = house / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)

    def arguments(name: str, *given: object) -> list[str]:
        command = ["bash", f"scripts/{name}", *map(str, given)]
        return subprocess.run(command, cwd=house, capture_output=True, text=True, check=True).stdout.splitlines()

    return arguments


def settings_in(arguments: list[str]) -> tuple[str, list[str]]:
    at = arguments.index("--config-file")
    return arguments[at + 1], arguments[at + 2 :]


def test_both_full_recipes_of_the_release_have_the_same_global_batch(arguments_of):
    file, one = settings_in(arguments_of("run_1p_train_precision_overwatch.sh", 0, 1))
    assert divided_batch(load_config(PROJECT / file, one), 1) == (32, [])

    eight = arguments_of("run_8p_train_precision_overwatch.sh")
    (cluster,) = (word for word in eight if word.endswith("8p.json"))
    workers = len(json.loads((PROJECT / cluster).read_text()))
    file, settings = settings_in(eight)
    assert divided_batch(load_config(PROJECT / file, settings), workers) == (32, [])

    file, four = settings_in(arguments_of("run_1p_train_precision_overwatch.sh", 0, 4))
    assert divided_batch(load_config(PROJECT / file, four), 4) == (32, [])


@pytest.mark.parametrize("name", ["rvrt/004_videodeblurring_dvd_16frames", "pvdnet/pvdnet_dvd", "cdvd_tsp/gopro"])
def test_eight_devices_divide_the_batch_of_a_recipe(name: str):
    cfg = load_config(name)
    assert divided_batch(cfg, 1) == divided_batch(cfg, 8) == (8, [])


def test_what_is_said_of_one_device_holds_on_each_and_another_batch_than_the_recipe_s_is_told(settings, capsys):
    recipe = {"data.global_batch_size": 2, "data.train_batch_size": 4}
    size, (note,) = divided_batch(load_config(settings=recipe), 2)
    assert size == 8
    assert "global batch is 8 samples (2 x data.train_batch_size 4), and the recipe's is 2" in note
    run(settings(recipe | {"solver.lr_schedule.total_steps": [2]}))
    assert capsys.readouterr().out.count("and the recipe's is 2") == 1


def test_without_a_recipe_each_device_has_the_release_s_four_samples():
    assert divided_batch(load_config(), 2) == (8, [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.global_batch_size": 32, "rank_size": 5}, "32, which 5 devices cannot share alike"),
        ({"solver.accumulate": 3}, "solver.accumulate is 3, and each device has 4 samples"),
    ],
)
def test_what_cannot_be_shared_is_refused(settings, changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        read_plan(load_config(settings=settings(changes)))


@pytest.mark.slow
def test_eight_parts_of_four_samples_train_as_eight_devices_do(settings, tmp_path):
    recipe = {
        "data.global_batch_size": 32,
        "data.use_transpose": False,
        "solver.lr_schedule.total_steps": [3],
        "solver.checkpoint_interval": 0,
        "solver.grad_clip_norm": 1.0,
    }
    devices = {"output_dir": str(tmp_path / "devices"), "rank_size": 8}
    process = start(settings(recipe | devices))
    run(settings(recipe | {"output_dir": str(tmp_path / "parts"), "solver.accumulate": 8}))
    finish(process)
    expected, found = (load_checkpoint(tmp_path / name / "EDVR-3") for name in ("devices", "parts"))
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=2e-6, err_msg=name)


def test_a_run_that_accumulates_goes_on_as_if_it_had_never_stopped(settings, tmp_path):
    parts = {"data.train_batch_size": 4, "solver.accumulate": 4}
    straight = run(settings(parts | {"output_dir": str(tmp_path / "straight")}))
    resumed = settings(parts | {"output_dir": str(tmp_path / "resumed")})
    shutil.copytree(straight / "EDVR-2", tmp_path / "resumed/EDVR-2")
    run(resumed | {"continue_training": True})
    expected, found = (load_checkpoint(Path(folder) / "EDVR-4") for folder in (straight, tmp_path / "resumed"))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
