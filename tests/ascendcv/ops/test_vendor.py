"""The self-test of an accelerator's operation, on a stand-in for the vendor's package."""

import sys
import types

import numpy as np
import pytest

from ascendcv.ops import doctor, registry, vendor
from ascendcv.ops.deform_conv import composed


@pytest.fixture
def installed(monkeypatch):
    """Puts a package in the vendor's place, whose operation takes offsets as `order` splits them."""

    def install(order):
        def deformable_conv2d(x, kernel, offsets, strides, pads, data_format, dilations, groups, deformable_groups):
            offset, mask = order(np.asarray(offsets))
            return composed(x, offset, kernel, mask, None, stride=1, padding=1, dilation=1, groups=groups,
                            deformable_groups=deformable_groups)  # fmt: skip

        module = types.ModuleType("npu_bridge.tbe.npu_cube_ops")
        module.deformable_conv2d = deformable_conv2d
        for name in ("npu_bridge", "npu_bridge.tbe"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, "npu_bridge.tbe.npu_cube_ops", module)
        registry._vendor.cache_clear()

    yield install
    registry._vendor.cache_clear()


def blocks(rows_first):
    """[first | second | mask] -> offsets (y, x) of each tap, mask."""

    def order(offsets):
        first, second, mask = np.split(offsets, 3, axis=-1)
        rows, columns = (first, second) if rows_first else (second, first)
        return np.stack([rows, columns], axis=-1).reshape(*rows.shape[:-1], -1), mask

    return order


def test_without_the_package_there_is_nothing_to_test():
    assert not vendor.ascend_is_installed()
    assert not any("of the NPU: offsets" in line for line in doctor.report())


def test_doctor_confirms_the_order_that_is_assumed(installed):
    installed(blocks(rows_first=False))
    assert any(line.startswith("deform_conv2d of the NPU: offsets as [x | y | mask]") for line in doctor.report())


def test_another_order_is_named(installed):
    installed(blocks(rows_first=True))
    with pytest.raises(ArithmeticError, match=r"takes its offsets as \[y \| x \| mask\].*set impl tf"):
        vendor.check_ascend()
    installed(lambda offsets: (offsets[..., :36], offsets[..., 36:]))
    with pytest.raises(ArithmeticError, match=r"as \[\(y, x\) of each tap \| mask\]"):
        vendor.check_ascend()


def test_an_operation_that_computes_something_else(installed):
    installed(lambda offsets: (0 * offsets[..., :36], offsets[..., 36:]))
    with pytest.raises(ArithmeticError, match="with offsets in any order"):
        vendor.check_ascend()
