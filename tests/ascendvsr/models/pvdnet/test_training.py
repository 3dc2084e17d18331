"""The two stages of PVDNet: the blur-invariant loss, one update a frame, and where BIMNet's weights come from."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.flow import bimnet_training as bimnet
from ascendvsr.models.flow.liteflownet import LiteFlowNet
from ascendvsr.models.pvdnet import training as pvdnet
from ascendvsr.models.pvdnet.network import PVDNet
from ascendvsr.training.groups import make_groups
from ascendvsr.weights import load_weights, save_weights, state_dict
from tests.ascendvsr.models.training_parts import inputs_of, training_of
from tests.networks import Recurrence
from tests.support import TINY_PVDNET


class Shift:
    """A flow network that has seen everything move by (x, y) pixels, and keeps what it was given."""

    def __init__(self, x: float = 0.0, y: float = 0.0):
        self.flow, self.given = (x, y), None

    def __call__(self, frames):
        self.given = frames
        return tf.broadcast_to(tf.constant(self.flow), (*frames[0].shape[:3], 2))


class Video(Recurrence):
    def first_state(self, frames):
        return {"restored": frames[:, 0]}


@pytest.fixture
def batch(photograph) -> dict[str, tf.Tensor]:
    """[2, 4, 16, 24, 3]: clips that show what is three pixels further right from frame to frame; 'lq' is darker."""
    clips = [
        [photograph[90 + n : 106 + n, left : left + 24] for left in range(200, 212, 3)]  # [4, 16, 24, 3]
        for n in range(2)
    ]
    truth = tf.constant(np.array(clips, np.float32) / 255)
    return {"lq": truth * 0.8, "gt": truth}


@pytest.fixture(scope="module")
def bimnet_file(tmp_path_factory) -> Path:
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("weights") / "bimnet.weights.h5"
    save_weights(LiteFlowNet(), path)
    return path


@pytest.fixture(scope="module")
def pvdnet_file(tmp_path_factory) -> Path:
    keras.utils.set_random_seed(4)
    path = tmp_path_factory.mktemp("weights") / "pvdnet.weights.h5"
    save_weights(PVDNet(num_blocks=1, channels=8), path)
    return path


def configured(tmp_path: Path, **changes: object):
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    return load_config(settings=TINY_PVDNET | {"output_dir": str(tmp_path / "outputs")} | keys)


def loss_of_bimnet(network, batch) -> tuple[float, dict[str, float]]:
    updates = bimnet.BIMNetUpdates()
    loss, report, _ = updates.loss(network, batch, tf.constant(0), updates.start(network, batch))
    return float(loss), {name: float(scalar) for name, scalar in report.items()}


def test_a_right_flow_has_no_warping_error(batch):
    """The error counts what comes from within the image only: columns that came in from outside do not."""
    loss, report = loss_of_bimnet(Shift(3.0), batch)
    assert loss == pytest.approx(0, abs=1e-10)
    assert report["loss/still"] > 1e-3


def test_without_motion_the_error_is_that_of_the_frames(batch):
    loss, report = loss_of_bimnet(Shift(), batch)
    truth = batch["gt"].numpy()
    assert loss == pytest.approx(np.square(truth[:, 1:] - truth[:, :-1]).mean(), rel=1e-5)
    assert report["loss/still"] == pytest.approx(loss, rel=1e-5)


def test_the_error_is_divided_by_what_comes_from_within_the_image(batch):
    truth = batch["gt"].numpy()
    loss, _ = loss_of_bimnet(Shift(4.0, 2.0), batch)  # 20 of 24 columns and 14 of 16 rows
    difference = truth[:, :-1, 2:, 4:] - truth[:, 1:, :-2, :-4]
    assert loss == pytest.approx(np.square(difference).mean(), rel=1e-5)


def test_the_flow_is_asked_of_all_four_combinations(batch):
    network = Shift()
    loss_of_bimnet(network, batch)
    reference, supporting = (np.split(frames, 4) for frames in network.given)
    blurred, sharp = (bimnet.pairs(batch[name]) for name in ("lq", "gt"))
    for name, current, previous in zip(bimnet.COMBINATIONS, reference, supporting, strict=True):
        for kind, frames, index in ((name[0], previous, 0), (name[1], current, 1)):
            np.testing.assert_array_equal(frames, {"b": blurred, "s": sharp}[kind][index])


def test_a_clip_gives_an_update_for_each_frame_between_two_others(batch):
    network, updates = Video(), pvdnet.PVDNetUpdates(4)
    assert updates.count == 2
    lq, truth = batch["lq"].numpy(), batch["gt"].numpy()
    state, before = updates.start(network, batch), lq[:, 0]
    for index in range(updates.count):
        loss, report, state = updates.loss(network, batch, tf.constant(index), state)
        restored = 0.1 * lq[:, index] + 0.4 * lq[:, index + 1] + 0.2 * lq[:, index + 2] + 0.3 * before
        error = np.square(restored - truth[:, index + 1])
        assert float(loss) == pytest.approx(4 * error.mean(), rel=1e-5)  # of frames in [-1, 1]
        assert float(report["psnr"]) == pytest.approx((-10 * np.log10(error.mean(axis=(1, 2, 3)))).mean(), rel=1e-4)
        before = restored


def test_fifteen_frames_give_thirteen_updates():
    updates = pvdnet.PVDNetTraining(load_config("configs/pvdnet/pvdnet_dvd.yaml")).updates()
    assert (updates.count, updates.reduction) == (13, "mean")


def test_only_the_deblurring_network_learns():
    names = list(state_dict(PVDNet(num_blocks=1, channels=8)))
    groups = make_groups(names, pvdnet.PVDNetTraining(load_config()).param_groups())
    learning = {names[index] for index in groups.active(10**9)}
    assert learning == {name for name in names if name.startswith("PVDNet.")}


def test_pictures(batch):
    sheet = bimnet.BIMNetTraining(load_config()).picture(Shift(3.0), batch)
    assert (sheet.shape, sheet.dtype) == ((16, 4 * 24, 3), np.uint8)
    strip = pvdnet.PVDNetTraining(load_config()).picture(Video(), batch)
    assert (strip.shape, strip.dtype) == ((16, 3 * 24, 3), np.uint8)
    np.testing.assert_array_equal(strip[:, 48:], np.rint(batch["gt"][0, 1] * 255))


def test_stage_two_refuses_an_untrained_bimnet_unless_told(tmp_path):
    with pytest.raises(InputError, match="bimnet_checkpoint"):
        inputs_of(configured(tmp_path))
    assert inputs_of(configured(tmp_path, pvdnet__allow_untrained_bimnet=True)) is None


@pytest.mark.parametrize("kind", ["bimnet", "pvdnet"])
def test_bimnet_is_taken_from_its_own_file_or_from_a_whole_pvdnet(kind, bimnet_file, pvdnet_file, tmp_path):
    path = {"bimnet": bimnet_file, "pvdnet": pvdnet_file}[kind]
    cfg = configured(tmp_path, pvdnet__bimnet_checkpoint=str(path))
    model = PVDNet(num_blocks=1, channels=8)
    training_of(cfg).initialize(model)
    again = LiteFlowNet() if kind == "bimnet" else PVDNet(num_blocks=1, channels=8)
    load_weights(again, path)
    expected = again if kind == "bimnet" else again.BIMNet
    for weight, taken in zip(expected.weights, model.BIMNet.weights, strict=True):
        np.testing.assert_array_equal(weight, taken)


def test_a_whole_pvdnet_to_start_from_brings_its_bimnet(pvdnet_file, tmp_path):
    assert inputs_of(configured(tmp_path, init_from=str(pvdnet_file))) is None
    with pytest.raises(InputError, match="both hold BIMNet"):
        inputs_of(configured(tmp_path, init_from=str(pvdnet_file), pvdnet__bimnet_checkpoint=str(pvdnet_file)))


def test_other_weights_are_no_bimnet(tiny_edvr_checkpoint, bimnet_file, tmp_path):
    with pytest.raises(InputError, match="holds no BIMNet"):
        inputs_of(configured(tmp_path, pvdnet__bimnet_checkpoint=str(tiny_edvr_checkpoint)))
    with pytest.raises(InputError, match="bimnet_checkpoint"):  # where a BIMNet is to be named
        inputs_of(configured(tmp_path, init_from=str(bimnet_file)))


def test_clips_that_are_too_short_are_refused(tmp_path):
    with pytest.raises(InputError, match="between two others"):
        inputs_of(configured(tmp_path, model__num_frames=1))
    with pytest.raises(InputError, match="pairs of frames"):
        inputs_of(configured(tmp_path, model__name="BIMNet", model__num_frames=1))


def test_bimnet_has_no_frames_to_validate(tmp_path):
    with pytest.raises(InputError, match="validation_interval 0"):
        inputs_of(configured(tmp_path, model__name="BIMNet", solver__validation_interval=10))
