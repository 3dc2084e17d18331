"""Clips, recurrent steps and flow: every kind of network is exported and gives the Keras model's values."""

import json

import keras
import numpy as np
import pytest

from ascendvsr.config import load_config
from ascendvsr.deployment.export import freeze
from ascendvsr.deployment.tensorflow_files import load_frozen_graph, load_saved_model
from ascendvsr.models import card_named
from ascendvsr.models.builder import build_model
from ascendvsr.restoration.loops import restored_frames
from tests.networks import Neighbors, Recurrence, runner


@pytest.fixture
def configured(tmp_path):
    """Settings of an export of any size into `out`, without a data set."""

    def make(name: str, **settings):
        free = {"data.eval_batch_size": -1, "data.eval_in_size": [-1, -1], "model.num_frames": 4}
        folders = {"output_dir": str(tmp_path / "out"), "data.data_dir": str(tmp_path / "none")}
        keys = {key.replace("__", "."): value for key, value in settings.items()}
        return load_config(settings={"model.name": name, "model.scale": 1} | folders | free | keys)

    return make


def frozen(cfg, network) -> dict:
    return freeze(cfg, card_named(cfg.model.name), network)


def clips(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape, dtype=np.float32)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_clip_gives_all_its_frames(tmp_path, configured, channels, folded):
    model = Neighbors(scale=2, in_channels=channels)
    formats = {"model__input_format_dimension": 4 if folded else 5, "rvrt__nonblind_denoising": channels == 4}
    parity = frozen(configured("RVRT", **formats), lambda: model)
    assert parity["frozen_graph"] < 1e-5
    facts = json.loads((tmp_path / "out/RVRT.json").read_text())
    assert facts["kind"] == "clip"
    assert facts["input"]["shape"] == [None, *([] if folded else [4]), None, None, channels]
    assert facts["output"]["shape"] == [None, 4, None, None, 3]
    assert ("noise" in facts["color"]) == (channels == 4)

    frames = clips(2, 4, 5, 7, channels)
    given = frames.reshape(8, 5, 7, channels) if folded else frames
    saved = load_saved_model(tmp_path / "out/RVRT_savedmodel")["serving_default"]
    for function in (load_frozen_graph(tmp_path / "out/RVRT.pb"), saved):
        np.testing.assert_allclose(function({"frames": given})["restored"], model(frames), atol=1e-6)


@pytest.mark.parametrize("form", ["frozen graph", "saved model"])
@pytest.mark.parametrize("uint8", [False, True])
def test_a_recurrent_network_is_a_step_that_hands_its_state_on(tmp_path, configured, form, uint8):
    """A video restored by the exported steps is the one that the network restores."""
    model = Recurrence()
    frozen(configured("PVDNet", model__convert_output_to_uint8=uint8), lambda: model)
    out, outputs = tmp_path / "out", ["restored", "next_restored"]
    facts = json.loads((out / "PVDNet.json").read_text())
    assert facts["kind"] == "recurrent"
    assert [state["name"] for state in facts["state"]] == ["state_restored:0"]
    assert "PVDNet_first.pb" in facts["start"]
    if form == "saved model":
        functions = load_saved_model(out / "PVDNet_savedmodel")
        first, step = functions["first"], functions["serving_default"]
    else:
        first, step = (load_frozen_graph(out / name, outputs) for name in ("PVDNet_first.pb", "PVDNet.pb"))

    frames, restored, state = clips(5, 6, 7, 3), [], None
    for t in range(5):
        window = np.stack([frames[max(t - 1, 0)], frames[t], frames[min(t + 1, 4)]])[np.newaxis]
        given = {"frames": window}
        results = first(given) if state is None else step(given | {"state_restored": state})
        restored.append(results["restored"][0])
        state = results["next_restored"]
    expected = np.stack(list(restored_frames(runner(model), frames)))
    if uint8:
        np.testing.assert_allclose(restored, 255 * expected, atol=0.51)
    else:
        np.testing.assert_allclose(restored, expected, atol=1e-6)


def test_a_pair_of_frames_gives_their_flow(tmp_path, configured):
    class Difference(keras.Model):
        def call(self, frames):
            return frames[0][..., :2] - frames[1][..., 1:]

    parity = frozen(configured("PWCNet"), Difference)
    assert parity["unit"] == "pixels"
    assert json.loads((tmp_path / "out/PWCNet.json").read_text())["output"]["name"] == "flow:0"
    pair = clips(1, 2, 5, 7, 3)
    flow = load_frozen_graph(tmp_path / "out/PWCNet.pb", ["flow"])({"frames": pair})["flow"]
    np.testing.assert_allclose(flow, pair[:, 0, ..., :2] - pair[:, 1, ..., 1:], atol=1e-6)


def test_a_state_that_differs_is_an_error(configured):
    class TwoFaced(Recurrence):
        def step(self, frames, state=None):
            restored, state = super().step(frames, state)
            wrong = 0.01 if frames.shape[2] is None else 0.0
            return restored, {"restored": state["restored"] + wrong}

    with pytest.raises(RuntimeError, match="in next_restored for an input of"):
        frozen(configured("PVDNet"), TwoFaced)


NARROW_RVRT = {
    "rvrt.num_blocks": [1, 1, 1],
    "rvrt.depths": [1, 1, 1],
    "rvrt.embed_dims": [24, 24, 24],
    "rvrt.num_heads": [2, 2, 2],
    "rvrt.deformable_groups": 4,
    "rvrt.attention_heads": 4,
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("RVRT", NARROW_RVRT),
        ("RVRT", NARROW_RVRT | {"model.scale": 4}),
        ("RVRT", NARROW_RVRT | {"rvrt.nonblind_denoising": True}),
        ("CDVDTSP", {"model.num_frames": 3, "cdvd_tsp.n_resblock": 1, "cdvd_tsp.n_feat": 8}),
        ("PVDNet", {"pvdnet.num_blocks": 1, "pvdnet.channels": 16}),
        ("DBN", {"model.num_frames": 3, "deblur_devil.num_feat": 8}),
        ("FlowDBN", {"model.num_frames": 3, "deblur_devil.num_feat": 8}),
        ("PWCNet", {}),
        ("PWCNetDevil", {}),
        ("FlowNet1S", {}),
        ("BIMNet", {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values()))[:30],
)
def test_every_family_with_free_sizes(configured, name, settings):
    keras.utils.set_random_seed(0)
    cfg = configured(name, **settings)
    parity = frozen(cfg, lambda: build_model(cfg))
    assert len({tuple(case["shape"]) for case in parity["cases"]}) == 3
    assert max(parity["frozen_graph"], parity["saved_model"]) < 1e-3
