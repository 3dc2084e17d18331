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
    """`Step:20, lr:0.00040000, loss:9476.21899544, time:209.62ms, fps:19.08, loss/px:0.05, psnr:25.3, eta:..`

    The first five are the line of the TensorFlow EDVR release; `loss/px` is the same loss over one value of
    one pixel, `psnr` that of the training crops in dB, `eta` the time left.
    """
    line = (
        f"Step:{step}, lr:{scalars['lr']:.8f}, loss:{scalars['loss']:.8f}, "
        f"time:{scalars['time']:.2f}ms, fps:{scalars['fps']:.2f}"
    )
    if "loss/px" in scalars:
        line += f", loss/px:{scalars['loss/px']:.6f}"
    if "psnr" in scalars:
        line += f", psnr:{scalars['psnr']:.2f}"
    return f"{line}, eta:{format_duration(scalars['eta'])}"


def format_duration(seconds: float) -> str:
    """`1:02:03`, or `2d 01:02:03`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02}:{minute:02}:{second:02}" if days else f"{hour}:{minute:02}:{second:02}"
