"""BasicVSR: any clip, the same in steps, in a graph and in chunks; what its weights tell."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.layers.precision import computing_in
from ascendcv.utils.errors import InputError
from ascendvsr.models.basicvsr.card import CARDS
from ascendvsr.models.basicvsr.network import BasicVSR
from ascendvsr.models.detect import detect
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.settings import Settings
from ascendvsr.weights.mapping import load_state_dict, state_dict
from tests.ascendvsr.models.clips import clip_of, shaken


@pytest.fixture(scope="module")
def model() -> BasicVSR:
    keras.utils.set_random_seed(3)
    return shaken(BasicVSR(num_feat=6, num_block=1))


def restored(model: BasicVSR, clip: np.ndarray) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(clip))


def test_the_published_network_has_the_published_number_of_parameters():
    assert BasicVSR().count_params() == 6_291_311


@pytest.mark.parametrize("frames", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 33), (40, 35)])
def test_any_clip_is_restored_four_times_as_large(model, photograph, frames, height, width):
    clip = clip_of(photograph, frames=frames, height=height, width=width, batch=2)
    result = restored(model, clip)
    assert result.shape == (2, frames, 4 * height, 4 * width, 3)
    assert result.dtype == np.float32
    assert np.all(np.isfinite(result))


def test_frames_that_the_original_refuses_are_padded(model, photograph):
    """Sides up to 32 pixels: as many as it takes, the edge repeated, and the result cropped."""
    clip = clip_of(photograph, frames=3, height=32, width=20)
    padded = np.pad(clip, ((0, 0), (0, 0), (0, 1), (0, 13), (0, 0)), mode="edge")
    np.testing.assert_array_equal(restored(model, clip), restored(model, padded)[:, :, :128, :80])


def test_every_frame_knows_of_every_other(model, photograph):
    clip = clip_of(photograph, frames=4, height=36, width=40)
    before = restored(model, clip)
    for changed in (0, 3):
        other = clip.copy()
        other[:, changed] = 1 - other[:, changed]
        after = restored(model, other)
        assert all(np.abs(after[:, index] - before[:, index]).max() > 0 for index in range(4))


def test_a_clip_played_backward_passes_through_the_branches_in_the_other_order(photograph):
    keras.utils.set_random_seed(5)
    model = shaken(BasicVSR(num_feat=4, num_block=1))
    clip = clip_of(photograph, frames=3, height=36, width=40)
    forward = restored(model, clip)
    weights = state_dict(model)
    swapped = {name: weights[_other(name)] for name in weights}
    swapped["fusion.weight"] = np.roll(weights["fusion.weight"], 4, axis=1)
    load_state_dict(model, swapped)
    np.testing.assert_allclose(restored(model, clip[:, ::-1])[:, ::-1], forward, atol=1e-5)


def _other(name: str) -> str:
    branch, dot, rest = name.partition(".")
    return {"backward_trunk": "forward_trunk", "forward_trunk": "backward_trunk"}.get(branch, branch) + dot + rest


@pytest.mark.slow
def test_a_runner_and_a_graph_of_the_whole_give_the_same(model, photograph):
    clip = clip_of(photograph, frames=4, height=34, width=37)
    expected = restored(model, clip)
    runner = KerasRunner(model)
    assert (runner.kind, runner.scale, runner.window) == ("clip", 4, 0)
    np.testing.assert_allclose(runner(clip)[0], expected, atol=1e-5)
    graph = tf.function(model, input_signature=[tf.TensorSpec((None, 4, None, None, 3))], autograph=False)
    np.testing.assert_allclose(graph(clip), expected, atol=1e-5)


def test_a_long_video_in_chunks_is_nearly_the_whole(model, photograph):
    frames = list(clip_of(photograph, frames=12, height=36, width=40)[0])
    runner = KerasRunner(model)
    whole = np.stack(list(restored_frames(runner, frames, Settings(tile_frames=0))))
    chunks = np.stack(list(restored_frames(runner, frames, Settings(tile_frames=8, tile_frames_overlap=4))))
    apart = np.stack(list(restored_frames(runner, frames, Settings(tile_frames=4, tile_frames_overlap=0))))
    assert whole.shape == chunks.shape == (12, 144, 160, 3)
    error, error_apart = (np.square(result - whole).mean() for result in (chunks, apart))
    assert 0 < error < error_apart


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_the_bits_give_nearly_the_same(photograph, dtype):
    keras.utils.set_random_seed(3)
    exact = BasicVSR(num_feat=6, num_block=1)
    with computing_in(dtype):
        model = BasicVSR(num_feat=6, num_block=1)
    load_state_dict(model, state_dict(exact))
    clip = clip_of(photograph, frames=2, height=36, width=40)
    result = restored(model, clip)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, restored(exact, clip), atol=0.03)


def test_it_is_made_again_from_its_configuration(model):
    again = BasicVSR.from_config(model.get_config())
    config = again.get_config()
    assert (config["num_feat"], config["num_block"]) == (6, 1)
    assert state_dict(again).keys() == state_dict(model).keys()


def test_weights_tell_width_and_depth(model):
    architecture = detect(state_dict(model))
    assert architecture.settings == {
        "model.name": "BasicVSR",
        "model.scale": 4,
        "basicvsr.num_feat": 6,
        "basicvsr.num_block": 1,
    }


def test_a_part_of_a_checkpoint_is_refused(model):
    weights = {name: array for name, array in state_dict(model).items() if not name.endswith("trunk.main.0.weight")}
    with pytest.raises(
        InputError, match=r"holds a part of BasicVSR only: it lacks backward_trunk\.main\.0\.weight"
    ):
        detect(weights, "part.pth")


def test_weights_of_icon_vsr_are_no_basicvsr(model):
    weights = state_dict(model) | {"edvr.conv_first.weight": np.zeros((64, 3, 3, 3), np.float32)}
    assert CARDS[0].detect({name: array.shape for name, array in weights.items()}) == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_published_weights_reach_what_they_reached_elsewhere():
    """Seven frames of REDS: 30.27 dB of RGB, 31.62 dB of luma, against 25.85 dB of MATLAB's bicubic."""
    from ascendcv.dataloader.image import read_image
    from ascendcv.dataloader.layouts import read_layout
    from ascendvsr.evaluation.protocols import PROTOCOLS
    from ascendvsr.evaluation.scoring import evaluate_model
    from ascendvsr.models.zoo import record_named
    from ascendvsr.weights import load_weights
    from ascendvsr.weights.cache import place_of
    from tests.support import PROJECT

    data = PROJECT.parent / "shared/data/reds_7f"
    file = place_of(record_named("basicvsr_x4_reds"))
    if not data.is_dir() or not Path(file).exists():
        pytest.skip(f"needs frames in {data} and `ascendvsr download basicvsr_x4_reds`")
    assert read_image(data / "BIx4/00000000.png").shape == (180, 320, 3)
    network = BasicVSR()
    load_weights(network, file)
    clips = read_layout("pairs", data.parent, data.name, scale=4, lq_folder="BIx4", gt_folder="GT")
    total = evaluate_model(network, clips, PROTOCOLS["rvrt"], Settings(tile_frames=0))["total"]
    assert total["psnr"] == pytest.approx(30.27, abs=0.01)
    assert total["psnr_y"] == pytest.approx(31.62, abs=0.01)
    assert total["psnr_bicubic"] == pytest.approx(25.85, abs=0.01)
