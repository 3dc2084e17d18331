"""SIGINT and SIGTERM as a request to stop after the current step."""

import signal
import threading
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Inside `with StopSignals() as signals:` the first SIGINT or SIGTERM is noted in `signals.received`.

    A second one ends the process at once, even in the middle of a TensorFlow operation. `received` is 0 until
    the first, then the signal's number. Python delivers signals to its main thread only: in any other thread
    this does nothing.
    """

    def __init__(self):
        self.received = 0
        self._previous = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        for each in STOP_SIGNALS:
            signal.signal(each, signal.SIG_DFL)
