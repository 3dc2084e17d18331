"""What training programs put around weights is taken off, and of raw weights and averages the right ones come."""

import logging

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models import card_named
from ascendvsr.weights.reader import load_checkpoint, read_checkpoint
from tests.ascendvsr.weights.torch_bytes import TorchFile

RAW = {"conv.weight": np.full((4, 3, 3, 3), 1.0, np.float32), "conv.bias": np.zeros(4, np.float32)}
AVERAGE = {name: array + np.float32(0.5) for name, array in RAW.items()}
ONE = np.array(1)


def prefixed(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {prefix + name: array for name, array in arrays.items()}


@pytest.fixture
def stored(tmp_path):
    """Writes a tree as a torch file."""

    def write(tree: object):
        (tmp_path / "weights.pth").write_bytes(TorchFile().zip(tree))
        return tmp_path / "weights.pth"

    return write


def value(path, weights: str = "auto") -> float:
    arrays = load_checkpoint(path, weights)
    assert arrays.keys() == RAW.keys()
    return float(arrays["conv.weight"].flat[0])


# --- prefixes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["generator.", "net_g.", "net.", "netG.", "Network.", "module.", "_orig_mod."])
@pytest.mark.parametrize("outer", ["", "module.", "model.module.", "_orig_mod.generator."])
def test_prefixes_of_programs_and_wrappers_are_taken_off(stored, prefix, outer):
    assert value(stored({"state_dict": prefixed(outer + prefix, RAW)})) == 1


@pytest.mark.parametrize("counter", ["step_counter", "n_averaged", "steps", "num_updates"])
def test_counters_beside_the_weights_do_not_hide_a_prefix(stored, counter):
    assert value(stored({counter: ONE} | prefixed("module.", RAW))) == 1
    assert value(stored({"state_dict": {counter: ONE} | prefixed("generator.", RAW)})) == 1
    assert value(stored(prefixed("generator.", {counter: ONE} | prefixed("module.", RAW)))) == 1


def test_a_part_of_the_names_with_a_prefix_is_a_part_of_the_network(stored):
    tree = {"net.a": np.zeros(2, np.float32), "tail.a": np.ones(2, np.float32)}
    assert load_checkpoint(stored(tree)).keys() == tree.keys()


@pytest.mark.parametrize(
    "keys",
    [
        ("checkpoint", "model"),
        ("model", "state_dict"),
        ("model", "module", "params"),
        ("my_run", "state_dict"),
        ("G",),
    ],
)
def test_wrappers_inside_each_other(stored, keys):
    tree = prefixed("module.generator.", RAW)
    for key in reversed(keys):
        tree = {key: tree, "epoch": 3}
    assert value(stored(tree)) == 1


def test_what_an_optimizer_keeps_is_no_network(stored):
    moments = {"state": {"conv.weight": {"exp_avg": np.zeros(3, np.float32)}}}
    assert value(stored({"net_g": RAW, "optimizer": moments, "optimizer_g": moments})) == 1


def test_a_dict_that_holds_itself_many_times_ends(stored):
    """A pickle of a few bytes whose paths would be billions."""
    from tests.ascendvsr.weights.torch_bytes import Raw

    items = b"".join(TorchFile().value(f"k{index}") + b"h\x01" for index in range(200))
    with pytest.raises(InputError, match="dicts hold more than"):
        load_checkpoint(stored(Raw(b"}q\x01(" + items + b"u")))


# --- averages -----------------------------------------------------------------------------------------------

PAIRS = [
    ("params", "params_ema"),
    ("model", "ema"),
    ("model", "model_ema"),
    ("state_dict", "ema_state_dict"),
    ("state_dict", "state_dict_ema"),
    ("net_g", "net_g_ema"),
    ("generator", "generator_ema"),
    ("model", "ema_model"),
    ("model", "averaged_model"),
    ("model", "swa_model"),
    ("network", "EMA"),
    ("weights", "shadow"),
]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("raw", "average"), PAIRS)
def test_the_average_is_taken_and_the_choice_is_between_both(stored, raw, average, order):
    path = stored(dict([(raw, RAW), (average, AVERAGE)][::order]))
    assert value(path) == value(path, "ema") == 1.5
    assert value(path, "raw") == 1


