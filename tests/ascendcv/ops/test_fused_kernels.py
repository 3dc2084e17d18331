"""The compiled kernels compute what the composed operations compute in float64, values and gradients."""

import hashlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ascendcv.ops import registry
from ascendcv.ops.correlation import correlation, spatial_correlation
from ascendcv.ops.deform_attn import deform_attn
from ascendcv.ops.deform_conv import deform_conv2d
from ascendcv.ops.feed_forward import feed_forward
from ascendcv.ops.window_attention import window_attention
from ascendcv.utils.errors import InputError
from tests.support import PROJECT

SIDES = st.sampled_from([1, 2, 3, 7, 8, 9, 16, 17, 21])
CHANNELS = st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 24, 33])


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def offsets(kind: str, *shape: int, seed: int = 0) -> np.ndarray:
    """Multiples of 1/64, so that float32 and float64 agree on which pixel a position lies in."""
    values = np.random.default_rng(seed).standard_normal(shape)
    scaled = {"none": 0 * values, "whole": np.round(2 * values), "half": np.round(2 * values) + 0.5}
    scaled |= {"near": 2 * values, "far": 60 * values}
    return (np.round(scaled[kind] * 64) / 64).astype(np.float32)


def assert_same(function, arguments: list[np.ndarray], tolerance: float = 1e-5) -> None:
    """`function(*arguments, impl=...)` and its gradients: fused in float32 against composed in float64."""
    results = {}
    for impl, dtype in (("fused", tf.float32), ("tf", tf.float64)):
        inputs = [tf.constant(a, dtype) for a in arguments]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs, impl=impl)
        upstream = tf.constant(random(*y.shape, seed=9), dtype)
        results[impl] = [y, *tape.gradient(y, inputs, upstream)]
    for fused, composed in zip(results["fused"], results["tf"], strict=True):
        scale = max(1.0, float(np.abs(composed).max(initial=0.0)))
        np.testing.assert_allclose(fused, composed, rtol=0, atol=tolerance * scale)


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 2),
    height=SIDES,
    width=SIDES,
    channels=CHANNELS,
    outputs=st.sampled_from([1, 3, 16, 20, 70]),
    groups=st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (1, 4), (2, 4)]),
    kernel=st.sampled_from([(1, 1), (3, 3), (2, 5)]),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    kind=st.sampled_from(["none", "whole", "half", "near", "far"]),
    masked=st.booleans(),
    biased=st.booleans(),
    seed=st.integers(0, 100),
)
def test_deformable_convolution(
    batch, height, width, channels, outputs, groups, kernel, stride, padding, dilation, kind, masked, biased, seed
):
    groups, deformable_groups = groups
    channels, outputs = channels * groups * deformable_groups, outputs * groups
    taps = kernel[0] * kernel[1]
    rooms = [n + 2 * padding - dilation * (k - 1) - 1 for n, k in zip((height, width), kernel, strict=True)]
    assume(min(rooms) >= 0)
    size = [room // stride + 1 for room in rooms]
    arguments = [
        random(batch, height, width, channels, seed=seed),
        offsets(kind, batch, *size, deformable_groups * taps * 2, seed=seed + 1),
        random(*kernel, channels // groups, outputs, seed=seed + 2, scale=(taps * channels // groups) ** -0.5),
    ]
    if masked:
        arguments.append(np.abs(random(batch, *size, deformable_groups * taps, seed=seed + 3)))
    if biased:
        arguments.append(random(outputs, seed=seed + 4))

    def function(x, offset, weights, *rest, impl):
        rest = list(rest)
        mask = rest.pop(0) if masked else None
        bias = rest.pop(0) if biased else None
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        return deform_conv2d(
            x, offset, weights, mask, bias, **options, groups=groups, deformable_groups=deformable_groups, impl=impl
        )

    assert_same(function, arguments)


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(1, 2),
    height=SIDES,
    width=st.sampled_from([1, 2, 15, 16, 17, 63, 64, 65, 81]),
    channels=CHANNELS,
    patch=st.sampled_from(
        [
            (1, 1),
            (3, 1),
            (4, 1),
            (7, 1),
            (9, 1),
            (9, 2),
            (5, 3),
            (21, 2),
            ((3, 9), 1),
            ((6, 2), 1),
            ((5, 1), (2, 3)),
        ]
    ),
    seed=st.integers(0, 100),
)
def test_correlation(batch, height, width, channels, patch, seed):
    patch, dilation = patch
    images = [random(batch, height, width, channels, seed=seed + i) for i in range(2)]

    def function(first, second, impl):
        return spatial_correlation(first, second, patch_size=patch, dilation_patch=dilation, impl=impl)

    assert_same(function, images)


def test_correlation_with_strides_and_windows():
    images = [random(2, 13, 15, 6, seed=i) for i in range(2)]
    assert_same(lambda a, b, impl: correlation(a, b, max_displacement=3, stride=2, impl=impl), images)
    options = {"kernel_size": 3, "patch_size": 5, "stride": 2, "padding": 1, "dilation_patch": 2}
    assert_same(lambda a, b, impl: spatial_correlation(a, b, **options, impl=impl), images)


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 2),
    frames=st.integers(1, 3),
    height=st.sampled_from([1, 2, 5]),
    width=st.sampled_from([1, 2, 15, 16, 17]),
    heads_and_groups=st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 4), (3, 2), (12, 12), (2, 12), (6, 4), (4, 3)]),
    depth=st.sampled_from([1, 3, 4, 12, 16]),
    kernel_size=st.sampled_from([1, 3]),
    kind=st.sampled_from(["none", "whole", "half", "near", "far"]),
    seed=st.integers(0, 100),
)
def test_deformable_attention(batch, frames, height, width, heads_and_groups, depth, kernel_size, kind, seed):
    assume(frames * kernel_size > 1)  # a softmax over one place
    heads, groups = heads_and_groups
    channels = heads * depth
    if 2 * channels % groups:
        channels *= groups
    shape = (batch, frames, height, width)
    arguments = [
        random(*shape, channels, seed=seed),
        random(*shape, 2 * channels, seed=seed + 1),
        offsets(kind, *shape, frames * groups * kernel_size**2 * 2, seed=seed + 2),
    ]

    def function(q, kv, offset, impl):
        options = {"attention_heads": heads, "deformable_groups": groups, "kernel_size": kernel_size}
        return deform_attn(q, kv, offset, **options, impl=impl)

    assert_same(function, arguments, tolerance=3e-5)


