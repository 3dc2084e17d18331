"""Exported networks load without this project and give the Keras model's pixels."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from ascendcv.dataloader.pixels import quantize
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.deployment.export import freeze
from ascendvsr.deployment.tensorflow_files import load_frozen_graph, load_saved_model
from ascendvsr.models import card_named
from ascendvsr.models.keras_runner import KerasRunner
from tests.networks import Mixture, runner
from tests.support import TINY_EDVR


@pytest.fixture
def configured(tmp_path):
    """Settings of an export into `out`, with any size and any number of windows, without a data set."""

    def make(**settings):
        keys = {key.replace("__", "."): value for key, value in settings.items()}
        free = {"data.eval_batch_size": -1, "data.eval_in_size": [-1, -1]}
        folders = {"output_dir": str(tmp_path / "out"), "data.data_dir": str(tmp_path / "none")}
        return load_config(settings=TINY_EDVR | folders | free | keys)

    return make


def frozen(cfg, network) -> dict:
    return freeze(cfg, card_named(cfg.model.name), network)


def clips(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape, dtype=np.float32)


@pytest.mark.slow
def test_edvr_with_free_sizes_gives_the_same_pixels_in_a_process_without_this_project(
    tmp_path, configured, tiny_edvr, capsys
):
    cfg = configured(model__input_format_dimension=4, model__convert_output_to_uint8=True)
    parity = frozen(cfg, lambda: tiny_edvr)
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "EDVR.json",
        "EDVR.parity.json",
        "EDVR.pb",
        "EDVR_savedmodel",
    ]
    assert json.loads((out / "EDVR.parity.json").read_text()) == parity
    assert len({tuple(case["shape"]) for case in parity["cases"]}) == 3
    assert max(parity["frozen_graph"], parity["saved_model"]) <= 1
    printed = capsys.readouterr().out
    assert f"EDVR.pb: differs from the Keras model by {parity['frozen_graph']:.2e}" in printed

    frames = clips(2, 5, 21, 30, 3)
    np.save(tmp_path / "frames.npy", frames.reshape(10, 21, 30, 3))
    script = f"""
        import sys
        import numpy as np
        import tensorflow as tf
        frames = tf.constant(np.load({str(tmp_path / "frames.npy")!r}))
        graph = tf.compat.v1.GraphDef.FromString(open({str(out / "EDVR.pb")!r}, "rb").read())
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            tf.import_graph_def(graph, name="")
            frozen = session.run("restored:0", {{"frames:0": np.load({str(tmp_path / "frames.npy")!r})}})
        module = tf.saved_model.load({str(out / "EDVR_savedmodel")!r})
        saved = module.signatures["serving_default"](frames=frames)["restored"].numpy()
        assert not any(name.split(".")[0] in ("ascendcv", "ascendvsr") for name in sys.modules)
        np.savez({str(tmp_path / "restored.npz")!r}, frozen=frozen, saved=saved)
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, cwd=tmp_path, env=environment)
    expected = quantize(KerasRunner(tiny_edvr)(frames)[0], np.uint8).astype(int)
    restored = np.load(tmp_path / "restored.npz")
    for kind in ("frozen", "saved"):
        assert restored[kind].dtype == np.uint8
        assert restored[kind].shape == (2, 84, 120, 3)
        assert np.abs(restored[kind] - expected).max() <= 1


@pytest.mark.parametrize("dimension", [4, 5])
@pytest.mark.parametrize("uint8", [False, True])
@pytest.mark.parametrize("batch", [-1, 2])
@pytest.mark.parametrize("size", [[-1, -1], [12, -1], [12, 14]])
def test_every_format_of_input_and_output(tmp_path, configured, dimension, uint8, batch, size):
    cfg = configured(
        model__input_format_dimension=dimension,
        model__convert_output_to_uint8=uint8,
        data__eval_batch_size=batch,
        data__eval_in_size=size,
    )
    model = Mixture(proportions=[0.1, 0.2, 0.4, 0.1, 0.2])
    parity = frozen(cfg, lambda: model)
    assert len(parity["cases"]) == (1 if batch == 2 and size == [12, 14] else 2 if size == [12, 14] else 3)

    facts = json.loads((tmp_path / "out/EDVR.json").read_text())
    height, width = (None if value == -1 else value for value in size)
    number = None if batch == -1 else batch
    leading = [number and number * 5] if dimension == 4 else [number, 5]
    assert facts["input"]["name"] == "frames:0"
    assert facts["input"]["shape"] == [*leading, height, width, 3]
    assert facts["output"]["dtype"] == ("uint8" if uint8 else "float32")

    frames = clips(2, 5, 12, 14, 3)
    expected, _ = runner(model)(frames)
    expected = quantize(expected, np.uint8) if uint8 else expected
    given = frames.reshape(10, 12, 14, 3) if dimension == 4 else frames
    graph = load_frozen_graph(tmp_path / "out/EDVR.pb")
    saved = load_saved_model(tmp_path / "out/EDVR_savedmodel")["serving_default"]
    for function in (graph, saved):
        restored = function({"frames": given})["restored"]
        assert restored.dtype == expected.dtype
        np.testing.assert_allclose(restored.astype(float), expected.astype(float), atol=1 if uint8 else 1e-5)


def test_pictures_of_the_evaluation_set_are_used_where_there_is_one(configured, reds_set):
    parity = frozen(configured(data__data_dir=str(reds_set)), Mixture)
    assert "clip 000" in parity["content"]
    assert "noise" in frozen(configured(), Mixture)["content"]


@pytest.mark.parametrize("wrong", [0.01, float("nan")])
def test_a_graph_that_differs_is_an_error_and_replaces_nothing(tmp_path, configured, wrong):
    """A network that computes something else in a graph of unknown size than in one of known size."""

    class TwoFaced(Mixture):
        def call(self, clip, training=False):
            return super().call(clip) + (wrong if clip.shape[2] is None else 0.0)

    frozen(configured(), Mixture)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(RuntimeError, match="the frozen_graph differs from the Keras model by"):
        frozen(configured(), TwoFaced)
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    "settings",
    [{"data__eval_batch_size": 0}, {"data__eval_in_size": [-1, 0]}, {"data__eval_in_size": [32]}],
)
def test_sizes_that_mean_nothing_are_refused(configured, settings):
    with pytest.raises(InputError, match=next(iter(settings)).replace("__", r"\.")):
        frozen(configured(**settings), lambda: pytest.fail("too early"))
