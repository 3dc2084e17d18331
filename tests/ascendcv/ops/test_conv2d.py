"""Convolutions with what follows them: what they compute, and which implementation serves them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.ops import registry
from ascendcv.ops.conv2d import conv2d
from ascendcv.utils.errors import InputError

IMPLEMENTATIONS = [name for name in ("tf", "fused") if registry.available("conv2d")[name] is None]


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def by_definition(x, kernel, bias=None, activation=None, residual=None, residual_place="before") -> np.ndarray:
    """The operation in float64, one tap at a time."""
    side = kernel.shape[0]
    x, kernel = x.astype(np.float64), kernel.astype(np.float64)
    padded = np.pad(x, ((0, 0), (side // 2, side // 2), (side // 2, side // 2), (0, 0)))
    height, width = x.shape[1:3]
    y = sum(padded[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(side) for j in range(side))
    y = y if bias is None else y + bias
    slope = {None: 1, "relu": 0}.get(activation, activation)
    if residual is not None and residual_place == "before":
        y = y + residual
    y = np.where(y > 0, y, slope * y)
    return y + residual if residual is not None and residual_place == "after" else y


def assert_close(found, expected, terms) -> None:
    """Within the rounding errors of float32, which grow with what is added up and not with the sum.

    Args:
        terms: the sums of the absolute values of what is added.
    """
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-6 * np.abs(terms).max(initial=1e-30))


def _operators(x, kernel, bias, residual):
    """(x, kernel, bias, residual) as tensors, None left as it is."""
    return [None if value is None else tf.constant(value) for value in (x, kernel, bias, residual)]


@pytest.mark.parametrize("impl", [*IMPLEMENTATIONS, "fast"])
@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    channels=st.sampled_from([1, 3, 8, 12, 16, 17, 33, 64]),
    outputs=st.sampled_from([1, 3, 4, 5, 12, 16, 17, 48, 65, 80]),
    side=st.sampled_from([3, 5]),
    activation=st.sampled_from([None, "relu", 0.1, 1.0]),
    residual_place=st.sampled_from([None, "before", "after"]),
    with_bias=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_values_and_gradients_are_what_the_definition_says(
    impl, batch, height, width, channels, outputs, side, activation, residual_place, with_bias, seed
):
    x = random(batch, height, width, channels, seed=seed)
    kernel = random(side, side, channels, outputs, seed=seed + 1, scale=0.1)
    bias = random(outputs, seed=seed + 2) if with_bias else None
    residual = random(batch, height, width, outputs, seed=seed + 3) if residual_place else None
    options = {"activation": activation, "residual_place": residual_place or "before"}
    arguments = _operators(x, kernel, bias, residual)
    watched = [tensor for tensor in arguments if tensor is not None]
    weights = random(batch, height, width, outputs, seed=seed + 4)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        y = conv2d(*arguments[:3], residual=arguments[3], impl=impl, **options)

    doubles = [None if tensor is None else tf.cast(tensor, tf.float64) for tensor in arguments]
    absolute = [None if tensor is None else tf.abs(tensor) for tensor in doubles]
    exact_watched, terms_watched = (
        [tensor for tensor in some if tensor is not None] for some in (doubles, absolute)
    )
    with tf.GradientTape(persistent=True) as exact_tape:
        exact_tape.watch([*exact_watched, *terms_watched])
        exact = conv2d(*doubles[:3], residual=doubles[3], impl="tf", **options)
        terms = conv2d(*absolute[:3], residual=absolute[3], impl="tf", **options)
    assert_close(y, by_definition(x, kernel, bias, residual=residual, **options), terms)

    # Where a value nearly is 0 the activation's slope is anybody's guess.
    weights = np.where(np.abs(_before_activation(doubles, options)) > 1e-4, weights, 0)
    found = tape.gradient(y, watched, tf.constant(weights, tf.float32))
    expected = exact_tape.gradient(exact, exact_watched, tf.constant(weights, tf.float64))
    terms = exact_tape.gradient(terms, terms_watched, tf.constant(np.abs(weights), tf.float64))
    for one, other, sums in zip(found, expected, terms, strict=True):
        assert_close(one, other.numpy(), sums.numpy())


def _before_activation(arguments, options) -> np.ndarray:
    before = options["residual_place"] == "before"
    return conv2d(*arguments[:3], residual=arguments[3] if before else None, impl="tf").numpy()


@pytest.mark.skipif("fused" not in IMPLEMENTATIONS, reason="there is no compiled kernel here")
@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 0, 5), (2, 4, 0)])
@pytest.mark.parametrize("outputs", [3, 16])
def test_nothing_in_gives_nothing_out(shape, outputs):
    x, kernel, bias = tf.zeros([*shape, 16]), tf.ones([3, 3, 16, outputs]), tf.ones([outputs])
    with tf.GradientTape() as tape:
        tape.watch([x, kernel, bias])
        y = conv2d(x, kernel, bias, activation=0.1, impl="fused")
    assert y.shape == (*shape, outputs)
    grad_x, grad_kernel, grad_bias = tape.gradient(y, [x, kernel, bias])
    assert grad_x.shape == x.shape
    assert not np.any(grad_kernel)
    assert not np.any(grad_bias)


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_relu_of_nan_is_nan(impl):
    """A network that diverged should show it."""
    x = random(1, 4, 4, 16)
    x[0, 1, 1, 3] = np.nan
    y = conv2d(x, random(3, 3, 16, 16), activation="relu", impl=impl)
    assert np.isnan(np.asarray(y)[0, :3, :3]).all()


@pytest.mark.parametrize("impl", IMPLEMENTATIONS)
def test_sizes_may_be_unknown_in_a_graph(impl):
    kernel = tf.constant(random(3, 3, 16, 5))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 16])])
    def function(x):
        y = conv2d(x, kernel, impl=impl)
        assert y.shape.as_list() == [None, None, None, 5]
        return y

    for batch, height, width in ((1, 3, 5), (2, 9, 20)):
        x = random(batch, height, width, 16)
        terms = by_definition(np.abs(x), np.abs(kernel))
        assert_close(function(x), by_definition(x, np.asarray(kernel)), terms)


def kinds(function, *arguments) -> set[str]:
    """The types of the operations in the graph of a function."""
    graph = tf.function(function).get_concrete_function(*map(tf.constant, arguments)).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.skipif("fused" not in IMPLEMENTATIONS, reason="there is no compiled kernel here")
@pytest.mark.parametrize(
    ("side", "channels", "outputs", "dtype", "kernel"),
    [
        (3, 12, 12, "float32", True),
        (3, 64, 3, "float32", True),  # few outputs have a kernel of their own
        (3, 11, 12, "float32", False),
        (3, 12, 11, "float32", False),
        (5, 12, 12, "float32", True),
        (5, 11, 12, "float32", False),
        (5, 12, 3, "float32", True),
        (3, 64, 64, "bfloat16", False),
        (3, 64, 64, "float64", False),
    ],
)
def test_auto_takes_the_kernel_where_it_is_faster(side, channels, outputs, dtype, kernel):
    x = tf.cast(random(1, 4, 4, channels), dtype)
    weights = tf.cast(random(side, side, channels, outputs), dtype)
    assert ("Ascendcv>Conv2D" in kinds(conv2d, x, weights)) == kernel
    with registry.implementation("tf"):
        assert "Ascendcv>Conv2D" not in kinds(conv2d, x, weights)


@pytest.mark.skipif("fused" not in IMPLEMENTATIONS, reason="there is no compiled kernel here")
@pytest.mark.parametrize(
    ("size", "channels", "kernel"), [((9, 14), 192, False), ((12, 20), 192, True), ((9, 14), 64, True)]
)
def test_auto_leaves_large_kernels_of_small_images_to_tensorflow(size, channels, kernel):
    """Whatever the number of images."""
    weights = random(3, 3, channels, channels)
    for images in (1, 3):
        assert ("Ascendcv>Conv2D" in kinds(conv2d, tf.zeros([images, *size, channels]), weights)) == kernel
    unknown = tf.function(lambda x: conv2d(x, weights)).get_concrete_function(
        tf.TensorSpec([1, None, None, channels])
    )
    assert "Ascendcv>Conv2D" in {operation.type for operation in unknown.graph.get_operations()}


@pytest.mark.parametrize("jit_compile", [True, False])
def test_auto_composes_what_xla_compiles(jit_compile):
    x, kernel = random(1, 5, 6, 16), random(3, 3, 16, 16)

    @tf.function(jit_compile=jit_compile)
    def function(x):
        return tf.cond(tf.reduce_sum(x) > 1e9, lambda: x, lambda: conv2d(x, kernel))

    terms = by_definition(np.abs(x), np.abs(kernel))
    assert_close(function(tf.constant(x)), by_definition(x, kernel), terms)


def test_the_kernel_by_name_is_refused_under_xla():
    kernel = random(3, 3, 16, 16)
    function = tf.function(lambda x: conv2d(x, kernel, impl="fused"), jit_compile=True, autograph=False)
    with pytest.raises(InputError, match=r"'fused' here: (XLA|the compiled kernels need)"):
        function(tf.ones([1, 5, 5, 16]))


def test_shapes_are_had_without_the_kernel(monkeypatch):
    """Building a model and counting its operations compile nothing."""
    monkeypatch.setattr("ascendcv.ops.fused.load", lambda operation: pytest.fail("the kernel was loaded"))
    monkeypatch.setattr("ascendcv.ops.fused.why_not", lambda: pytest.fail("the kernel was looked for"))

    class Layer(keras.Layer):
        def call(self, x):
            return conv2d(x, np.ones((3, 3, 16, 24), np.float32))

    assert Layer()(keras.KerasTensor((2, None, 7, 16))).shape == (2, None, 7, 24)


@pytest.mark.skipif("fused" not in IMPLEMENTATIONS, reason="there is no compiled kernel here")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_types_are_converted_at_the_edge(dtype):
    x, kernel = tf.cast(random(1, 9, 9, 16), dtype), tf.cast(random(3, 3, 16, 16, scale=0.1), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = conv2d(x, kernel, activation="relu", impl="fused")
    assert y.dtype == dtype
    assert tape.gradient(y, x).dtype == dtype
    expected = by_definition(*(tf.cast(v, tf.float32).numpy() for v in (x, kernel)), activation="relu")
    np.testing.assert_allclose(tf.cast(y, tf.float32), expected, atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([(1, 4, 4, 3), (7, 7, 3, 4)], {}, "3 x 3 and 5 x 5"),
        ([(1, 4, 4, 3), (3, 5, 3, 4)], {}, "3 x 3 and 5 x 5"),
        ([(1, 4, 4, 3), (3, 3, 4, 4)], {}, "x has 3 channels"),
        ([(1, 4, 4, 3), (3, 3, 3, 4)], {"residual": random(1, 4, 4, 3)}, "residual has 3 channels"),
        ([(1, 4, 4, 3), (3, 3, 3, 4)], {"activation": "gelu"}, "activation is 'gelu'"),
        ([(1, 4, 4, 3), (3, 3, 3, 4)], {"activation": -0.1}, "slope, 0 to 1"),
        ([(1, 4, 4, 3), (3, 3, 3, 4)], {"residual_place": "between"}, "before, after"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        conv2d(*(random(*shape) for shape in arguments), **options)