@pytest.mark.parametrize(
    "average",
    [
        {"state_dict": AVERAGE},
        {"module": AVERAGE, "updates": 7},
        {"decay": 0.999, "shadow": AVERAGE},
        {"n_averaged": ONE} | prefixed("module.", AVERAGE),
        {"steps": ONE} | prefixed("module.generator.", AVERAGE),
    ],
)
def test_an_average_may_be_wrapped_itself(stored, average):
    path = stored({"model": prefixed("module.", RAW), "ema": average})
    assert (value(path), value(path, "raw")) == (1.5, 1)


def test_an_average_beside_weights_at_the_top(stored):
    path = stored(RAW | {"ema": AVERAGE})
    assert (value(path), value(path, "raw")) == (1.5, 1)


@pytest.mark.parametrize(("raw", "average"), [("generator", "generator_ema"), ("online_model", "ema_model")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_both_in_one_dict_under_different_prefixes(stored, raw, average, wrapped):
    both = {"step_counter": ONE} | prefixed(f"{raw}.", RAW) | prefixed(f"{average}.module.", AVERAGE)
    both = {name.replace(f"{raw}.", f"{raw}.module."): array for name, array in both.items()}
    path = stored({"state_dict": both} if wrapped else both)
    assert (value(path), value(path, "ema"), value(path, "raw")) == (1.5, 1.5, 1)


def test_pytorchs_averaged_model_is_an_average(stored):
    path = stored({"n_averaged": ONE} | prefixed("module.", AVERAGE))
    assert value(path) == value(path, "ema") == 1.5
    with pytest.raises(InputError, match=r"weights\.pth holds the moving average alone .*n_averaged"):
        value(path, "raw")


def test_mmengine_exchanges_both_when_it_saves(stored):
    """Its `state_dict` is the average then, and `ema_state_dict` what is trained on."""
    averaged = {"steps": ONE} | prefixed("module.generator.", RAW)
    tree = {
        "meta": {"mmengine_version": "0.10.3"},
        "state_dict": prefixed("generator.", AVERAGE),
        "ema_state_dict": averaged,
    }
    path = stored(tree)
    assert (value(path), value(path, "raw")) == (1.5, 1)


def test_what_was_taken_is_said(stored, caplog):
    path = stored({"params": RAW, "params_ema": AVERAGE})
    with caplog.at_level(logging.INFO, "ascendvsr.weights"):
        assert read_checkpoint(path).words == "the moving average params_ema, not the weights themselves"
        assert read_checkpoint(path, "raw").words == "the weights params, not the moving average params_ema"
    assert [str(path) in message for message in caplog.messages] == [True, True]
    assert read_checkpoint(stored({"params": RAW})).words == ""


def test_a_choice_that_a_file_does_not_give_is_refused(stored):
    with pytest.raises(InputError, match=r"weights\.pth holds no moving average"):
        value(stored({"params": RAW}), "ema")
    with pytest.raises(InputError, match=r"holds the moving average alone \(params_ema\)"):
        value(stored({"params_ema": AVERAGE}), "raw")
    assert value(stored({"params": RAW}), "raw") == 1
    with pytest.raises(InputError, match="auto, raw, ema"):
        value(stored({"params": RAW}), "average")


def test_several_networks_and_several_averages_are_refused_by_name(stored):
    tree = {"netG": RAW, "netD": RAW, "netG_ema": AVERAGE, "netD_ema": AVERAGE}
    with pytest.raises(InputError, match=r"several networks \(netG_ema, netD_ema\)"):
        value(stored(tree))


# --- another program's names --------------------------------------------------------------------------------


def test_mmagics_names_of_edvr_are_the_official_ones():
    names = card_named("EDVR").other_names
    expected = {
        "feat_l2_conv1.conv.weight": "conv_l2_1.weight",
        "feat_l3_conv2.conv.bias": "conv_l3_2.bias",
        "pcd_alignment.offset_conv1.l3.conv.weight": "pcd_align.offset_conv1.l3.weight",
        "pcd_alignment.dcn_pack.l1.conv_offset.bias": "pcd_align.dcn_pack.l1.conv_offset.bias",
        "pcd_alignment.dcn_pack.l1.weight": "pcd_align.dcn_pack.l1.weight",
        "pcd_alignment.feat_conv.l2.conv.weight": "pcd_align.feat_conv.l2.weight",
        "pcd_alignment.cas_offset_conv2.conv.bias": "pcd_align.cas_offset_conv2.bias",
        "fusion.feat_fusion.conv.weight": "fusion.feat_fusion.weight",
        "fusion.spatial_attn5.weight": "fusion.spatial_attn5.weight",
        "fusion.spatial_attn_l1.conv.bias": "fusion.spatial_attn_l1.bias",
        "reconstruction.9.conv2.weight": "reconstruction.9.conv2.weight",
        "upsample2.upsample_conv.weight": "upconv2.weight",
        "conv_last.bias": "conv_last.bias",
    }
    assert {name: names.official(name) for name in expected} == expected


def as_mmagic_calls(name: str) -> str:
    """The name that mmagic's EDVRNet has for an official one; written from its source, apart from the rules."""
    for start, other in (
        ("pcd_align.", "pcd_alignment."),
        ("conv_l2_", "feat_l2_conv"),
        ("conv_l3_", "feat_l3_conv"),
    ):
        if name.startswith(start):
            name = other + name.removeprefix(start)
    for number in "12":
        name = name.replace(f"upconv{number}.", f"upsample{number}.upsample_conv.")
    in_module = ("feat_l", "pcd_alignment.offset", "pcd_alignment.feat_conv", "pcd_alignment.cas_offset")
    in_module += ("fusion.feat_fusion", "fusion.spatial_attn_l", "fusion.spatial_attn_add1")
    in_module += tuple(f"fusion.spatial_attn{number}." for number in "1234")
    if name.startswith(in_module):
        stem, _, leaf = name.rpartition(".")
        name = f"{stem}.conv.{leaf}"
    return name


def test_a_checkpoint_of_mmagics_edvr_is_one_of_edvr(stored, tmp_path):
    from ascendvsr.models.builder import build_model
    from ascendvsr.weights import load_weights, state_dict
    from tests.support import TINY_EDVR

    model = build_model(load_config(settings=TINY_EDVR))
    arrays = {name: array + np.float32(0.25) for name, array in state_dict(model).items()}
    renamed = {f"generator.{as_mmagic_calls(name)}": array for name, array in arrays.items()}
    assert len(set(renamed) & {f"generator.{name}" for name in arrays}) < len(arrays) / 2
    path = stored({"meta": {"epoch": 1}, "state_dict": {"step_counter": ONE} | renamed})
    assert load_weights(model, path).complete
    for name, array in state_dict(model).items():
        np.testing.assert_array_equal(array, arrays[name])


def test_mmagics_names_of_basicvsr_are_the_official_ones():
    names = card_named("BasicVSR").other_names
    expected = {
        "backward_resblocks.main.0.weight": "backward_trunk.main.0.weight",
        "forward_resblocks.main.2.29.conv2.bias": "forward_trunk.main.2.29.conv2.bias",
        "spynet.basic_module.5.basic_module.0.conv.weight": "spynet.basic_module.5.basic_module.0.weight",
        "spynet.basic_module.0.basic_module.3.conv.bias": "spynet.basic_module.0.basic_module.6.bias",
        "spynet.basic_module.2.basic_module.4.conv.bias": "spynet.basic_module.2.basic_module.8.bias",
        "spynet.mean": "spynet.mean",
        "upsample1.upsample_conv.weight": "upconv1.weight",
    }
    assert {name: names.official(name) for name in expected} == expected
