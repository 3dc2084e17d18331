"""Which flow network a checkpoint holds, alone or within a restoring network."""

import numpy as np
import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.models.detect import detect, flow_weights
from tests.golden.case import Case
from tests.support import PROJECT

VECTORS = PROJECT / "tests/golden/vectors"
ALONE = {
    "PWCNet": "cdvd_tsp/model_pwc",
    "PWCNetDevil": "deblur_devil/pwcnet",
    "FlowNet1S": "deblur_devil/flownet1s",
    "SpyNet": "rvrt/spynet_64",
}


def names_of(case: str) -> dict[str, np.ndarray]:
    """The names and shapes of a case's weights; the values do not matter."""
    entries = Case(VECTORS / f"{case}.json").extra["state_dict"]
    return {name: np.broadcast_to(np.float32(0), shape) for name, (shape, _) in entries.items()}


@pytest.mark.parametrize("network", ALONE)
def test_a_network_alone_is_recognized(network):
    state_dict = names_of(ALONE[network])
    assert detect(state_dict).settings == {"model.name": network}
    card, weights = flow_weights(state_dict, "w.pth")
    assert (card.name, weights.keys()) == (network, state_dict.keys())


@pytest.mark.parametrize(
    ("network", "before"),
    [
        ("PWCNet", "flow_net.moduleNetwork."),
        ("PWCNet", "moduleNetwork."),
        ("PWCNetDevil", "flowdbn.warping_network.network."),
        ("FlowNet1S", "flowdbn.warping_network.network."),
        ("SpyNet", "spynet."),
    ],
)
def test_the_flow_network_of_a_restoring_network_is_found(network, before):
    alone = names_of(ALONE[network])
    whole = {before + name: array for name, array in alone.items()} | {"recons_net.weight": np.zeros(3)}
    card, weights = flow_weights(whole, "w.pth")
    assert (card.name, weights.keys()) == (network, alone.keys())


def test_flownet1s_was_published_under_another_name():
    published = {f"_{name}": array for name, array in names_of(ALONE["FlowNet1S"]).items()}
    assert detect(published).settings == {"model.name": "FlowNet1S"}
    assert flow_weights(published, "w.pth")[1].keys() == names_of(ALONE["FlowNet1S"]).keys()


def test_other_checkpoints_hold_no_flow_network():
    with pytest.raises(InputError, match=r"w\.pth holds no flow network that is known here: it has .* tensors"):
        flow_weights(names_of("edvr/edvr_m_x4_tsa"), "w.pth")
    with pytest.raises(InputError, match="has the names of FlowNetS of deblur-devil and shapes that it never has"):
        detect({"flownets.conv1.0.weight": np.zeros((8, 6, 7, 7))})
