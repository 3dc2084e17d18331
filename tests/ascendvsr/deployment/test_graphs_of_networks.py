"""What every runtime demands of the graphs of all networks: few dimensions, and no division of what is negative."""

import numpy as np
import pytest

from ascendvsr.deployment.parity import moving_clips, noise
from ascendvsr.deployment.serving import STEP, Served, serving_functions, state_for
from ascendvsr.deployment.tensorflow_files import frozen_graph
from ascendvsr.models import CARDS
from tests.ascendvsr.deployment.small_networks import SMALL, built


def test_every_network_is_among_the_small_ones():
    assert {SMALL[name]["model.name"] for name in SMALL} == {card.name for card in CARDS}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SMALL)
def test_no_tensor_has_more_than_five_dimensions(name):
    card, model, length = built(name)
    for function in serving_functions(Served(card, model, length, 1, 36, 52)).values():
        for operation in function.graph.get_operations():
            for tensor in operation.outputs:
                assert tensor.shape.rank is None or tensor.shape.rank <= 5, (operation.type, tensor)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SMALL)
def test_nothing_negative_is_divided_with_free_sizes(name):
    """Exporters round such quotients towards 0: an EDVR of 181 x 321 lost rows and columns without a word."""
    import tensorflow as tf

    card, model, length = built(name)
    functions = serving_functions(Served(card, model, length, None, None, None))
    clip, state = moving_clips([noise()], (1, length, 37, 45, Served(card, model, length).channels)), {}
    for signature in reversed(functions):
        function = functions[signature]
        graph = frozen_graph(function)
        divisions = [node for node in graph.node if node.op in ("FloorDiv", "FloorMod")]
        inputs = [node.name for node in graph.node if node.op == "Placeholder"]
        operands = [part.removesuffix(":0") + ":0" for node in divisions for part in node.input]
        outputs = [f"{output}:0" for output in function.structured_outputs]
        wrapped = tf.compat.v1.wrap_function(lambda graph=graph: tf.import_graph_def(graph, name=""), [])
        run = wrapped.prune([f"{each}:0" for each in inputs], operands + outputs)
        values = run(*(tf.constant(({"frames": clip} | state)[each]) for each in inputs))
        for name_of, value in zip(operands, values[: len(operands)], strict=True):
            assert np.all(value.numpy() >= 0), name_of
        state = state_for(dict(zip(function.structured_outputs, values[len(operands) :], strict=True)))
        assert signature == STEP or state
