"""The first stop signal is a request, the second an order."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import time
from ascendcv.runner.signals import StopSignals
with StopSignals() as signals:
    print("ready", flush=True)
    while not signals.received:
        time.sleep(0.01)
    print(signals.received, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_noted_and_the_second_ends_the_process_at_once(second: int):
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == f"{signal.SIGTERM.value}\n"
        process.send_signal(second)
        assert process.wait(timeout=120) == -second
