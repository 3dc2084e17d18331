"""What computes: runners as they are, networks of this project as one, anything else not at all."""

import keras
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.restoration.runner import Runner, as_runner
from tests.networks import Mixture, runner


def test_a_runner_is_one_already():
    network = runner(Mixture())
    assert isinstance(network, Runner)
    assert as_runner(network) is network


def test_a_network_becomes_one(tiny_edvr):
    network = as_runner(tiny_edvr)
    assert isinstance(network, Runner)
    assert (network.name, network.kind, network.scale, network.window, network.center) == (
        "EDVR",
        "window",
        4,
        5,
        2,
    )


@pytest.mark.parametrize("other", [keras.Model(), None, "EDVR"])
def test_other_objects_are_refused(other):
    with pytest.raises(InputError, match="is none of the networks here"):
        as_runner(other)
