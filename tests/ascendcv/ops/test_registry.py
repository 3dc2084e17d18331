"""Which implementation serves an operation, and what is said where one cannot."""

import importlib.metadata
import os
import subprocess
import sys
import types

import numpy as np
import pytest

from ascendcv.ops import registry
from ascendcv.ops.deform_conv import composed, deform_conv2d
from ascendcv.utils.errors import InputError
from tests.support import PROJECT

X, OFFSET = np.ones((1, 3, 3, 2), np.float32), np.zeros((1, 3, 3, 18), np.float32)
KERNEL = np.ones((3, 3, 2, 1), np.float32)


@pytest.fixture(autouse=True)
def forget_vendors():
    registry._vendor.cache_clear()
    yield
    registry._vendor.cache_clear()


def test_composed_operations_are_always_there():
    for operation in registry.OPERATIONS:
        assert callable(registry.resolve(operation, "tf"))
        assert registry.available(operation)["tf"] is None
    assert registry.resolve("deform_conv2d", "tf") is composed


def test_auto_can_be_asked_what_it_took_and_why():
    assert registry.chosen("deform_conv2d") in ("tf", "fused")
    assert registry.explain("deform_conv2d").startswith(f"deform_conv2d: {registry.chosen('deform_conv2d')}")
    assert "npu_bridge" in registry.explain("deform_conv2d")


def test_a_name_that_cannot_be_had_says_why_and_what_to_do():
    with pytest.raises(InputError, match=r"'npu' here: no installed package .*'ascendcv.ops'.*'auto' or 'tf'"):
        deform_conv2d(X, OFFSET, KERNEL, impl="npu")


@pytest.mark.parametrize(("operation", "impl"), [("deform_conv2d", "gpu"), ("deform_conv3d", "tf")])
def test_unknown_names_are_refused(operation, impl):
    with pytest.raises(InputError, match=r"there are|should be one of"):
        registry.resolve(operation, impl)


def test_within_the_context_every_operation_is_composed():
    with registry.implementation("tf"):
        assert registry.resolve("deform_conv2d", "auto") is composed
        assert registry.resolve("deform_conv2d", "npu") is composed


@pytest.mark.skipif(registry.available("conv2d")["fused"] is not None, reason="the kernels cannot be built here")
def test_fast_takes_less_exact_kernels_where_there_are_some_and_else_what_auto_takes():
    exact, fast = (registry.resolve("conv2d", impl) for impl in ("auto", "fast"))
    assert fast.keywords == {"large_tiles": True}
    assert fast.func is exact
    assert registry.resolve("conv2d", "fast", worthwhile=False) is registry.resolve("conv2d", "tf")
    with registry.implementation("fast"):
        assert registry.resolve("conv2d", "fused").func is exact
        assert registry.resolve("deform_conv2d", "auto") is registry.resolve("deform_conv2d", "fused")
        assert registry.serving("conv2d") == "fused"


def test_an_environment_variable_composes_all_operations_of_a_process():
    code = "from ascendcv.ops import registry; print(*map(registry.explain, registry.OPERATIONS), sep='\\n')"
    environment = os.environ | {"ASCENDCV_IMPL": "tf"}
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    served = dict(line.split(" (")[0].split(": ", 1) for line in process.stdout.splitlines())
    assert served == dict.fromkeys(registry.OPERATIONS, "tf")


def test_a_vendor_adds_an_operation_by_an_entry_point(monkeypatch):
    """The entry point of an installed package, which cannot exist here, is mocked."""
    module = types.ModuleType("vendor_package")
    module.deform = lambda *arguments, **options: "vendor"
    monkeypatch.setitem(sys.modules, "vendor_package", module)
    entry = importlib.metadata.EntryPoint("deform_conv2d", "vendor_package:deform", "ascendcv.ops")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **query: [entry])
    assert deform_conv2d(X, OFFSET, KERNEL, impl="npu") == "vendor"


def test_a_vendor_package_that_breaks_is_named_once(monkeypatch):
    entry = importlib.metadata.EntryPoint("deform_conv2d", "vendor_that_is_missing:deform", "ascendcv.ops")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **query: [entry])
    with pytest.warns(UserWarning, match="vendor_that_is_missing"):
        assert registry.available("deform_conv2d")["npu"] is not None


def test_the_ascend_operation_gets_offsets_in_its_own_order(monkeypatch):
    """[x of all groups | y of all groups | mask]; the vendor's module is mocked by one that composes them back."""

    def deformable_conv2d(x, kernel, offsets, strides, pads, data_format, dilations, groups, deformable_groups):
        assert (strides, pads, data_format, dilations) == ([1, 1, 1, 1], [1] * 4, "NHWC", [1, 1, 1, 1])
        columns, rows, mask = np.split(np.asarray(offsets), 3, axis=-1)
        offset = np.stack([rows, columns], axis=-1).reshape(*rows.shape[:-1], -1)
        return composed(x, offset, kernel, mask, None, stride=1, padding=1, dilation=1, groups=groups,
                        deformable_groups=deformable_groups)  # fmt: skip

    module = types.ModuleType("npu_bridge.tbe.npu_cube_ops")
    module.deformable_conv2d = deformable_conv2d
    for name in ("npu_bridge", "npu_bridge.tbe"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "npu_bridge.tbe.npu_cube_ops", module)
    rng = np.random.default_rng(0)
    x, offset, mask = (rng.standard_normal((1, 4, 5, c)).astype(np.float32) for c in (4, 36, 18))
    kernel, bias = rng.standard_normal((3, 3, 4, 2)).astype(np.float32), np.ones(2, np.float32)
    arguments = (x, offset, kernel, mask, bias)
    expected = deform_conv2d(*arguments, deformable_groups=2, impl="tf")
    np.testing.assert_allclose(deform_conv2d(*arguments, deformable_groups=2, impl="npu"), expected, atol=1e-5)


GRAPH = """
import tensorflow as tf
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from tests.support import TINY_EDVR

network = build_model(load_config(settings=TINY_EDVR))
tf.function(lambda clip: network(clip, training=True))(tf.ones([1, network.num_frame, 32, 32, 3]))
"""


@pytest.mark.parametrize("impl", ["auto", "tf"])
def test_autograph_warns_of_nothing_in_a_graph_of_somebodys_own(impl):
    environment = os.environ | {"ASCENDCV_IMPL": impl, "PYTHONPATH": str(PROJECT)}
    run = subprocess.run([sys.executable, "-c", GRAPH], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "AutoGraph" not in run.stdout + run.stderr
