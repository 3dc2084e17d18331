"""The scripts of the TensorFlow release: what they ask the program to do."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ascendvsr.commands import _frozen_as
from ascendvsr.config import load_config
from tests.support import PROJECT


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., list[str]]:
    """A maker of the arguments that a script hands to the program, which is not run."""
    shutil.copytree(PROJECT / "scripts", tmp_path / "scripts")
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    python.chmod(0o755)

    def arguments(name: str, *given: object, **environment: str) -> list[str]:
        command = ["bash", f"scripts/{name}", *map(str, given)]
        options = {"cwd": tmp_path, "capture_output": True, "text": True, "env": os.environ | environment}
        return subprocess.run(command, check=True, **options).stdout.splitlines()

    return arguments


@pytest.mark.parametrize(
    ("name", "given"),
    [("run_evaluation.sh", (0, "EDVR-5")), ("run_inference.sh", (0, "EDVR-5")), ("run_freeze.sh", ("EDVR-5",))],
)
def test_a_checkpoint_s_own_run_or_config_says_the_settings(asked, name: str, given: tuple):
    assert "--config-file" not in asked(name, *given, CONFIG="")
    words = asked(name, *given, "device=cpu", CONFIG="configs/edvr_sample.yaml")
    assert words[words.index("--config-file") + 1] == "configs/edvr_sample.yaml"
    assert words[-1] == "device=cpu"


def test_training_scripts_force_no_interval_over_the_configuration(asked):
    for words in (
        asked("run_1p_train.sh", 3, 2),
        asked("run_8p_train.sh"),
        asked("run_1p_train_precision_overwatch.sh", 0, 1),
    ):
        assert not [word for word in words if "interval" in word]
    assert asked("run_1p_train.sh", 3, 2)[-4:] == ["device_ids", "[3]", "rank_size", "2"]


def test_freeze_says_what_it_chose_and_how_to_take_the_others(asked):
    words = asked("run_freeze.sh", "EDVR-5")
    settings = words[words.index("freeze") + 1 :]
    assert _frozen_as(load_config(None, settings)) == [
        "batch: any number of windows (data.eval_batch_size 1 fixes it)",
        "input: [N*T,H,W,C], the frames of a window one after the other "
        "(model.input_format_dimension 5: [N,T,H,W,C])",
        "output: uint8 (model.convert_output_to_uint8 False: float32 as the network gives it)",
    ]
    changed = [
        "data.eval_batch_size",
        "2",
        "model.input_format_dimension",
        "5",
        "model.convert_output_to_uint8",
        "False",
    ]
    assert _frozen_as(load_config(None, [*settings, *changed])) == [
        "batch: 2 windows (data.eval_batch_size -1: any number)",
        "input: [N,T,H,W,C] (model.input_format_dimension 4: [N*T,H,W,C], frames folded into the batch)",
        "output: float32 as the network gives it (model.convert_output_to_uint8 True: uint8)",
    ]
