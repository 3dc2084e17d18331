"""What TensorBoard shows of evaluation and inference."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.dataloader.image import read_image
from ascendcv.utils import summary
from ascendvsr.config import load_config
from ascendvsr.evaluation.evaluate import evaluate
from ascendvsr.models import card_named
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.restoration.board import PICTURES, some_of
from ascendvsr.restoration.inference import inference
from tests.ascendcv.utils.test_summary import written
from tests.networks import Mixture, runner


class WithFlow(Mixture):
    """It has a flow network inside, and tells something itself."""

    def __init__(self):
        super().__init__(scale=4)
        self.spynet = SpyNet()

    def call(self, clip, training=False):
        summary.scalar("inside", keras.ops.mean(clip))
        return super().call(clip, training)


@pytest.fixture
def configured(tmp_path, reds_set):
    settings = {"data.data_dir": str(reds_set), "output_dir": str(tmp_path / "out"), "eval.tensorboard": True}
    return load_config(settings=settings | {"checkpoint": "a.pth"})


def picture(event: tuple[int, np.ndarray]) -> np.ndarray:
    return tf.io.decode_png(event[1][2]).numpy()


def test_an_evaluation_shows_scores_input_output_truth_and_flow(configured, tmp_path, reds_set):
    result = evaluate(configured, card_named("EDVR"), lambda: runner(WithFlow()))
    found = written(tmp_path / "out/result/a/reds-val/tensorboard")
    for clip, video in zip(("000", "011"), result["videos"], strict=True):
        scores = [(step, float(value)) for step, value in found[f"{clip}/psnr"]]
        assert [step for step, _ in scores] == [0, 1, 2]
        assert [value for _, value in scores] == pytest.approx(
            [row["psnr"] for row in video["per_frame"]], rel=1e-6
        )
        for kind in ("input", "output", "truth", "flow"):
            assert [step for step, _ in found[f"{clip}/{kind}"]] == [0, 1, 2]
        low, truth = (read_image(reds_set / f"images/{clip}/{kind}/00000001.png") for kind in ("blur4", "truth"))
        np.testing.assert_array_equal(picture(found[f"{clip}/input"][1]), low)
        np.testing.assert_array_equal(picture(found[f"{clip}/output"][1]), low.repeat(4, 0).repeat(4, 1))
        np.testing.assert_array_equal(picture(found[f"{clip}/truth"][1]), truth)
        assert picture(found[f"{clip}/flow"][1]).shape == low.shape
    assert [step for step, _ in found["inside"]] == [0, 1, 2, 3, 4, 5]


def test_an_inference_shows_input_output_and_flow(configured, tmp_path, reds_set):
    inference(configured, card_named("EDVR"), lambda: runner(WithFlow()))
    found = written(tmp_path / "out/log/tensorboard/inference")
    low = read_image(reds_set / "images/011/blur4/00000002.png")
    np.testing.assert_array_equal(picture(found["011/input"][2]), low)
    np.testing.assert_array_equal(
        picture(found["011/output"][2]), read_image(Path(tmp_path, "out/test/011/blur4/00000002.png"))
    )
    assert [step for step, _ in found["011/flow"]] == [1, 2]
    assert not [tag for tag in found if tag.endswith("truth")]


def test_without_a_flow_network_no_flow_is_shown(configured, tmp_path):
    evaluate(configured, card_named("EDVR"), lambda: runner(Mixture(scale=4)))
    assert not [tag for tag in written(tmp_path / "out/result/a/reds-val/tensorboard") if tag.endswith("flow")]


@pytest.mark.parametrize("length", [1, 2, 7, 8, 100])
def test_some_frames_of_a_clip_are_shown_evenly(length: int):
    shown = sorted(some_of(length))
    assert (shown[0], shown[-1]) == (0, length - 1)
    assert len(shown) == min(length, PICTURES)
