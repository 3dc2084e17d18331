"""Frozen graphs: what is constant is computed, what is there twice is there once, and the values stay."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ascendcv.ops.deform_conv import deform_conv2d
from ascendcv.ops.registry import implementation
from ascendvsr.deployment.serving import STEP, Served, serving_functions
from ascendvsr.deployment.tensorflow_files import frozen_graph, load_frozen_graph, write_frozen_graph
from tests.ascendvsr.deployment.small_networks import built


def as_traced(function):
    """The nodes of a function's graph as TensorFlow freezes it."""
    return convert_variables_to_constants_v2(function).graph.as_graph_def().node


def assert_simple(graph, before: int) -> None:
    """Of fewer than half the nodes, no two constants being the same, where they need not wait for other nodes."""
    constants = Counter(
        (node.attr["value"].tensor.SerializeToString(), *node.input) for node in graph.node if node.op == "Const"
    )
    assert set(constants.values()) == {1}
    assert len(graph.node) < before / 2


@pytest.mark.parametrize("size", [None, 12])
def test_deformable_convolutions_of_half_the_nodes_give_the_same_bits(tmp_path, size):
    random = np.random.default_rng(0)
    kernel = random.standard_normal((3, 3, 8, 8)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, size, size, 8]), tf.TensorSpec([1, size, size, 36])])
    def twice(x, offset):
        with implementation("tf"):
            for _ in range(2):
                x = deform_conv2d(x, offset, kernel, deformable_groups=2)
        return {"restored": tf.identity(x, name="restored")}

    function = twice.get_concrete_function()
    assert_simple(frozen_graph(function), len(as_traced(function)))
    write_frozen_graph(function, tmp_path / "twice.pb")
    x = random.standard_normal((1, 12, 12, 8)).astype(np.float32)
    offset = 3 * random.standard_normal((1, 12, 12, 36)).astype(np.float32)
    found = load_frozen_graph(tmp_path / "twice.pb")({"x": x, "offset": offset})["restored"]
    np.testing.assert_array_equal(found, twice(x, offset)["restored"])


@pytest.mark.slow
@pytest.mark.parametrize("size", [{}, {"height": 20, "width": 28}])
def test_an_edvr_of_half_the_nodes(size):
    card, model, length = built("EDVR")
    function = serving_functions(Served(card, model, length, **size))[STEP]
    assert_simple(frozen_graph(function), len(as_traced(function)))
