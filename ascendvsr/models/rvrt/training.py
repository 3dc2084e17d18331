"""How RVRT is trained: one update per batch of clips, on all of their frames.

SpyNet begins with weights that are trained already. For the first iterations it stays as it is, then it learns at a
quarter of the rate.

Source: KAIR `ModelVRT` and its options `rvrt/*.json`.
"""

import logging
from collections.abc import Mapping

import keras
import numpy as np

from ascendcv.runner.updates import Batch
from ascendvsr.models.clip_training import ClipUpdates
from ascendvsr.models.rvrt.start import start_near_identity
from ascendvsr.models.training import Training, enlarged, network_input, strip
from ascendvsr.weights.mapping import load_state_dict

logger = logging.getLogger(__name__)


class RVRTUpdates(ClipUpdates):
    """The update of clips with the epsilon of the paper's recipe."""

    epsilon = 1e-9


class RVRTTraining(Training):
    """One update per batch of clips, SpyNet later and more slowly than the rest."""

    target = "all"

    def updates(self) -> RVRTUpdates:
        return RVRTUpdates(in_steps=not self.cfg.solver.xla)

    def param_groups(self) -> list[Mapping[str, object]]:
        """SpyNet learns from iteration `rvrt.fix_iter` on, at `rvrt.fix_lr_mul` times the rate."""
        rvrt = self.cfg.rvrt
        return [{"pattern": r"^spynet\.", "lr_mult": rvrt.fix_lr_mul, "freeze_until": rvrt.fix_iter}]

    def initialize(self, model: keras.Model) -> None:
        """Loads `rvrt.spynet_checkpoint`; where all else begins at random, `rvrt.identity_start` changes that."""
        if self.cfg.rvrt.identity_start and not self.cfg.init_from:
            start_near_identity(model)
        if self.inputs is not None:
            path = self.cfg.rvrt.spynet_checkpoint
            load_state_dict(model.spynet, self.inputs, source=path)
            logger.info("SpyNet from %s", path)

    def picture(self, model: keras.Model, batch: Batch) -> np.ndarray:
        """The first clip's first frame (its pixels enlarged), as restored, and its ground truth."""
        first = {name: tensor[:1] for name, tensor in batch.items()}
        restored = model(network_input(model, first), training=False)[0, 0]
        return strip(enlarged(batch["lq"][0, 0], model.scale), restored, batch["gt"][0, 0])