# So many channels at least: two or three random ones may be so nearly equal that the norm magnifies their rounding.
NORMED = 6
WINDOWS = st.tuples(st.integers(1, 2), st.sampled_from([1, 2, 3, 8]), st.sampled_from([1, 2, 5, 8]))


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 2),
    windows_in_time=st.integers(1, 2),
    height=SIDES,
    width=st.sampled_from([1, 2, 3, 8, 9, 17]),
    window=WINDOWS,
    heads=st.sampled_from([1, 2, 3]),
    depth=st.sampled_from([1, 3, 4, 11, 16, 24]),
    shifted=st.booleans(),
    seed=st.integers(0, 100),
)
def test_window_attention(batch, windows_in_time, height, width, window, heads, depth, shifted, seed):
    channels, frames = heads * depth, windows_in_time * window[0]
    assume(channels >= NORMED)
    arguments = [random(batch, frames, height, width, channels, seed=seed)]
    arguments += attention_weights(channels, heads, window, seed)

    def function(x, gamma, beta, kernel, bias, table, projection, projection_bias, impl):
        return window_attention(
            x, (gamma, beta), (kernel, bias), table, (projection, projection_bias),
            window=window, heads=heads, shifted=shifted, impl=impl,
        )  # fmt: skip

    assert_same(function, arguments, tolerance=3e-5)


