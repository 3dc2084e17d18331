"""Settings that do not fit together: refused by the network's card or the plan of a run, without TensorFlow."""

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models import CARDS, card_named
from ascendvsr.training.plan import read_plan
from ascendvsr.training.run import train


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("EDVR", {"edvr.center_frame_idx": 5}, "edvr.center_frame_idx is 5, and a window has model.num_frames 5"),
        ("EDVR", {"edvr.num_deform_groups": 7}, r"edvr.mid_channels \(64\) should be a multiple of"),
        ("EDVR", {"edvr.num_in_ch": 4}, "edvr.num_in_ch is 4 and edvr.num_out_ch is 3"),
        ("EDVR", {"edvr.hr_in": True}, "say edvr.with_predeblur True too"),
        ("RVRT", {"model.scale": 2}, "model.scale of RVRT should be 4 or 1, not 2"),
        ("RVRT", {"rvrt.window_size": [3, 8, 8]}, r"rvrt.window_size is \[3, 8, 8\]: windows are 1 or 2 frames"),
        ("RVRT", {"rvrt.attention_window": [3, 5]}, "rvrt.attention_window is .* square, of an odd side"),
        ("RVRT", {"rvrt.embed_dims": [144, 72, 144]}, "rvrt.embed_dims is .* the first two should be equal"),
        ("RVRT", {"rvrt.num_heads": [6, 5, 6]}, "144 is no multiple of 5"),
        ("RVRT", {"rvrt.inputconv_groups": [2, 1, 1, 1, 1, 1]}, "2 should divide the 3 channels that enter"),
        ("RVRT", {"rvrt.attention_heads": 7}, "rvrt.attention_heads is 7; .* it should divide 288"),
        ("RVRT", {"rvrt.deformable_groups": 7}, "rvrt.deformable_groups is 7; .* it should divide 576"),
        ("RVRT", {"rvrt.mlp_ratio": 1e-3}, "rvrt.mlp_ratio is 0.001: of 144 channels it leaves none"),
        ("CDVDTSP", {"model.num_frames": 4}, "model.num_frames of CDVDTSP should be 3, 5 or 7, not 4"),
        ("DBN", {"model.num_frames": 4}, "model.num_frames is 4: DBN and FlowDBN restore the middle one"),
        ("PVDNet", {"pvdnet.pv_ksize": 4}, "pvdnet.pv_ksize is 4; it should be odd"),
        ("BIMNet", {"flow.impl": "tf", "pvdnet.impl": "fused"}, "flow.impl is tf and pvdnet.impl is fused"),
    ],
)
def test_a_card_names_the_settings(name, settings, message):
    with pytest.raises(InputError, match=message):
        card_named(name).arguments(load_config(settings=settings))


@pytest.mark.parametrize(
    "impl", [{"flow.impl": "tf"}, {"pvdnet.impl": "tf"}, {"flow.impl": "tf", "pvdnet.impl": "tf"}]
)
def test_both_keys_of_the_implementation_set_that_of_a_bimnet_alone(impl):
    assert card_named("BIMNet").arguments(load_config(settings=impl)) == {"impl": "tf"}


@pytest.mark.parametrize("name", [card.name for card in CARDS if card.reads_clips and card.training])
def test_training_data_of_another_scale_than_the_networks_is_refused(name):
    frames = {"CDVDTSP": 5, "DBN": 5, "FlowDBN": 5}.get(name, 4)
    with pytest.raises(InputError, match=r"model.scale .* 3|model.scale is 3, and the output of .* is \d times"):
        read_plan(load_config(settings={"model.name": name, "model.scale": 3, "model.num_frames": frames}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data.train_in_size": [32, 16]}, r"data.use_transpose exchanges height and width, so data.train_in_size"),
        (
            {"data.train_in_size": [32, 16], "data.use_transpose": False, "data.augment.rot90": True},
            "data.augment.rot90 exchanges height and width",
        ),
        ({"data.augment.rot90": True, "data.augment.rotation": True}, "includes data.augment.rot90"),
        (
            {"data.crops_per_example": 3},
            r"a batch of 4 samples \(data.train_batch_size\) .* \(data.crops_per_example\)",
        ),
    ],
)
def test_batches_that_cannot_be_are_refused_before_their_data_are_read(settings, message):
    with pytest.raises(InputError, match=message):
        read_plan(load_config(settings=settings | {"data.data_dir": "nowhere"}))


def test_a_border_that_leaves_nothing_to_validate_on_is_refused_before_training(sample):
    settings = {"data.data_dir": str(sample), "solver.validation_interval": 100, "eval.crop_border": 200}
    with pytest.raises(
        InputError, match=r"eval.crop_border is 200, which leaves nothing of clip .* 320x256 pixels"
    ):
        read_plan(load_config(settings=settings))


def test_a_network_that_is_not_told_of_noise_is_validated_without(sample):
    settings = {"data.data_dir": str(sample), "solver.validation_interval": 100, "data.sigma": [0, 50]}
    assert read_plan(load_config(settings=settings)).validation.sigma is None


def test_files_where_folders_should_be_are_refused(sample, tmp_path):
    (tmp_path / "file").write_text("")
    settings = {"data.data_dir": str(sample), "output_dir": str(tmp_path / "file")}
    with pytest.raises(InputError, match=r"output_dir .*/file cannot be written: "):
        train(load_config(settings=settings))
    with pytest.raises(InputError, match=r"data.cache is .*/file, which is no folder"):
        train(load_config(settings=settings | {"data.cache": str(tmp_path / "file")}))
