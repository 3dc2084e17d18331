"""Attention in windows and the feed-forward part: values of each implementation, and gradients."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.ops import registry
from ascendcv.ops.feed_forward import feed_forward
from ascendcv.ops.window_attention import position_bias, window_attention
from ascendcv.utils.errors import InputError
from tests.ascendcv.ops.gradients import assert_gradients_match

IMPLEMENTATIONS = [
    pytest.param("tf", id="tf"),
    pytest.param(
        "fused",
        id="fused",
        marks=pytest.mark.skipif(
            registry.available("window_attention")["fused"] is not None, reason="the kernels cannot be built here"
        ),
    ),
]
NAMES = ("gamma", "beta", "qkv_kernel", "qkv_bias", "table", "projection_kernel", "projection_bias")


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def weights_of(channels: int, heads: int, window: tuple[int, int, int]) -> list[np.ndarray]:
    """In the order of NAMES."""
    d, h, w = window
    table = ((2 * d - 1) * (2 * h - 1) * (2 * w - 1), heads)
    shapes = [(channels,)] * 2 + [(channels, 3 * channels), (3 * channels,), table, (channels,) * 2, (channels,)]
    return [random(*shape, seed=seed, scale=0.5) for seed, shape in enumerate(shapes, start=1)]


def attention(x, gamma, beta, qkv_kernel, qkv_bias, table, projection_kernel, projection_bias, **options):
    norm, qkv, projection = (gamma, beta), (qkv_kernel, qkv_bias), (projection_kernel, projection_bias)
    return window_attention(x, norm, qkv, table, projection, **options)


def by_definition(x, weights, *, window, heads, shifted):
    """Token by token in float64: whom each one attends to, from where it lies."""
    w = dict(zip(NAMES, (weight.astype(np.float64) for weight in weights), strict=True))
    x = x.astype(np.float64)
    batch, frames, height, width, channels = x.shape
    depth = channels // heads
    d, h, wide = window
    normed = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w["gamma"] + w["beta"]
    rows, columns = math.ceil(height / h) * h, math.ceil(width / wide) * wide
    features = np.zeros((batch, frames, rows, columns, channels))
    features[:, :, :height, :width] = normed
    q, k, v = np.split(features @ w["qkv_kernel"] + w["qkv_bias"], 3, axis=-1)
    down, right = (h // 2, wide // 2) if shifted else (0, 0)

    def window_of(place):
        """The number of the window along each axis, and whether the place came in over an edge."""
        z, y, column = place
        moved = (y - down) % rows, (column - right) % columns
        return z // d, moved[0] // h, moved[1] // wide, y < down, column < right

    places = list(np.ndindex(frames, rows, columns))
    bias = np.asarray(position_bias(w["table"], window))
    inside = {
        place: (place[0] % d * h + (place[1] - down) % rows % h) * wide + (place[2] - right) % columns % wide
        for place in places
    }
    y = x.copy()
    for b in range(batch):
        for place in np.ndindex(frames, height, width):
            attended = [other for other in places if window_of(other) == window_of(place)]
            result = np.zeros(channels)
            for head in range(heads):
                part = slice(head * depth, (head + 1) * depth)
                scores = [
                    q[(b, *place)][part] @ k[(b, *other)][part] * depth**-0.5
                    + bias[head, inside[place], inside[other]]
                    for other in attended
                ]
                shares = np.exp(scores - np.max(scores))
                values = np.array([v[(b, *other)][part] for other in attended])
                result[part] = shares @ values / shares.sum()
            y[(b, *place)] += result @ w["projection_kernel"] + w["projection_bias"]
    return y


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    ("size", "window", "heads"),
    [((1, 2, 8, 12), (2, 4, 4), 2), ((2, 2, 5, 7), (1, 4, 2), 3), ((1, 1, 3, 3), (1, 8, 8), 1)],
    ids=["whole windows", "padded windows", "one window"],
)
def test_tokens_attend_to_those_of_their_window(impl, shifted, size, window, heads):
    x, weights = random(*size, 6), weights_of(6, heads, window)
    options = {"window": window, "heads": heads, "shifted": shifted}
    expected = by_definition(x, weights, **options)
    np.testing.assert_allclose(attention(x, *weights, **options, impl=impl), expected, atol=2e-5)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_scores_are_scaled_by_what_is_given(impl):
    x, weights = random(1, 1, 4, 4, 6), weights_of(6, 2, (1, 4, 4))
    scaled = attention(x, *weights, window=(1, 4, 4), heads=2, scale=0.25, impl=impl)
    weights[2][:, :6] *= 0.25 * 3**0.5  # queries
    weights[3][:6] *= 0.25 * 3**0.5
    same = attention(x, *weights, window=(1, 4, 4), heads=2, impl=impl)
    np.testing.assert_allclose(scaled, same, atol=1e-5)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_without_a_bias_queries_keys_and_values_have_none(impl):
    x, weights = random(1, 2, 5, 4, 6), weights_of(6, 2, (2, 4, 4))
    options = {"window": (2, 4, 4), "heads": 2, "shifted": True, "impl": impl}
    without = attention(x, *weights[:3], None, *weights[4:], **options)
    weights[3][:] = 0
    np.testing.assert_allclose(without, attention(x, *weights, **options), atol=1e-6)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
@pytest.mark.parametrize("normed", [True, False])
def test_the_feed_forward_part(impl, normed):
    x, gamma, beta = random(2, 3, 7, 5, scale=3), random(5, seed=1), random(5, seed=2)
    kernels, biases = [random(5, 9, seed=3), random(9, 5, seed=4)], [random(9, seed=5), random(5, seed=6)]
    first, second = zip(kernels, biases, strict=True)
    y = feed_forward(x, first, second, (gamma, beta) if normed else None, impl=impl)

    double = x.astype(np.float64)
    features = double
    if normed:
        features = double - double.mean(-1, keepdims=True)
        features = features / np.sqrt(double.var(-1, keepdims=True) + 1e-5) * gamma + beta
    hidden = features @ kernels[0] + biases[0]
    hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / 2**0.5))
    np.testing.assert_allclose(y, double + hidden @ kernels[1] + biases[1], atol=2e-5)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_gelu_is_exact_from_end_to_end(impl):
    """One token for each value: identity weights around the GELU."""
    values = np.concatenate([np.linspace(-12, 12, 4801), [-1e4, 1e4, 0]]).astype(np.float32)
    one, none = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    y = feed_forward(values[:, None], (one, none), (one, none), impl=impl)[:, 0] - values
    expected = [value * 0.5 * math.erfc(-value / 2**0.5) for value in values.astype(np.float64)]
    np.testing.assert_allclose(y, expected, rtol=2e-7, atol=3e-6)


@pytest.mark.parametrize("shifted", [False, True])
def test_gradients_of_the_attention(shifted):
    """Of the composed operation in float64; the kernel's are compared with these in test_fused_kernels."""
    options = {"window": (2, 2, 2), "heads": 2, "shifted": shifted}
    arguments = [random(1, 2, 3, 4, 4), *weights_of(4, 2, (2, 2, 2))]
    arguments = [argument.astype(np.float64) for argument in arguments]
    assert_gradients_match(functools.partial(attention, **options), arguments)