def attention_weights(channels: int, heads: int, window: tuple[int, int, int], seed: int) -> list[np.ndarray]:
    """Of norm, queries, keys and values, biases and projection."""
    biases = int(np.prod([2 * side - 1 for side in window]))
    shapes = [(channels,), (channels,), (channels, 3 * channels), (3 * channels,), (biases, heads)]
    shapes += [(channels, channels), (channels,)]
    scales = [1, 1, channels**-0.5, 1, 1, channels**-0.5, 1]
    return [random(*shape, seed=seed + i, scale=scales[i]) for i, shape in enumerate(shapes)]


@settings(max_examples=30, deadline=None)
@given(
    tokens=st.sampled_from([1, 2, 95, 96, 97, 200]),
    channels=st.sampled_from([1, 3, 6, 16, 17, 33, 170]),
    hidden=st.sampled_from([1, 5, 16, 64, 65, 330]),
    normed=st.booleans(),
    seed=st.integers(0, 100),
)
def test_feed_forward(tokens, channels, hidden, normed, seed):
    assume(not normed or channels >= NORMED)
    shapes = [(1, tokens, channels), (channels, hidden), (hidden,), (hidden, channels), (channels,)]
    shapes += [(channels,), (channels,)] if normed else []
    scales = [1, channels**-0.5, 1, hidden**-0.5, 1, 1, 1]
    arguments = [random(*shape, seed=seed + i, scale=scales[i]) for i, shape in enumerate(shapes)]

    def function(x, kernel, bias, second_kernel, second_bias, *norm, impl):
        return feed_forward(x, (kernel, bias), (second_kernel, second_bias), norm or None, impl=impl)

    assert_same(function, arguments, tolerance=3e-5)


def test_large_scores_leave_the_softmax_finite():
    q, kv = random(1, 2, 4, 4, 8, scale=50.0), random(1, 2, 4, 4, 16, seed=1, scale=50.0)
    offset = offsets("near", 1, 2, 4, 4, 2 * 2 * 18)

    def function(q, kv, offset, impl):
        return deform_attn(q, kv, offset, attention_heads=2, deformable_groups=2, impl=impl)

    assert_same(function, [q, kv, offset], tolerance=2e-4)


def test_large_scores_leave_the_softmax_of_windows_finite():
    x, weights = random(1, 2, 9, 9, 8), attention_weights(8, 2, (2, 8, 8), 0)
    table = weights.pop(4)
    table[::2] = 200

    def function(x, gamma, beta, kernel, bias, projection, projection_bias, impl):
        biases = tf.constant(table, x.dtype)
        return window_attention(
            x, (gamma, beta), (kernel, bias), biases, (projection, projection_bias),
            window=(2, 8, 8), heads=2, shifted=True, impl=impl,
        )  # fmt: skip

    assert_same(function, [x, *weights], tolerance=2e-4)


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf, 1e30, -1e30, 3e9])
def test_wild_offsets_sample_nothing(wild):
    offset = offsets("near", 1, 5, 6, 36)
    offset[0, 1, 2, ::5] = wild
    kernel = random(3, 3, 4, 4)
    assert_same(
        lambda x, offset, impl: deform_conv2d(
            x, offset, kernel.astype(x.dtype.name), deformable_groups=2, impl=impl
        ),
        [random(1, 5, 6, 4), offset],
    )
    offset = offsets("near", 1, 2, 3, 4, 72)
    offset[0, 1, 2, 3, ::5] = wild
    assert_same(
        lambda q, kv, offset, impl: deform_attn(q, kv, offset, attention_heads=2, deformable_groups=2, impl=impl),
        [random(1, 2, 3, 4, 4), random(1, 2, 3, 4, 8), offset],
    )


