"""The line that a training run prints."""

import logging
from collections.abc import Mapping

from ascendcv.runner.hooks.hook import Hook

logger = logging.getLogger(__name__)


class LogLine(Hook):
    """Logs one line whenever there are new averages (see `Averages`)."""

    def after_batch(self, trainer) -> None:
        if "loss" in trainer.scalars:
            logger.info(format_line(trainer.step, trainer.scalars))


def format_line(step: int, scalars: Mapping[str, float]) -> str:
    """`Step:20, lr:0.00040000, loss:9476.21899544, time:209.62ms, fps:19.08, loss/l1:0.05, psnr:25.3, eta:..`

    The first five are the line of the TensorFlow EDVR release. Then come the parts of the loss (`loss/px` is the
    same loss over one value of one pixel), the PSNR of the training crops in dB and the time left: in this epoch,
    where there are epochs, and in the whole run.
    """
    line = (
        f"Step:{step}, lr:{scalars['lr']:.8f}, loss:{scalars['loss']:.8f}, "
        f"time:{scalars['time']:.2f}ms, fps:{scalars['fps']:.2f}"
    )
    for name in sorted(name for name in scalars if name.startswith("loss/")):
        line += f", {name}:{scalars[name]:.6f}"
    if "psnr" in scalars:
        line += f", psnr:{scalars['psnr']:.2f}"
    if "eta_epoch" in scalars:
        line += f", epoch:{scalars['epoch']:.2f}, eta_epoch:{format_duration(scalars['eta_epoch'])}"
    return f"{line}, eta:{format_duration(scalars['eta'])}"


def format_duration(seconds: float) -> str:
    """`1:02:03`, or `2d 01:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02}:{minute:02}:{second:02}" if days else f"{hour}:{minute:02}:{second:02}"
