"""Networks with their published weights, by name."""

import os
from typing import Any, Self

from ascendcv.utils.errors import InputError


class Pretrained:
    """What every network class has besides `keras.Model`: `from_preset`."""

    @classmethod
    def from_preset(cls, preset: str | os.PathLike, load_weights: bool = True, **arguments: Any) -> Self:
        """The network of published weights, with them: `EDVR.from_preset("edvr_m_x4_reds")`.

        Args:
            preset: a name that `ascendvsr models` lists, whose file is downloaded where it is not in the user's
                cache yet, or the path of a checkpoint.
            load_weights: False: the network alone, as that file tells it, with random weights.
            arguments: of the constructor, where they should differ.

        Raises `InputError` for an unknown name, a file that cannot be had, and one of another network.
        """
        from ascendvsr.config.changes import changed
        from ascendvsr.config.loading import load_config
        from ascendvsr.models import card_named
        from ascendvsr.models.card import imported
        from ascendvsr.models.detect import describe, detect, flow_weights
        from ascendvsr.models.zoo import record_named
        from ascendvsr.weights.download import get_weights
        from ascendvsr.weights.mapping import load_state_dict
        from ascendvsr.weights.reader import load_checkpoint

        record = None if os.path.exists(preset) else record_named(os.fspath(preset))
        source = str(preset if record is None else get_weights(record))
        config = load_config(record.config if record and record.config else None)
        weights = load_checkpoint(source)
        try:
            architecture = detect(weights, source, config)
            config = changed(config, architecture.settings)
            card, found = card_named(config.model.name), describe(architecture)
        except InputError:
            # A restoring network has a flow network inside, whose weights may be all that is wanted.
            card, weights = flow_weights(weights, source)
            found = card.title
        if not issubclass(cls, imported(card.network)):
            raise InputError(f"{preset} is {found}: say {card.network.rpartition(':')[2]}.from_preset({preset!r})")
        model = cls(**card.arguments(config) | arguments)
        if load_weights:
            load_state_dict(model, weights, source=source)
        return model