def test_empty_tensors():
    kernel, bias = random(3, 3, 4, 6), random(6)
    assert_same(lambda x, o, k, b, impl: deform_conv2d(x, o, k, None, b, impl=impl),
                [random(0, 5, 6, 4), random(0, 5, 6, 18), kernel, bias])  # fmt: skip
    assert_same(lambda x, o, k, b, impl: deform_conv2d(x, o, k, None, b, padding=0, impl=impl),
                [random(1, 2, 6, 4), random(1, 0, 4, 18), kernel, bias])  # fmt: skip
    assert_same(lambda a, b, impl: spatial_correlation(a, b, patch_size=3, impl=impl), [random(0, 5, 6, 4)] * 2)
    assert_same(
        lambda q, kv, offset, impl: deform_attn(q, kv, offset, attention_heads=2, deformable_groups=2, impl=impl),
        [random(0, 2, 3, 4, 4), random(0, 2, 3, 4, 8), random(0, 2, 3, 4, 72)],
    )
    assert_same(
        lambda x, g, b, k, c, t, p, d, impl: window_attention(
            x, (g, b), (k, c), t, (p, d), window=(2, 2, 2), heads=2, impl=impl
        ),
        [random(0, 2, 3, 4, 4), *attention_weights(4, 2, (2, 2, 2), 0)],
    )
    assert_same(
        lambda x, k, b, impl: feed_forward(x, (k, b), (k, b), impl=impl), [random(0, 4), random(4, 4), random(4)]
    )


def test_an_image_without_rows_gives_the_bias():
    bias = random(6)
    y = deform_conv2d(
        random(1, 0, 6, 4), random(1, 2, 8, 18), random(3, 3, 4, 6), None, bias, padding=2, impl="fused"
    )
    np.testing.assert_array_equal(y, np.broadcast_to(bias, (1, 2, 8, 6)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_types_are_converted_at_the_edge(dtype):
    x, offset, kernel = random(1, 9, 9, 8), offsets("near", 1, 9, 9, 18), random(3, 3, 8, 4, scale=0.1)
    x, kernel = tf.cast(x, dtype), tf.cast(kernel, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = deform_conv2d(x, offset, kernel, impl="fused")
    assert y.dtype == dtype
    assert tape.gradient(y, x).dtype == dtype
    exact = deform_conv2d(tf.cast(x, tf.float64), offset, tf.cast(kernel, tf.float64), impl="tf")
    np.testing.assert_allclose(tf.cast(y, tf.float64), exact, atol=0.02)


def test_float64_is_refused_by_name_and_composed_by_auto():
    arguments = [v.astype(np.float64) for v in (random(1, 4, 4, 2), random(1, 4, 4, 18), random(3, 3, 2, 2))]
    assert deform_conv2d(*arguments).dtype == tf.float64
    with pytest.raises(InputError, match="float64"):
        deform_conv2d(*arguments, impl="fused")


def test_attention_s_weights_of_wrong_shapes_are_refused_not_read():
    kernels, weights = registry.resolve("window_attention", "fused"), attention_weights(4, 2, (2, 2, 2), 0)
    options = {"window": (2, 2, 2), "heads": 2, "shifted": True, "scale": 1.0, "epsilon": 1e-5}

    def attend(x, gamma, beta, kernel, bias, table, projection, projection_bias):
        return kernels(x, (gamma, beta), (kernel, bias), table, (projection, projection_bias), **options)

    for wrong in range(len(weights)):
        arguments = [weight[:-1] if i == wrong else weight for i, weight in enumerate(weights)]
        with pytest.raises(tf.errors.InvalidArgumentError, match="should be"):
            attend(random(1, 2, 4, 4, 4), *arguments)
    with pytest.raises(tf.errors.InvalidArgumentError, match="3 frames"):
        attend(random(1, 3, 4, 4, 4), *weights)
    kernels = registry.resolve("feed_forward", "fused")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"weight 5 should be \[6,4\]"):
        x, bias = random(3, 4), random(4)
        kernels(x, (random(4, 6), random(6)), (random(5, 4), bias), None, epsilon=1e-5)


def test_sizes_may_be_unknown_in_a_graph():
    kernel = tf.constant(random(3, 3, 4, 5))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 4]), tf.TensorSpec([None, None, None, 18])])
    def function(x, offset):
        y = deform_conv2d(x, offset, kernel, impl="fused")
        assert y.shape.as_list() == [None, None, None, 5]
        return y

    for height, width in ((3, 5), (9, 20)):
        x, offset = random(1, height, width, 4), offsets("near", 1, height, width, 18)
        np.testing.assert_array_equal(function(x, offset), deform_conv2d(x, offset, kernel, impl="fused"))


