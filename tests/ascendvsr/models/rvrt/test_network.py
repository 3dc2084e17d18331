"""RVRT: the six tasks, any number of frames of any size, precision, checkpointing, and configurations."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ascendcv.layers.precision import computing_in
from ascendcv.ops.registry import implementation
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.builder import build_model
from ascendvsr.models.rvrt.network import RVRT
from ascendvsr.weights import load_state_dict
from ascendvsr.weights.mapping import state_dict
from tests.ascendvsr.models import clips
from tests.ascendvsr.models.clips import shaken

TINY = {
    "num_blocks": (1, 1, 1),
    "embed_dims": (12, 12, 12),
    "num_heads": (2, 2, 2),
    "deformable_groups": 2,
    "attention_heads": 2,
}
TASKS = {
    "x4": {},
    "deblurring": {"upscale": 1, "inputconv_groups": (1, 3, 3, 3, 3, 3)},
    "denoising": {"upscale": 1, "inputconv_groups": (1, 3, 4, 6, 2, 4), "nonblind_denoising": True},
}
# Published checkpoints have so many parameters.
PARAMETERS = {
    "001_videosr_bi_reds_30frames": 10_782_295,
    "002_videosr_bi_vimeo_14frames": 10_782_295,
    "003_videosr_bd_vimeo_14frames": 10_782_295,
    "004_videodeblurring_dvd_16frames": 13_573_159,
    "005_videodeblurring_gopro_16frames": 13_573_159,
    "006_videodenoising_davis_16frames": 12_786_919,
}
# Configurations that make the same network as another one here.
ALIKE = {"002": "001", "003": "001", "005": "004"}

clip_of = functools.partial(clips.clip_of, frames=4)


@pytest.fixture(scope="module")
def networks() -> dict[str, RVRT]:
    keras.utils.set_random_seed(1)
    return {task: shaken(RVRT(**TINY, **arguments)) for task, arguments in TASKS.items()}


@pytest.fixture(scope="module")
def tiny(networks) -> RVRT:
    return networks["x4"]


def with_noise_map(clip: np.ndarray, deviation: float = 30 / 255) -> np.ndarray:
    return np.concatenate([clip, np.full_like(clip[..., :1], deviation)], axis=-1)


@pytest.mark.parametrize("name", [name for name in PARAMETERS if name[:3] not in ALIKE])
def test_the_published_variants_have_the_published_number_of_parameters(name):
    model = build_model(load_config(f"configs/rvrt/{name}.yaml"))
    assert model.count_params() == PARAMETERS[name]


@pytest.mark.parametrize(("name", "other"), ALIKE.items())
def test_tasks_of_one_architecture_configure_one_network(name, other):
    files = {file[:3]: f"configs/rvrt/{file}.yaml" for file in PARAMETERS}
    network, same = (load_config(files[number]) for number in (name, other))
    trained = ("spynet_checkpoint", "fix_iter", "use_checkpoint_ffn")
    assert network.model.scale == same.model.scale
    assert {k: v for k, v in network.rvrt.items() if k not in trained} == {
        k: v for k, v in same.rvrt.items() if k not in trained
    }


@pytest.mark.parametrize("task", TASKS)
def test_every_task_restores_and_all_its_weights_learn(networks, task, photograph):
    model = networks[task]
    clip = clip_of(photograph, height=32, width=36)
    clip = with_noise_map(clip) if model.in_channels == 4 else clip
    with tf.GradientTape() as tape:
        restored = model(clip)
        loss = tf.reduce_sum(tf.square(restored))
    assert restored.shape == (1, 4, 32 * model.scale, 36 * model.scale, 3)
    gradients = tape.gradient(loss, model.trainable_weights)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.any(gradient), variable.path


@settings(max_examples=6, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), frames=st.integers(1, 4))
def test_any_size_and_number_of_frames_is_taken(networks, photograph, height, width, frames):
    for task in ("x4", "deblurring"):
        model = networks[task]
        restored = model(clip_of(photograph, height=height, width=width, frames=frames))
        assert restored.shape == (1, frames, model.scale * height, model.scale * width, 3)
        assert np.isfinite(restored).all()


@pytest.mark.parametrize("frames", [1, 3])
def test_an_odd_clip_goes_on_with_its_last_frame(tiny, photograph, frames):
    clip = clip_of(photograph, frames=frames)
    even = np.concatenate([clip, clip[:, -1:]], axis=1)
    np.testing.assert_array_equal(tiny(clip), tiny(even)[:, :frames])


def test_padding_repeats_the_last_row_and_column(networks, photograph):
    model = networks["deblurring"]
    clip = clip_of(photograph, height=13, width=18)
    padded = np.pad(clip, ((0, 0), (0, 0), (0, 3), (0, 2), (0, 0)), mode="edge")
    np.testing.assert_array_equal(model(clip), model(padded)[:, :, :13, :18])


def test_cropping_drops_what_the_original_could_not_take(photograph):
    model = RVRT(**TINY, upscale=1, size="crop")
    clip = clip_of(photograph, height=13, width=18)
    np.testing.assert_array_equal(model(clip), model(clip[:, :, :12, :16]))
    with pytest.raises(InputError, match="side of 3 pixels"):
        model(clip[:, :, :3])


def test_a_batch_is_its_clips_one_by_one(tiny, photograph):
    clips = clip_of(photograph, batch=2)
    one_by_one = np.concatenate([tiny(clip[None]) for clip in clips])
    np.testing.assert_allclose(tiny(clips), one_by_one, atol=1e-5)


def test_every_frame_sees_all_frames(tiny, photograph):
    clip = clip_of(photograph)
    for changed in range(4):
        other = clip.copy()
        other[:, changed] = 0.5
        difference = np.abs(tiny(clip) - tiny(other)).max(axis=(0, 2, 3, 4))
        assert np.all(difference > 0), changed


def test_denoising_looks_at_the_noise_map(networks, photograph):
    model, clip = networks["denoising"], clip_of(photograph, height=32, width=32)
    weak, strong = (np.asarray(model(with_noise_map(clip, deviation / 255))) for deviation in (10, 50))
    noise_map = with_noise_map(clip, 10 / 255)
    noise_map[:, :, :, 16:, 3] = 50 / 255
    both = np.asarray(model(noise_map))
    assert np.abs(weak - strong).max() > 1e-4
    assert np.abs(both - weak)[:, :, :, 16:].max() > 1e-4


def test_in_steps_it_restores_the_same_with_graphs_that_serve_any_number_of_frames(networks, photograph):
    model, graphs = networks["deblurring"], []

    def compiled(function):
        graphs.append(tf.function(function, autograph=False))
        return graphs[-1]

    restore = model.in_steps(compiled)
    for frames in (5, 8):
        clip = clip_of(photograph, frames=frames, height=34, width=33)
        np.testing.assert_allclose(restore(clip), model(clip), atol=1e-4)
    traces = [graph.experimental_get_tracing_count() for graph in graphs]
    assert sorted(traces) == [1] * 14 + [2]  # the flow between all frames is one step


@pytest.mark.slow
def test_a_graph_for_unknown_sizes_gives_the_same(tiny, photograph):
    function = tf.function(tiny, input_signature=[tf.TensorSpec([None, 4, None, None, 3])], autograph=False)
    with implementation("tf"):
        for height, width in ((16, 20), (9, 14)):
            clip = clip_of(photograph, height=height, width=width)
            np.testing.assert_allclose(function(clip), tiny(clip), atol=1e-4)


@pytest.mark.slow
def test_xla_gives_the_same(tiny, photograph):
    clip = clip_of(photograph)
    with implementation("tf"):
        compiled = tf.function(tiny, jit_compile=True, autograph=False)(clip)
        np.testing.assert_allclose(compiled, tiny(clip), atol=1e-4)


def test_mixed_precision_gives_float32_frames_close_to_the_whole(tiny, photograph):
    with computing_in("bfloat16"):
        narrow = RVRT(**TINY)
    narrow.set_weights(tiny.get_weights())
    clip = clip_of(photograph)
    restored = narrow(clip)
    assert restored.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in narrow.weights)
    difference = np.abs(restored - tiny(clip))
    assert 0 < difference.mean() < 0.02


def test_checkpointing_changes_no_gradient(tiny, photograph):
    again = RVRT(**TINY, use_checkpoint_attn=True, use_checkpoint_ffn=True)
    again.set_weights(tiny.get_weights())
    clip = clip_of(photograph)

    def gradients(model):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(clip, training=True)))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    for kept, computed in zip(gradients(tiny), gradients(again), strict=True):
        # What is computed a second time is rounded in another order, which shows in the smallest elements alone.
        assert np.linalg.norm(computed - kept) <= 1e-5 * np.linalg.norm(kept)


def test_checkpointing_can_spare_branches():
    model = RVRT(**TINY, use_checkpoint_attn=True, no_checkpoint_attn_blocks=(0, 3))
    layers = [model.backbone[branch].main["5"][0].residual_group.blocks[0] for branch in model.backbone]
    assert [layer.use_checkpoint_attn for layer in layers] == [False, True, True, False]


def test_index_tables_in_a_checkpoint_are_accepted_and_checked(tiny):
    weights = state_dict(tiny)
    name = "reconstruction.main.5.0.residual_group.blocks.1.attn.relative_position_index"
    table = tiny.reconstruction.main["5"][0].residual_group.blocks[1].attn.official_constants
    given = weights | {name: table["relative_position_index"]}
    assert load_state_dict(RVRT(**TINY), given).complete
    with pytest.raises(InputError, match=f"of another network than RVRT: {name}"):
        load_state_dict(RVRT(**TINY), weights | {name: np.zeros((64, 64), np.int64)})


def test_weights_of_another_task_are_refused(networks):
    with pytest.raises(InputError, match=r"feat_extract\.1\.weight 12x4x1x3x3 instead of 12x3x1x3x3"):
        load_state_dict(networks["deblurring"], state_dict(networks["denoising"]))


def test_the_arguments_of_a_network_rebuild_it(tiny):
    again = RVRT.from_config(tiny.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in tiny.weights]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"upscale": 2}, "upscale=2 should be 4 or 1"),
        ({"clip_size": 4}, "clip_size=4 should be 2"),
        ({"window_size": (4, 8, 8)}, "1 or 2 frames long"),
        ({"embed_dims": (48, 96, 48)}, r"first two of embed_dims=\(48, 96, 48\)"),
        ({"num_heads": (5, 6, 6)}, "144 channels cannot be divided among 5 heads"),
        ({"attention_window": (3, 5)}, r"attention_window=\(3, 5\) should be square and odd"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RVRT(**arguments)


def test_networks_use_the_layers_of_this_project(tiny):
    for layer in tiny._flatten_layers():
        assert not type(layer).__module__.startswith("keras.src.layers.convolutional"), layer
