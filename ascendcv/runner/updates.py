"""What the updates on one batch are: the loss or losses by which a network learns."""

from typing import Any

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]


class Updates:
    """One update per batch, whose loss is a mean; a network's own subclass has the loss and says what differs.

    Attributes:
        count: updates that one batch gives (a recurrent network makes one for each new frame).
        reduction: how the loss of a batch follows from those of its parts: 'mean' or 'sum'.
    """

    count = 1
    reduction = "mean"

    def start(self, model: keras.Model, batch: Batch) -> Any:
        """What the first update on a batch starts from and each hands to the next: nested tensors, or ()."""
        return ()

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: Any
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], Any]:
        """The float32 loss of update `index` (int32, from 0), scalars to report and the next state.

        It is traced without AutoGraph: what depends on the value of a tensor is `ops.where` or `ops.cond`.
        """
        raise NotImplementedError
