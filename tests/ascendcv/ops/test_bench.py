"""The precision that is the fastest on a machine."""

import re

import pytest

from ascendcv.ops import bench, registry


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        ({"float32": 2.0, "bfloat16": 1.5, "kernel": 1.0}, "keep eval.precision float32: .* 1.50 times as long"),
        ({"float32": 1.0, "bfloat16": 0.9}, "keep eval.precision float32"),  # 8 bits of precision for a tenth
        ({"float32": 1.0, "bfloat16": 0.5}, "eval.precision bfloat16 takes 0.50 of float32's time here"),
        ({"float32": 3.0, "bfloat16": 0.5, "kernel": 1.0}, "eval.precision bfloat16 takes 0.50"),
    ],
)
def test_bfloat16_is_advised_where_it_is_worth_its_bits(seconds, message):
    assert re.search(message, bench.advice(seconds))


def test_every_way_that_there_is_here_is_measured():
    title, *lines, advice = bench.report(rounds=2, size=(1, 8, 9, 16))
    assert title == "3x3 convolution of 1x8x9x16:"
    assert "eval.precision" in advice
    names = [line.split(":")[0] for line in lines]
    kernel = ["float32, this project's kernel"] if registry.available("conv2d")["fused"] is None else []
    assert names == ["float32", "bfloat16", *kernel]
    assert all(re.search(r": \d+\.\d ms, \d+\.\d ms of processor time", line) for line in lines)
