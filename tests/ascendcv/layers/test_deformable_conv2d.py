"""DeformableConv2D: a convolution of Keras whose positions move."""

import keras
import numpy as np
import pytest

from ascendcv.layers import DCNv2Pack, DeformableConv2D, deformable_conv2d_weights
from ascendcv.ops import implementation
from tests.golden.case import Case
from tests.golden.layout import channels_first, channels_last
from tests.support import PROJECT

VECTORS = PROJECT / "tests/golden/vectors/ops"


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.fixture(params=["tf", "fused"])
def impl(request: pytest.FixtureRequest):
    with implementation(request.param):
        yield request.param


class TestAPlainConvolutionBeforeItLearns:
    """Offsets begin at 0, where it is `keras.layers.Conv2D` with the same weights."""

    @pytest.mark.parametrize("padding", ["valid", "same"])
    @pytest.mark.parametrize(
        "settings",
        [
            {"kernel_size": 3},
            {"kernel_size": (5, 2)},
            {"kernel_size": 4, "strides": 2},
            {"kernel_size": 3, "strides": (2, 3)},
            {"kernel_size": 3, "dilation_rate": (1, 2)},
            {"kernel_size": (1, 7), "groups": 2, "use_bias": False},
            {"kernel_size": 5, "deformable_groups": 4},
        ],
        ids=str,
    )
    def test_of_any_size_and_padding(self, settings: dict, padding: str, impl: str):
        x = random(2, 11, 14, 8)
        layer = DeformableConv2D(6, padding=padding, modulated=False, bias_initializer="normal", **settings)
        y = layer(x)
        settings.pop("deformable_groups", None)
        plain = keras.layers.Conv2D(6, padding=padding, **settings)
        plain.build(x.shape)
        plain.set_weights(layer.get_weights()[: len(plain.weights)])
        np.testing.assert_allclose(y, plain(x), atol=2e-5)
        assert layer.compute_output_shape((None, None, None, 8)) == (None, None, None, 6)
        assert layer.compute_output_shape(x.shape) == tuple(y.shape)

    def test_modulated_it_has_half_the_result(self, impl: str):
        x = random(1, 8, 9, 4)
        modulated, plain = (DeformableConv2D(6, 3, modulated=flag, use_bias=False) for flag in (True, False))
        modulated.build(x.shape)
        plain(x)
        modulated.kernel.assign(plain.kernel)
        np.testing.assert_allclose(modulated(x), plain(x) / 2, atol=1e-5)

    def test_explicit_padding(self, impl: str):
        x = random(1, 8, 9, 4)
        layer = DeformableConv2D(6, 3, padding=(2, 0), modulated=False)
        padded = DeformableConv2D(6, 3, modulated=False)
        y = layer(x)
        padded.build(x.shape)
        padded.set_weights(layer.get_weights())
        np.testing.assert_allclose(y, padded(np.pad(x, ((0, 0), (2, 2), (0, 0), (0, 0)))), atol=1e-5)


@pytest.mark.parametrize("case", ["dcn_dg1", "dcn_dg2_dilation2_far", "dcn_dg2_stride2_groups2", "dcn_dg8"])
@pytest.mark.parametrize("as_list", [False, True])
def test_given_offsets_and_weights_of_pytorch(case: str, as_list: bool, impl: str):
    case = Case(VECTORS / f"{case}.json")
    x, offset, mask = (channels_last(case.array(name)) for name in ("x", "offset", "mask"))
    settings = {"strides": case.config["stride"], "dilation_rate": case.config["dilation"]}
    weights = {"weight": case.array("weight")} | ({"bias": case.array("bias")} if "bias" in case.inputs else {})
    layer = DeformableConv2D(
        len(weights["weight"]),
        case.config["kernel_size"],
        padding=case.config["padding"],
        groups=case.config["groups"],
        deformable_groups=case.config["deformable_groups"],
        use_bias="bias" in weights,
        **settings,
    )
    layer.build(x.shape, offset.shape, mask.shape)
    layer.set_weights(deformable_conv2d_weights(weights))
    y = layer([x, offset, mask]) if as_list else layer(x, offset, mask)
    np.testing.assert_allclose(channels_first(y), case.array("y"), atol=1e-4)


