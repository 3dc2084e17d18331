"""SpyNet: any size, its levels, its weights."""

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.ops.warp import warp
from ascendcv.utils.errors import InputError
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.weights import load_checkpoint, load_state_dict
from ascendvsr.weights.mapping import state_dict
from tests.support import PROJECT

SHARED = PROJECT.parent / "shared/data"


@pytest.fixture(scope="module")
def spynet() -> SpyNet:
    """A SpyNet whose weights follow the brightness: its flow is 0 where frames are equal, and moves where not.

    Each level adds to the flow, in x, the difference between the reference and the warped frame.
    """
    model = SpyNet()
    for module in model.basic_module:
        for conv in module.basic_module.values():
            kernel = np.zeros(conv.kernel.shape, np.float32)
            # Channels 0 and 1 carry the positive and the negative part of the difference through all layers.
            if kernel.shape[2] == 8:
                kernel[3, 3, :6, 0] = [1, 1, 1, -1, -1, -1]
                kernel[3, 3, :6, 1] = [-1, -1, -1, 1, 1, 1]
            elif kernel.shape[3] == 2:
                kernel[3, 3, :2, 0] = [0.1, -0.1]
            else:
                kernel[3, 3, 0, 0] = kernel[3, 3, 1, 1] = 1
            conv.kernel.assign(kernel)
            conv.bias.assign(np.zeros(conv.bias.shape))
    return model


def frames_of(photograph: np.ndarray, height: int, width: int, step: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Two frames [1, height, width, 3], the second `step` pixels further to the right."""
    first, second = (photograph[None, 90 : 90 + height, 190 + x : 190 + x + width] for x in (0, step))
    return first.astype(np.float32) / 255, second.astype(np.float32) / 255


def test_it_has_the_published_number_of_parameters(spynet):
    assert spynet.count_params() == 1_440_300


def test_without_trained_weights_nothing_moves(photograph):
    flow = SpyNet()(frames_of(photograph, 40, 48))
    assert flow.shape == (1, 40, 48, 2)
    assert not np.any(flow)


def test_no_motion_gives_no_flow(spynet, photograph):
    first, second = frames_of(photograph, 64, 96)
    assert np.abs(spynet((first, first))).max() < 1e-4
    assert np.abs(spynet((first, second))).max() > 1e-2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 33), (32, 32), (33, 70), (64, 64)])
def test_any_size_is_taken(spynet, photograph, height, width):
    flow = spynet(frames_of(photograph, height, width))
    assert flow.shape == (1, height, width, 2)
    assert np.all(np.isfinite(flow))


def test_flow_of_a_batch_is_that_of_its_parts(spynet, photograph):
    pairs = [frames_of(photograph, 40, 56, step) for step in (1, 3)]
    together = spynet(tuple(np.concatenate(frames) for frames in zip(*pairs, strict=True)))
    for alone, flow in zip(pairs, together, strict=True):
        np.testing.assert_allclose(spynet(alone)[0], flow, atol=1e-5)


def test_levels_are_halves_of_each_other_and_end_with_the_flow(spynet, photograph):
    frames = frames_of(photograph, 64, 96)
    model = SpyNet(return_levels=(2, 3, 4, 5))
    load_state_dict(model, state_dict(spynet))
    levels = model.levels(frames)
    assert [tuple(flow.shape[1:3]) for flow in levels] == [(8, 12), (16, 24), (32, 48), (64, 96)]
    np.testing.assert_array_equal(levels[-1], spynet(frames))


def test_a_graph_without_sizes_gives_the_same_flow(spynet, photograph):
    any_size = tf.TensorSpec([None, None, None, 3])
    function = tf.function(lambda a, b: spynet((a, b)), input_signature=[any_size, any_size], autograph=False)
    frames = frames_of(photograph, 37, 50)
    np.testing.assert_allclose(function(*frames), spynet(frames), atol=1e-5)


def test_impossible_levels_are_refused():
    with pytest.raises(ValueError, match=r"return_levels=\(6,\) should be some of 0 to 5"):
        SpyNet(return_levels=(6,))


def test_statistics_in_a_checkpoint_are_accepted_and_checked(spynet):
    weights = state_dict(spynet)
    statistics = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    buffers = {name: np.array(values, np.float32).reshape(1, 3, 1, 1) for name, values in statistics.items()}
    model = SpyNet()
    assert load_state_dict(model, weights | buffers).complete
    with pytest.raises(InputError, match="of another network than SpyNet: std"):
        load_state_dict(model, weights | buffers | {"std": np.ones((1, 3, 1, 1), np.float32)})


@pytest.mark.skipif(not (SHARED / "reds_7f/GT").is_dir(), reason="the REDS frames are not there")
@pytest.mark.skipif(not (SHARED / "spynet_weights").is_dir(), reason="the published weights are not there")
def test_published_weights_bring_the_next_frame_to_this_one():
    from ascendcv.dataloader.image import read_image

    model = SpyNet()
    load_state_dict(model, load_checkpoint(SHARED / "spynet_weights/spynet_sintel_final.pth"))
    files = sorted((SHARED / "reds_7f/GT").iterdir())[2:4]
    second, third = (read_image(file)[np.newaxis].astype(np.float32) / 255 for file in files)
    flow = tf.function(model, autograph=False)((second, third))
    assert psnr(third, second) < 17
    assert psnr(np.asarray(warp(third, flow, padding="border")), second) > 31.5


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return -10 * np.log10(np.mean((a - b) ** 2))
