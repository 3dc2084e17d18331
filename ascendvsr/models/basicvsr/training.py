"""How BasicVSR is trained: one update per batch of clips, on all of their frames.

SpyNet begins with weights that are trained already. For the first iterations it stays as it is, then it learns at
an eighth of the rate. Source: BasicSR `VideoRecurrentModel` and its options `BasicVSR/*.yml`.
"""

import logging
from collections.abc import Mapping

import keras
import numpy as np

from ascendcv.runner.updates import Batch
from ascendvsr.models.clip_training import ClipUpdates
from ascendvsr.models.training import Training, enlarged, strip
from ascendvsr.weights.mapping import load_state_dict

logger = logging.getLogger(__name__)


class BasicVSRUpdates(ClipUpdates):
    """The update of clips with the epsilon of the paper's recipe."""

    epsilon = 1e-12


class BasicVSRTraining(Training):
    """One update per batch of clips, SpyNet later and more slowly than the rest."""

    target = "all"

    def updates(self) -> BasicVSRUpdates:
        return BasicVSRUpdates(in_steps=not self.cfg.solver.xla)

    def param_groups(self) -> list[Mapping[str, object]]:
        """SpyNet learns from iteration `basicvsr.fix_flow` on, at `basicvsr.flow_lr_mul` times the rate."""
        basicvsr = self.cfg.basicvsr
        return [{"pattern": r"^spynet\.", "lr_mult": basicvsr.flow_lr_mul, "freeze_until": basicvsr.fix_flow}]

    def initialize(self, model: keras.Model) -> None:
        """Loads `basicvsr.spynet_checkpoint`."""
        if self.inputs is not None:
            path = self.cfg.basicvsr.spynet_checkpoint
            load_state_dict(model.spynet, self.inputs, source=path)
            logger.info("SpyNet from %s", path)

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """The first clip's first frame (its pixels enlarged), as restored, and its ground truth."""
        restored = model(batch["lq"][:1], training=False)[0, 0]
        return strip(enlarged(batch["lq"][0, 0], model.scale), restored, batch["gt"][0, 0])
