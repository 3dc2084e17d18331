"""The command `train`: from a configuration to a trained network."""

import contextlib
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout
from yacs.config import CfgNode

from ascendcv.runner.cluster import check_port
from ascendcv.runner.logs import logging_to
from ascendcv.runner.peers import StepDone, ending_together, quiet_collectives
from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config import save_config
from ascendvsr.deployment import cost
from ascendvsr.training.plan import read_plan
from ascendvsr.training.resume import remove_run, set_aside

if TYPE_CHECKING:
    from ascendcv.runner.trainer import Trainer

logger = logging.getLogger(__name__)


def train(cfg: CfgNode) -> None:
    """Trains a network as `cfg` says, into `output_dir`.

    Raises `InputError` for anything impossible, as far as can be known before TensorFlow starts; `SystemExit`
    130 or 143 after SIGINT or SIGTERM, with the state saved; `RuntimeError` when training has blown up.
    """
    plan = read_plan(cfg)
    notes: list[str] = []
    output_dir, time = Path(cfg.output_dir), datetime.now().strftime("%Y%m%dT%H%M%S")
    with contextlib.ExitStack() as stack:
        if plan.is_chief:
            stack.enter_context(_only_run_in(output_dir))
            if plan.store.newest() != plan.seen:
                raise InputError(f"another training has written into {output_dir} just now: start this one again")
            if cfg.solver.overwrite:
                remove_run(output_dir)
            elif plan.newest:
                notes = set_aside(plan.store, plan.newest, time)
        if plan.cluster:
            quiet_collectives()
        import_tensorflow()
        log = output_dir / "log"
        stack.enter_context(logging_to(*(log / f"train-{time}.log", log / "logbook.txt") if plan.is_chief else ()))
        for note in notes:
            logger.info(note)
        if plan.is_chief:
            save_config(cfg, output_dir / "config" / f"train-{time}.yaml")
        from ascendcv.ops.registry import implementation
        from ascendvsr.training.assembly import make_trainer

        step_done = stack.enter_context(ending_together(plan.cluster, cfg.solver.worker_timeout))
        if plan.cluster:
            check_port(plan.worker, plan.cluster.workers[plan.worker])
        trainer = make_trainer(plan)
        trainer.hooks.append(StepDone(step_done))
        if plan.is_chief and not (output_dir / "cost.txt").exists():
            cost.write(cost.report(trainer.model, cfg), cfg)
        # The composed operations are the ones that XLA can compile.
        with implementation("tf") if cfg.solver.xla else contextlib.nullcontext():
            stopped_by = _fit(trainer)
        logger.info("%s at step %d", "Stopped" if stopped_by else "Done", trainer.step)
    if stopped_by:
        raise SystemExit(128 + stopped_by)


def _fit(trainer: "Trainer") -> int:
    """As `trainer.fit`; where a frame that cannot be read ends the run, with the state saved first."""
    from ascendcv.runner.hooks.saver import CheckpointSaver

    try:
        return trainer.fit()
    except InputError as error:
        savers = [hook for hook in trainer.hooks if isinstance(hook, CheckpointSaver)]
        for saver in savers:
            saver.end(trainer)
        if not savers or not trainer.step:
            raise
        raise InputError(f"{error} (the state of step {trainer.step} is saved)") from error


@contextlib.contextmanager
def _only_run_in(output_dir: Path) -> Iterator[None]:
    """Inside the block, no other process trains into `output_dir`. Raises `InputError` where one does.

    The lock is the operating system's, and ends with the process however that ends; its file stays.
    """
    file = output_dir / "log" / ".lock"
    lock = FileLock(file, timeout=0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another training runs in {output_dir} (it holds the lock {file}): choose another output_dir, or wait "
            "until that one has ended"
        ) from None
    except OSError as error:
        raise InputError(f"output_dir {output_dir} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()
