"""What the official implementations computed is what this project computes, on every backend of Keras."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.golden.case import case_files
from tests.golden.run import run_file
from tests.support import BACKENDS, PROJECT

pytestmark = pytest.mark.usefixtures("freed_memory")

VECTORS = PROJECT / "tests/golden/vectors"
FAMILIES = sorted(folder.name for folder in VECTORS.iterdir())
SLOW = {
    "cdvd_tsp-train_step_msl_l1",
    "cdvd_tsp-train_step_msl_l1_final",
    "deblur_devil-train_step_flowdbn_pwcnet",
    "deblur_devil-train_step_flownet1s",
    "deblur_devil-train_step_pwcnet",
}

# Those of each family that JAX compiles and computes in seconds, and PyTorch even sooner.
BRIEF = (
    "basicvsr/model_small.json",
    "cdvd_tsp/loss_*.json",
    "cdvd_tsp/model_recons.json",
    "cdvd_tsp/op_*.json",
    "common/*.json",
    "deblur_devil/corr_*.json",
    "deblur_devil/dbn_*.json",
    "deblur_devil/flow_warp.json",
    "deblur_devil/resize2d.json",
    "edvr/edvr_m_x4_tsa.json",
    "edvr/loss.json",
    "ops/*.json",
    "pvdnet/model_regularization_l3.json",
    "pvdnet/op_*.json",
    "rvrt/deform_attn_dg4.json",
    "rvrt/guided_deform_attn.json",
    "rvrt/spynet_64.json",
)


def cases() -> list:
    """Every case under its family and name; those of `SLOW` take more than 10 seconds of a processor."""
    names = {f"{path.parent.name}-{path.stem}": path for path in case_files([VECTORS])}
    slow = {True: [pytest.mark.slow], False: []}
    return [pytest.param(path, id=name, marks=slow[name in SLOW]) for name, path in names.items()]


@pytest.mark.parametrize("path", cases())
def test_case(path: Path):
    result = run_file(path)
    assert result.passed, "\n".join([*result.failures(), result.trace])


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("backend", BACKENDS)
def test_other_backends_in_brief(backend: str):
    found = {pattern: sorted(VECTORS.glob(pattern)) for pattern in BRIEF}
    assert all(found.values()), found
    assert {path.parent.name for paths in found.values() for path in paths} == set(FAMILIES)
    assert_cases_pass(itertools.chain(*found.values()), KERAS_BACKEND=backend)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_other_backends(backend: str, family: str):
    assert_cases_pass([VECTORS / family], KERAS_BACKEND=backend)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("setting", ["OMP_NUM_THREADS=1", "TF_ENABLE_ONEDNN_OPTS=0", "ONEDNN_MAX_CPU_ISA=AVX2"])
def test_other_processors(setting: str, family: str):
    """As far as this one can be told to compute as others do: sums in another order round to other numbers."""
    name, value = setting.split("=")
    assert_cases_pass([VECTORS / family], **{name: value})


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", FAMILIES)
def test_composed_operations(family: str):
    assert_cases_pass([VECTORS / family], "--impl", "tf")


def assert_cases_pass(paths: Iterable[Path], *options: str, **environment: str) -> None:
    """In a process of their own."""
    command = [sys.executable, "-m", "tests.golden", *map(str, paths), *options]
    process = subprocess.run(command, cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr


def test_vectors_stay_small():
    """A clone carries them: 24 MB at most."""
    assert sum(file.stat().st_size for file in VECTORS.rglob("*")) < 24e6
