"""Modulated deformable convolution: what it computes, its gradients, and inputs that are out of bounds."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.ops.deform_conv import deform_conv2d
from tests.ascendcv.ops.gradients import assert_gradients_match


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def by_definition(x, offset, kernel, mask, *, stride=1, padding=1, dilation=1, groups=1, deformable_groups=1):
    """The operation in float64, one sample at a time."""
    batch, height, width, channels = x.shape
    kernel_height, kernel_width, _, out_channels = kernel.shape
    _, out_height, out_width, _ = offset.shape
    taps = kernel_height * kernel_width
    y = np.zeros((batch, out_height, out_width, out_channels))

    def sample(n, c, row, column):
        if not (-1 < row < height and -1 < column < width):
            return 0.0
        value, top, left = 0.0, int(np.floor(row)), int(np.floor(column))
        for i in (top, top + 1):
            for j in (left, left + 1):
                if 0 <= i < height and 0 <= j < width:
                    value += (1 - abs(row - i)) * (1 - abs(column - j)) * float(x[n, i, j, c])
        return value

    for n, i, j, c in np.ndindex(batch, out_height, out_width, channels):
        group = c // (channels // deformable_groups)
        conv_group, c_in_group = divmod(c, channels // groups)
        outputs = slice(conv_group * (out_channels // groups), (conv_group + 1) * (out_channels // groups))
        for tap in range(taps):
            a, b = divmod(tap, kernel_width)
            dy, dx = offset[n, i, j, 2 * (group * taps + tap) :][:2]
            row = i * stride - padding + a * dilation + float(dy)
            column = j * stride - padding + b * dilation + float(dx)
            value = sample(n, c, row, column) * (1 if mask is None else mask[n, i, j, group * taps + tap])
            y[n, i, j, outputs] += value * kernel[a, b, c_in_group, outputs]
    return y


@settings(max_examples=20, deadline=None)
@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    group_channels=st.integers(1, 3),
    groups=st.sampled_from([1, 2]),
    deformable_groups=st.sampled_from([1, 2]),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    with_mask=st.booleans(),
    spread=st.sampled_from([0.0, 0.5, 3.0, 100.0]),
    seed=st.integers(0, 1000),
)
def test_it_is_what_the_definition_says(
    height, width, group_channels, groups, deformable_groups, stride, dilation, with_mask, spread, seed
):
    channels = 2 * group_channels
    out_height, out_width = (height - 1) // stride + 1, (width - 1) // stride + 1
    x = random(2, height, width, channels, seed=seed)
    offset = random(2, out_height, out_width, deformable_groups * 18, seed=seed + 1, scale=spread)
    mask = random(2, out_height, out_width, deformable_groups * 9, seed=seed + 2) if with_mask else None
    kernel = random(3, 3, channels // groups, 4, seed=seed + 3)
    options = {"stride": stride, "padding": dilation, "dilation": dilation, "groups": groups}
    options["deformable_groups"] = deformable_groups
    y = deform_conv2d(x, offset, kernel, mask, **options, impl="tf")
    np.testing.assert_allclose(y, by_definition(x, offset, kernel, mask, **options), atol=2e-5, rtol=1e-5)


@settings(max_examples=10, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), groups=st.sampled_from([1, 2, 4]))
def test_without_offsets_it_is_a_convolution(height, width, groups):
    x, kernel, bias = random(1, height, width, 8), random(3, 3, 8, 5), random(5)
    offset = np.zeros((1, height, width, groups * 18), np.float32)
    y = deform_conv2d(x, offset, kernel, None, bias, deformable_groups=groups, impl="tf")
    np.testing.assert_allclose(y, tf.nn.conv2d(x, kernel, 1, "SAME") + bias, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(dy=st.integers(-3, 3), dx=st.integers(-3, 3))
def test_whole_offsets_move_the_image(dy, dx):
    x, kernel = random(1, 6, 7, 4), random(3, 3, 4, 2)
    offset = np.tile(np.array([dy, dx], np.float32), (1, 6, 7, 9))
    y = deform_conv2d(x, offset, kernel, impl="tf")
    padded = np.pad(x, ((0, 0), (4, 4), (4, 4), (0, 0)))[:, 3 + dy : 11 + dy, 3 + dx : 12 + dx]
    np.testing.assert_allclose(y, tf.nn.conv2d(padded, kernel, 1, "VALID"), atol=1e-5)


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9])
def test_wild_offsets_read_nothing_and_spoil_nothing(wild):
    x, kernel, mask = random(1, 4, 5, 2), random(3, 3, 2, 3), np.ones((1, 4, 5, 9), np.float32)
    offset = np.zeros((1, 4, 5, 18), np.float32)
    offset[0, 1, 2, 8] = wild  # the center tap's dy at one pixel
    without = mask.copy()
    without[0, 1, 2, 4] = 0
    expected = deform_conv2d(x, np.zeros_like(offset), kernel, without, impl="tf")
    arguments = [tf.constant(v) for v in (x, offset, kernel, mask)]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        y = deform_conv2d(*arguments, impl="tf")
    np.testing.assert_allclose(y, expected, atol=1e-5)
    for gradient in tape.gradient(y, arguments):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("options", [{}, {"stride": 2, "groups": 2}, {"dilation": 2, "padding": 2}])
def test_gradients_are_those_of_the_function(options):
    rng = np.random.default_rng(3)
    out = (2, 2) if options.get("stride") == 2 else (4, 3)
    arguments = [
        rng.standard_normal((1, 4, 3, 4)),
        rng.uniform(-2, 2, (1, *out, 36)),
        rng.standard_normal((3, 3, 4 // options.get("groups", 1), 2)),
        rng.standard_normal((1, *out, 18)),
        rng.standard_normal(2),
    ]
    assert_gradients_match(lambda *a: deform_conv2d(*a, **options, deformable_groups=2, impl="tf"), arguments)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_unknown_sizes_in_a_graph(compiled):
    kernel = tf.constant(random(3, 3, 4, 4))
    signature = [tf.TensorSpec([None, None, None, 4]), tf.TensorSpec([None, None, None, 36])]

    @tf.function(input_signature=signature, jit_compile=compiled)
    def function(x, offset):
        return deform_conv2d(x, offset, kernel, deformable_groups=2, impl="tf")

    for batch, height, width in ((1, 3, 5), (2, 6, 4)):
        x, offset = random(batch, height, width, 4), random(batch, height, width, 36, seed=1)
        expected = deform_conv2d(x, offset, kernel, deformable_groups=2, impl="tf")
        np.testing.assert_allclose(function(x, offset), expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_positions_stay_exact_in_narrow_types(dtype):
    """At column 400 bfloat16 steps by two pixels; float16 by a quarter."""
    x = tf.cast(tf.reshape(tf.range(8 * 512) % 97, [1, 8, 512, 1]), dtype)
    offset = np.full((1, 8, 512, 2), 1.0, np.float32)
    y = deform_conv2d(x, offset, tf.ones([1, 1, 1, 1], dtype), padding=0, impl="tf")
    assert y.dtype == dtype
    np.testing.assert_array_equal(tf.cast(y, tf.float32)[0, :7, :511, 0], tf.cast(x, tf.float32)[0, 1:, 1:, 0])


@pytest.mark.parametrize(
    ("options", "offset_channels", "message"),
    [
        ({"deformable_groups": 3}, 54, "deformable_groups=3"),
        ({"groups": 2}, 18, "groups=2"),
        ({"deformable_groups": 2}, 18, "need 36"),
    ],
)
def test_channels_that_do_not_fit_are_refused(options, offset_channels, message):
    with pytest.raises(ValueError, match=message):
        deform_conv2d(random(1, 4, 4, 4), random(1, 4, 4, offset_channels), random(3, 3, 4, 4), **options)
