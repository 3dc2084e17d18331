"""Tells somebody that an epoch is finished."""

import logging
import subprocess

from ascendcv.runner.hooks.epochs import Epochs
from ascendcv.runner.hooks.hook import Hook

logger = logging.getLogger(__name__)


class Notify(Hook):
    """Runs a shell command at the end of each epoch, with the epoch's line on its standard input.

    What the command prints is not shown. One that fails, or takes longer than `timeout` seconds, is a warning in
    the log; training goes on in any case. Comes after `epochs`.
    """

    def __init__(self, command: str, epochs: Epochs, timeout: float = 60.0):
        self.command = command
        self.epochs = epochs
        self.timeout = timeout

    def after_batch(self, trainer) -> None:
        if not self.epochs.line:
            return
        try:
            done = subprocess.run(
                self.command,
                shell=True,
                start_new_session=True,
                input=f"{self.epochs.line}\n",
                text=True,
                capture_output=True,
                timeout=self.timeout,
            )
        except (OSError, subprocess.SubprocessError) as error:
            logger.warning("The notify command failed: %s", error)
            return
        if done.returncode:
            said = " ".join(done.stderr.split()) or "it said nothing"
            logger.warning("The notify command ended with status %d: %s", done.returncode, said)
