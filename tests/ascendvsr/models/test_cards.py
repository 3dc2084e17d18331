"""What a card says of a network is so: of each card in the list, whoever adds the next one."""

import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.losses.ms_ssim import MINIMUM_SIDE as SMALLEST_OF_THE_LOSS
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.config.schema import settings
from ascendvsr.evaluation.protocols import PROTOCOLS
from ascendvsr.models import CARDS, FLOW_NAMES, card_named, card_of
from ascendvsr.models.builder import build_model
from ascendvsr.models.card import imported
from ascendvsr.models.cdvd_tsp.inputs import MINIMUM_SIDE
from ascendvsr.models.detect import check_matches, detect, flow_weights
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.models.training import Training
from ascendvsr.weights import state_dict
from tests.support import PROJECT, TINY_CDVD_TSP, TINY_EDVR, TINY_PVDNET, TINY_RVRT

# Settings of a small network; a network that is not here is built by its defaults.
TINY_DBN = {"model.scale": 1, "model.num_frames": 3, "deblur_devil.num_feat": 4}
TINY = {
    "EDVR": TINY_EDVR,
    "RVRT": TINY_RVRT,
    "CDVDTSP": TINY_CDVD_TSP | {"model.num_frames": 3},
    "PVDNet": TINY_PVDNET,
    "DBN": TINY_DBN,
    "FlowDBN": TINY_DBN,
    "BasicVSR": {"basicvsr.num_feat": 4, "basicvsr.num_block": 1},
}

of_each_card = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


def configured(card):
    return load_config(settings=TINY.get(card.name, {}) | {"model.name": card.name})


@pytest.fixture(scope="module")
def built():
    """A maker of the small network of a card, once per card."""
    networks = {}

    def make(card) -> keras.Model:
        if card.name not in networks:
            keras.utils.set_random_seed(0)
            networks[card.name] = build_model(configured(card))
        return networks[card.name]

    return make


@pytest.fixture
def without_graphs():
    """Computing one small call takes less time than making the graph of it."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_every_name_means_one_network():
    names = [name for card in CARDS for name in (card.name, *card.aliases)]
    assert len(names) == len(set(names))
    for card in CARDS:
        assert all(card_named(name) is card for name in (card.name, *card.aliases))
    with pytest.raises(InputError, match=r"model\.name is 'SRCNN'; it should be one of EDVR, "):
        card_named("SRCNN")


def test_the_list_is_read_without_what_computes():
    script = "import sys, ascendvsr.models; print(*{'keras', 'tensorflow', 'numpy'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True)
    assert (process.returncode, process.stdout.split()) == (0, []), process.stderr


@of_each_card
def test_the_class_is_the_one_whose_objects_have_the_card(card):
    network = imported(card.network)
    assert issubclass(network, keras.Model)
    assert card_of(object.__new__(network)) is card
    assert card_of(object.__new__(type("Own", (network,), {}))) is card


def test_other_objects_have_no_card():
    with pytest.raises(InputError, match="Model is none of the networks here: EDVR, "):
        card_of(keras.Model())


@of_each_card
def test_the_constructor_takes_what_the_defaults_give(card):
    parameters = inspect.signature(imported(card.network)).parameters.values()
    named = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    needed = {
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    given = card.arguments(load_config(settings={"model.name": card.name})).keys()
    assert needed <= given <= named


@of_each_card
def test_weights_tell_their_network(card, built):
    weights, cfg = state_dict(built(card)), configured(card)
    architecture = detect(weights)
    assert card_named(architecture.settings["model.name"]) is card
    check_matches(cfg, architecture)
    # What leaves no trace in the weights, the configuration says.
    again = load_config(settings=TINY.get(card.name, {}) | architecture.settings)
    assert card.arguments(again) == card.arguments(cfg)


@of_each_card
def test_the_kind_is_what_the_network_does(card, built, without_graphs):
    model, cfg = built(card), configured(card)
    runner = KerasRunner(model)
    frames = np.random.default_rng(0).random(
        (1, runner.window or 2, 32, 32, 3 if card.kind == "flow" else card.channels(cfg)), np.float32
    )
    result, state = runner(frames)
    side = 32 * runner.scale
    shapes = {
        "window": (1, side, side, 3),
        "clip": (1, 2, side, side, 3),
        "recurrent": (1, side, side, 3),
        "flow": (1, 32, 32, 2),
    }
    assert result.shape == shapes[card.kind]
    assert np.all(np.isfinite(result))
    assert (state is not None) == hasattr(model, "step") == (card.kind == "recurrent")
    assert hasattr(model, "stream") == card.shares_frames
    assert card.restores == (card.kind != "flow")
    if card.restores:
        assert (model.scale, model.in_channels) == (cfg.model.scale, card.channels(cfg))
    if card.kind in ("window", "recurrent"):
        assert card.restored_frame(cfg) in (None, model.center_frame_idx)
        assert 0 <= model.center_frame_idx < model.num_frame


@of_each_card
def test_a_flow_network_is_found_alone_and_inside(card, built):
    weights = state_dict(built(card))
    if card.kind != "flow" and not card.flow_prefixes:
        with pytest.raises(InputError, match="holds no flow network"):
            flow_weights(weights, "it")
        return
    found, own = flow_weights(weights, "it")
    assert found is card if card.kind == "flow" else found.kind == "flow"
    assert found.flow_name in FLOW_NAMES
    mark, shape = found.mark
    assert own[mark].shape == shape
    assert own.keys() == state_dict(built(found)).keys()


@of_each_card
def test_what_trains_it_is_there(card):
    if not card.training:
        assert not card.read_inputs
        return
    training = imported(card.training)
    assert issubclass(training, Training)
    assert training.updates is not Training.updates
    assert training.target in ("center", "all")
    assert (training.batches is Training.batches) == card.reads_clips
    assert card.updates_per_batch(configured(card)) == training(configured(card)).updates().count
    if card.read_inputs:
        assert list(inspect.signature(imported(card.read_inputs)).parameters) == ["cfg", "begins"]


@of_each_card
def test_its_protocol_is_one_of_them(card):
    assert card.protocol in ("", *PROTOCOLS)


def test_the_setting_offers_all_protocols():
    assert set(settings()["eval.protocol"].choices) == {"", *PROTOCOLS}


def test_the_smallest_crop_for_ms_ssim_is_that_of_the_loss():
    assert MINIMUM_SIDE == SMALLEST_OF_THE_LOSS
