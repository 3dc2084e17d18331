"""The command `train`: from a configuration to a trained network."""

import contextlib
import logging
from datetime import datetime
from pathlib import Path

from yacs.config import CfgNode

from ascendcv.runner.logs import logging_to
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config import save_config
from ascendvsr.deployment import cost
from ascendvsr.training.plan import read_plan

logger = logging.getLogger(__name__)


def train(cfg: CfgNode) -> None:
    """Trains a network as `cfg` says, into `output_dir`.

    Raises `InputError` for anything impossible, as far as can be known before TensorFlow starts; `SystemExit`
    130 or 143 after SIGINT or SIGTERM, with the state saved; `RuntimeError` when training has blown up.
    """
    plan = read_plan(cfg)
    import_tensorflow()
    output_dir, time = Path(cfg.output_dir), datetime.now().strftime("%Y%m%dT%H%M%S")
    with logging_to(output_dir / "log" / f"train-{time}.log" if plan.is_chief else None):
        if plan.is_chief:
            save_config(cfg, output_dir / "config" / f"train-{time}.yaml")
        from ascendcv.ops.registry import implementation
        from ascendvsr.training.assembly import make_trainer

        trainer = make_trainer(plan)
        if plan.is_chief and not (output_dir / "cost.txt").exists():
            cost.write(cost.report(trainer.model, cfg), cfg)
        # The composed operations are the ones that XLA can compile.
        with implementation("tf") if cfg.solver.xla else contextlib.nullcontext():
            stopped_by = trainer.fit()
        logger.info("%s at step %d", "Stopped" if stopped_by else "Done", trainer.step)
    if stopped_by:
        raise SystemExit(128 + stopped_by)