@pytest.mark.parametrize("offset_name", ["conv_offset", "conv_offset_mask"])
def test_weights_of_a_pack(offset_name: str, impl: str):
    """As BasicSR's DCNv2Pack, of which there is a layer, and mmcv's, with the same input for both."""
    x = random(1, 8, 9, 4)
    pack = DCNv2Pack(6, deformable_groups=2)
    pack.build(x.shape, x.shape)
    pack.set_weights([random(*weight.shape) / 4 for weight in pack.weights])
    kernel, bias, offset_kernel, offset_bias = pack.get_weights()
    state = {
        "neck.weight": kernel.transpose(3, 2, 0, 1),
        "neck.bias": bias,
        f"neck.{offset_name}.weight": offset_kernel.transpose(3, 2, 0, 1),
        f"neck.{offset_name}.bias": offset_bias,
        "head.weight": np.zeros(1),
    }
    layer = DeformableConv2D(6, 3, padding="same", deformable_groups=2)
    layer.build(x.shape)
    layer.set_weights(deformable_conv2d_weights(state, "neck."))
    np.testing.assert_allclose(layer(x), pack(x, x), atol=1e-4)


def test_weights_of_another_layer_are_refused():
    with pytest.raises(ValueError, match=r"weight, bias, and there are 'weight', 'running_mean'"):
        deformable_conv2d_weights({"weight": np.zeros((4, 4, 3, 3)), "running_mean": np.zeros(4)})


def test_learns_where_to_look(impl: str):
    """A shift to the right, which a kernel of one tap can only learn by its offsets."""
    x = random(1, 12, 16, 1)
    x = np.asarray(keras.ops.average_pool(x, 5, 1, "same"))  # smooth, so that gradients point somewhere
    truth = np.roll(x, -1, axis=2)
    layer = DeformableConv2D(1, 1, modulated=False, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((None, None, 1)), layer])
    layer.kernel.trainable = False
    model.compile(keras.optimizers.Adam(0.05), "mse")
    before = model.evaluate(x[:, :, :-2], truth[:, :, :-2], verbose=0)
    model.fit(x[:, :, :-2], truth[:, :, :-2], epochs=60, verbose=0)
    assert model.evaluate(x[:, :, :-2], truth[:, :, :-2], verbose=0) < before / 5
    assert np.asarray(layer.offset_bias)[1] == pytest.approx(1, abs=0.4)


def test_regularizers_and_constraints_are_kept():
    layer = DeformableConv2D(
        4, 3, kernel_regularizer="l2", offset_regularizer="l1", kernel_constraint="non_neg", activation="relu"
    )
    layer(random(1, 8, 8, 4))
    again = DeformableConv2D.from_config(layer.get_config())
    again(random(1, 8, 8, 4))
    assert len(layer.losses) == len(again.losses) == 2
    assert isinstance(again.kernel.constraint, keras.constraints.NonNeg)
    assert again.activation is keras.activations.relu


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": (3, 3, 3)}, "kernel_size is"),
        ({"kernel_size": 3, "strides": 0}, "strides is 0"),
        ({"kernel_size": 3, "padding": "mirror"}, "padding is 'mirror'"),
        ({"kernel_size": 3, "groups": 3}, "multiple of groups"),
    ],
)
def test_impossible_arguments(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        DeformableConv2D(4, **arguments)


def test_channels_that_do_not_fit():
    with pytest.raises(ValueError, match="x has 6 channels"):
        DeformableConv2D(4, 3, deformable_groups=4)(random(1, 8, 8, 6))


def test_offsets_that_are_missing():
    layer = DeformableConv2D(4, 3, padding="same")
    layer(random(1, 8, 8, 4), random(1, 8, 8, 18))
    with pytest.raises(ValueError, match="give it offsets"):
        layer(random(1, 8, 8, 4))
