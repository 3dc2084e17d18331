"""Parts of a network that a graph calls again and again."""

from collections.abc import Callable

from ascendcv.ops import registry


def traced_once(function: Callable) -> Callable:
    """`function` of nested tensors, which a graph of TensorFlow traces once for calls with the same shapes.

    Tracing is most of what the first call of a network costs, and Python is traced anew wherever it is called: here
    the further calls take the first one's graph. Keep the result no longer than the trace it was made in. Where no
    graph is traced, or one for XLA or for a file, it is `function` itself.

    >>> import keras
    >>> square = traced_once(keras.ops.square)
    >>> float(square(3.0))
    9.0
    """
    if not registry.tracing():
        return function
    import tensorflow as tf

    return tf.function(function, autograph=False)