def test_known_sizes_are_inferred():
    @tf.function
    def function(x, offset):
        y = deform_conv2d(x, offset, tf.ones([3, 3, 4, 5]), stride=2, impl="fused")
        assert y.shape == [2, 4, 5, 5]
        assert spatial_correlation(x, x, patch_size=3, impl="fused").shape == [2, 7, 10, 9]
        return y

    function(tf.ones([2, 7, 10, 4]), tf.zeros([2, 4, 5, 18]))


def test_auto_takes_them_and_export_does_not():
    arguments = [tf.constant(v) for v in (random(1, 4, 4, 2), random(1, 4, 4, 18), random(3, 3, 2, 2))]

    def kinds(context):
        with context:
            graph = tf.function(deform_conv2d).get_concrete_function(*arguments).graph
        return {operation.type for operation in graph.get_operations()}

    assert "Ascendcv>DeformConv2D" in kinds(registry.implementation("auto"))
    assert not any(kind.startswith("Ascendcv") for kind in kinds(registry.implementation("tf")))


def test_variables_of_a_layer_get_gradients():
    kernel = keras.Variable(random(3, 3, 4, 4))
    with tf.GradientTape() as tape:
        y = deform_conv2d(tf.ones([1, 5, 5, 4]), tf.zeros([1, 5, 5, 18]), kernel, impl="fused")
    assert tape.gradient(y, kernel.value).shape == kernel.shape


def test_wrong_shapes_are_refused_not_read():
    kernels = registry.resolve("deform_conv2d", "fused")
    options = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "deformable_groups": 1}
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"offset should be \[1,4,4,18\]"):
        kernels(random(1, 4, 4, 2), random(1, 4, 3, 18), random(3, 3, 2, 2), None, None, **options)
    kernels = registry.resolve("correlation", "fused")
    with pytest.raises(tf.errors.InvalidArgumentError, match="shape"):
        kernels(random(1, 4, 4, 2), random(1, 4, 5, 2), patch_size=(3, 3), dilation=(1, 1), scale=1.0)


DIGEST = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from tests.ascendcv.ops.test_fused_kernels import digest
print(digest())
"""


def digest() -> str:
    """Of the values and gradients of the operations."""
    image = [random(2, 37, 45, 32, seed=seed) for seed in range(2)]
    cases = [
        (lambda x, o, k, m, b: deform_conv2d(x, o, k, m, b, deformable_groups=2, impl="fused"),
         [image[0], offsets("near", 2, 37, 45, 36), random(3, 3, 32, 24), random(2, 37, 45, 18), random(24)]),
        (lambda a, b: correlation(a, b, impl="fused"), image),
        (lambda q, kv, o: deform_attn(q, kv, o, attention_heads=4, deformable_groups=4, impl="fused"),
         [random(2, 2, 9, 20, 16), random(2, 2, 9, 20, 32), offsets("near", 2, 2, 9, 20, 144)]),
        (lambda x, g, b, k, c, t, p, d: window_attention(
            x, (g, b), (k, c), t, (p, d), window=(2, 8, 8), heads=3, shifted=True, impl="fused"),
         [random(2, 2, 37, 45, 24), *attention_weights(24, 3, (2, 8, 8), 1)]),
        (lambda x, k, b, m, c: feed_forward(x, (k, b), (m, c), impl="fused"),
         [random(2, 37, 45, 24), random(24, 48), random(48), random(48, 24), random(24)]),
    ]  # fmt: skip
    result = hashlib.sha256()
    for function, arguments in cases:
        arguments = [tf.constant(a) for a in arguments]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            y = function(*arguments)
        for tensor in (y, *tape.gradient(y, arguments, random(*y.shape, seed=5))):
            result.update(tensor.numpy().tobytes())
    return result.hexdigest()


def test_the_number_of_threads_changes_no_bit():
    digests = set()
    for threads in ("1", "2", "5"):
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        run = subprocess.run(
            [sys.executable, "-c", DIGEST, threads], env=environment, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        digests.add(run.stdout.strip())
    assert len(digests) == 1
