"""Frozen graphs and SavedModels: TensorFlow's own files."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
Function = Callable[[Arrays], Arrays]


def frozen_graph(function: Any):
    """The graph of a traced function with its weights as constants; a tensor NAME:0 for each input and output."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    graph = convert_variables_to_constants_v2(function).graph.as_graph_def()
    inputs = [node.name for node in graph.node if node.op == "Placeholder"]
    return _simplified(graph, [*inputs, *function.structured_outputs])


# Passes of TensorFlow's optimizer that make no operation of its own, which other programs would not have.
_PASSES = ("pruning", "constfold", "common_subgraph_elimination", "dependency")


def _simplified(graph, kept: Sequence[str]):
    """A GraphDef with what is constant computed and what is there twice once; the nodes `kept` stay.

    Half of a traced network are constants, most of them alike, and arithmetic of sizes.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
    from tensorflow.python.grappler import tf_optimizer

    with tf.Graph().as_default() as imported:
        tf.import_graph_def(graph, name="")
    whole = tf.compat.v1.train.export_meta_graph(graph_def=graph, graph=imported)
    fetched = meta_graph_pb2.CollectionDef()
    fetched.node_list.value.extend(kept)
    whole.collection_def["train_op"].CopyFrom(fetched)
    config = config_pb2.ConfigProto()
    rewriting = config.graph_options.rewrite_options
    rewriting.optimizers.extend(_PASSES)
    rewriting.min_graph_nodes = -1  # however small it is
    return tf_optimizer.OptimizeGraph(config, whole)


def write_frozen_graph(function: Any, path: Path) -> None:
    """`frozen_graph` as a file."""
    path.write_bytes(frozen_graph(function).SerializeToString())


def load_frozen_graph(path: Path, outputs: Sequence[str] = ("restored",)) -> Function:
    """A frozen graph as a function of its inputs by name, giving `outputs` by name."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    inputs = [node.name for node in graph.node if node.op == "Placeholder"]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    function = wrapped.prune([f"{name}:0" for name in inputs], [f"{name}:0" for name in outputs])

    def compute(arrays: Arrays) -> Arrays:
        results = function(*(tf.constant(arrays[name]) for name in inputs))
        return {name: result.numpy() for name, result in zip(outputs, results, strict=True)}

    return compute


def write_saved_model(model, functions: Mapping[str, Any], folder: Path) -> None:
    """A SavedModel with the functions as its signatures. Raises `OSError` where it cannot be written."""
    import tensorflow as tf

    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    try:
        tf.saved_model.save(module, str(folder), signatures=dict(functions))
    except tf.errors.OpError as error:
        raise OSError(f"the SavedModel could not be written: {str(error).splitlines()[0]}") from error


def load_saved_model(folder: Path) -> dict[str, Function]:
    """A SavedModel's signatures as functions of their inputs by name."""
    import tensorflow as tf

    module = tf.saved_model.load(str(folder))

    # A signature does not keep the module, and with it the weights, alive.
    def compute(arrays: Arrays, function=None, _=module) -> Arrays:
        results = function(**{name: tf.constant(array) for name, array in arrays.items()})
        return {name: result.numpy() for name, result in results.items()}

    return {name: functools.partial(compute, function=function) for name, function in module.signatures.items()}
