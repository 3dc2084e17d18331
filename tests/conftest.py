"""What many tests share: photographs as frames, a small checkpoint, the real command in a real process."""

import contextlib
import ctypes
import gc
import importlib.util
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.browser import find_browser
from tests.support import PROJECT, TINY_EDVR, command_line

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "only the tests that need one of these, comma-separated; it is an error if it is not installed"
    parser.addoption("--need", default="", metavar="NAME", help=text)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the tests that `--need` asks for."""
    if asked := _asked(config):
        chosen = [item for item in items if asked & _needs(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test marked `needs(NAME, ...)` where one is missing; fails it where `--need` asked for that one."""
    missing = {name for name in _needs(item) if not _is_here(name)}
    if missing:
        fate = pytest.fail if missing & _asked(item.config) else pytest.skip
        fate(f"needs {' and '.join(sorted(missing))}, which is not installed")


def _asked(config: pytest.Config) -> set[str]:
    return set(filter(None, config.getoption("--need").split(",")))


def _needs(item: pytest.Item) -> set[str]:
    return {name for mark in item.iter_markers("needs") for name in mark.args}


def _is_here(name: str) -> bool:
    """Whether the browser is, or the module of this name."""
    return find_browser() is not None if name == "chromium" else importlib.util.find_spec(name) is not None


@pytest.fixture(scope="session")
def photograph() -> np.ndarray:
    """The astronaut portrait (NASA, public domain): [512, 512, 3] uint8."""
    from skimage import data

    return data.astronaut()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data sets that scripts/make_sample.py makes; to be read only."""
    from ascendvsr.demonstration import sample as make_sample

    folder = tmp_path_factory.mktemp("data") / "sample"
    assert make_sample.main([str(folder)]) == 0
    return folder


@pytest.fixture
def frame_folder(tmp_path: Path, photograph: np.ndarray) -> Callable[..., Path]:
    """A maker of folders with `count` PNG frames, a pan over the photograph."""
    from PIL import Image

    def make(name: str = "clip", count: int = 7, height: int = 32, width: int = 40) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for index in range(count):
            top, left = 100 + 2 * (index % 50), 180 + 3 * (index % 50)
            crop = photograph[top : top + height, left : left + width]
            Image.fromarray(crop).save(folder / f"{index:08d}.png")
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_edvr_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained EDVR with 8 channels, as .weights.h5."""
    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.weights import save_weights

    path = tmp_path_factory.mktemp("weights") / "tiny.weights.h5"
    save_weights(build_model(load_config(settings=TINY_EDVR)), path)
    return path


@pytest.fixture
def ascendvsr(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Runs the command in a process of its own; results go below the test's own folder."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess:
        command = [*command_line(*arguments), "output_dir", str(tmp_path / "outputs")]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300, **options)

    return run


@pytest.fixture
def freed_memory() -> Iterator[None]:
    """For tests of whole networks: what a test held goes back to the system, which workers share."""
    import keras

    yield
    keras.backend.clear_session()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # the C library of Linux alone keeps so much to itself
        ctypes.CDLL("libc.so.6").malloc_trim(0)