def test_gradients_of_the_feed_forward_part():
    arguments = [
        random(*shape, seed=seed) for seed, shape in enumerate([(2, 4), (4, 6), (6,), (6, 4), (4,), (4,), (4,)])
    ]
    arguments = [argument.astype(np.float64) for argument in arguments]
    assert_gradients_match(lambda x, k, b, m, c, *norm: feed_forward(x, (k, b), (m, c), norm), arguments)


def test_float64_is_composed_and_refused_by_name():
    x, weights = random(1, 1, 4, 4, 4).astype(np.float64), weights_of(4, 2, (1, 2, 2))
    weights = [weight.astype(np.float64) for weight in weights]
    assert attention(x, *weights, window=(1, 2, 2), heads=2).dtype == tf.float64
    with pytest.raises(InputError, match="float64"):
        attention(x, *weights, window=(1, 2, 2), heads=2, impl="fused")


def test_what_does_not_fit_is_refused():
    x, weights = random(1, 2, 4, 4, 6), weights_of(6, 2, (2, 2, 2))
    with pytest.raises(ValueError, match="do not fit 4 heads"):
        attention(x, *weights, window=(2, 2, 2), heads=4)
    with pytest.raises(ValueError, match=r"a table \(27, 2\) do not fit"):
        attention(x, *weights, window=(1, 2, 2), heads=2)
    with pytest.raises(ValueError, match="3 frames are no multiple of the 2"):
        attention(random(1, 3, 4, 4, 6), *weights, window=(2, 2, 2), heads=2)


def test_auto_takes_the_kernels_where_they_run_and_files_do_not():
    x, weights = tf.constant(random(1, 2, 4, 4, 6)), weights_of(6, 2, (2, 2, 2))

    def kinds(context, dtype):
        def function(x):
            arguments = [tf.cast(weight, dtype) for weight in weights]
            y = attention(tf.cast(x, dtype), *arguments, window=(2, 2, 2), heads=2)
            return feed_forward(y, (arguments[5], arguments[6]), (arguments[5], arguments[6]))

        with context:
            graph = tf.function(function).get_concrete_function(x).graph
        return {operation.type for operation in graph.get_operations() if "Ascendcv" in operation.type}

    if registry.available("window_attention")["fused"] is None:
        ours = {"Ascendcv>WindowAttention", "Ascendcv>FeedForward"}
        assert kinds(registry.implementation("auto"), "float32") == ours
    assert not kinds(registry.implementation("auto"), "bfloat16")
    assert not kinds(registry.implementation("tf"), "float32")
