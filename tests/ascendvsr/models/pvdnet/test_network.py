"""PVDNet: the published variants, recurrence with an explicit state, any size, precision, configurations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.precision import computing_in
from ascendcv.ops.registry import implementation
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.pvdnet.network import PVDNet

TINY = {"num_blocks": 1, "channels": 8}
# Published checkpoints have so many parameters.
PARAMETERS = {"pvdnet_dvd": 10_514_548, "pvdnet_large_nah": 23_361_780}


@pytest.fixture(scope="module")
def tiny() -> PVDNet:
    keras.utils.set_random_seed(0)
    return PVDNet(**TINY)


def clip_of(photograph: np.ndarray, frames: int = 4, height: int = 64, width: int = 64, batch: int = 1):
    """[batch, frames, height, width, 3]: a pan over the photograph."""
    clips = [
        [photograph[90 + n : 90 + n + height, 200 + 3 * t : 200 + 3 * t + width] for t in range(frames)]
        for n in range(batch)
    ]
    return np.array(clips, np.float32) / 255


def window(clip: np.ndarray, t: int) -> np.ndarray:
    """The frames of step t."""
    return clip[:, np.clip([t - 1, t, t + 1], 0, clip.shape[1] - 1)]


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_published_variants_have_the_published_number_of_parameters(name):
    model = build_model(load_config(f"configs/pvdnet/{name}.yaml"))
    assert model.count_params() == PARAMETERS[name]


def test_a_clip_is_its_steps(tiny, photograph):
    clip = clip_of(photograph)
    state, frames = None, []
    for t in range(clip.shape[1]):
        frame, state = tiny.step(window(clip, t), state)
        frames.append(frame)
    np.testing.assert_array_equal(tiny(clip), np.stack(frames, axis=1))


@pytest.mark.parametrize("stop", [1, 3])
def test_a_video_that_stops_and_goes_on_from_its_state_is_the_same(tiny, photograph, stop):
    clip = clip_of(photograph)
    state, frames = None, []
    for t in range(stop):
        frame, state = tiny.step(window(clip, t), state)
        frames.append(frame)
    kept = {name: np.array(tensor) for name, tensor in state.items()}  # as a file would keep it
    state = {name: tf.constant(array) for name, array in kept.items()}
    for t in range(stop, clip.shape[1]):
        frame, state = tiny.step(window(clip, t), state)
        frames.append(frame)
    np.testing.assert_array_equal(tiny(clip), np.stack(frames, axis=1))


def test_the_state_matters_and_does_not_grow(tiny, photograph):
    clip = clip_of(photograph)
    _, state = tiny.step(window(clip, 0))
    with_state, later = tiny.step(window(clip, 1), state)
    assert np.abs(with_state - tiny.step(window(clip, 1))[0]).max() > 1e-3
    assert {name: t.shape for name, t in later.items()} == {name: t.shape for name, t in state.items()}


def test_features_of_each_frame_are_computed_once(tiny, photograph, monkeypatch):
    calls = []
    compute = tiny.BIMNet.features
    monkeypatch.setattr(tiny.BIMNet, "features", lambda frame: calls.append(1) or compute(frame))
    tiny(clip_of(photograph, frames=3))
    assert len(calls) == 4  # three frames; the first one is its own previous frame and counts twice


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 70), (77, 66), (98, 64)])
def test_any_size_is_taken(tiny, photograph, height, width):
    restored = tiny(clip_of(photograph, frames=2, height=height, width=width))
    assert restored.shape == (1, 2, height, width, 3)
    assert np.isfinite(restored).all()


def test_padding_repeats_the_last_row_and_column(tiny, photograph):
    clip = clip_of(photograph, frames=2, height=61, width=77)
    padded = np.pad(clip, ((0, 0), (0, 0), (0, 3), (0, 3), (0, 0)), mode="edge")
    np.testing.assert_array_equal(tiny(clip), tiny(padded)[:, :, :61, :77])


def test_cropping_drops_what_the_original_could_not_take(tiny, photograph):
    cropping = PVDNet(**TINY, size="crop")
    cropping.set_weights(tiny.get_weights())
    clip = clip_of(photograph, frames=1, height=67, width=77)
    np.testing.assert_array_equal(cropping(clip), tiny(clip[:, :, :64, :76]))
    assert cropping(clip[:, :, :62]).shape == (1, 1, 62, 76, 3)  # too small for the original: padded


def test_the_motion_network_learns_nothing_from_restoration(tiny, photograph):
    """The pixel volume hands no gradient to the flow."""
    clip = clip_of(photograph, frames=2)
    with tf.GradientTape() as tape:
        restored, _ = tiny.step(window(clip, 1), tiny.first_state(clip))
        loss = tf.reduce_sum(tf.square(restored))
    gradients = tape.gradient(loss, [tiny.BIMNet.trainable_weights, tiny.PVDNet.trainable_weights])
    assert all(gradient is None for gradient in gradients[0])
    assert all(np.any(gradient) for gradient in gradients[1])


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_a_graph_for_unknown_sizes_gives_the_same(tiny, photograph, compiled):
    signature = [tf.TensorSpec([None, 3, None, None, 3])]
    function = tf.function(lambda frames: tiny.step(frames)[0], input_signature=signature, jit_compile=compiled)
    with implementation("tf"):  # which XLA can compile; the function is traced at its first call
        for height, width in ((64, 64), (70, 41)):
            frames = tf.constant(clip_of(photograph, 3, height, width))
            restored = tiny.step(frames)[0]
            # A flow within rounding of a whole number may choose another pixel.
            assert np.mean(np.abs(function(frames) - restored) > 1e-4) < 0.01


@pytest.mark.slow
def test_mixed_precision_gives_float32_frames_close_to_the_whole(tiny, photograph):
    with computing_in("bfloat16"):
        narrow = PVDNet(**TINY)
    narrow.set_weights(tiny.get_weights())
    clip = clip_of(photograph, frames=2)
    restored = narrow(clip)
    assert restored.dtype == "float32"
    assert 0 < np.abs(restored - tiny(clip)).mean() < 0.05


def test_the_arguments_of_a_network_rebuild_it(tiny):
    again = PVDNet.from_config(tiny.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in tiny.weights]


def test_a_volume_without_a_middle_is_refused():
    with pytest.raises(ValueError, match="pv_ksize=4 should be odd"):
        PVDNet(pv_ksize=4)


def test_networks_use_the_layers_of_this_project(tiny):
    for layer in tiny._flatten_layers():
        assert not type(layer).__module__.startswith("keras.src.layers.convolutional"), layer
