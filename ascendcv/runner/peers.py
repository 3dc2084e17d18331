"""Workers that train together end together: none waits for ever for one that is gone, each says why in one line."""

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator

from ascendcv.runner.cluster import Cluster
from ascendcv.runner.hooks.hook import Hook
from ascendcv.utils.errors import InputError

_LOOK_EVERY = 1.0  # seconds
_ANSWER = 2.0  # seconds that a peer has to accept a connection
_START = 1800.0  # seconds until the first step at least: all have to come, and the step is traced
_SOME_WAIT = "all workers answer, one of them is stuck"


@contextlib.contextmanager
def ending_together(cluster: Cluster | None, timeout: float) -> Iterator[Callable[[], None]]:
    """Inside the block this process trains as one of the cluster's workers; it gives what tells of each step done.

    Where the block fails, or no step has been done for `timeout` seconds (0: any time), the process says why in one
    line and ends at once, with the status of `ascendvsr` for that error: TensorFlow's own end waits for workers
    that are gone (42 s were seen with 2.21). Without a cluster nothing is done, and errors come out as they are.
    """
    if cluster is None:
        yield lambda: None
        return
    last, limit = time.monotonic(), max(timeout, _START)
    over = threading.Event()

    def step_done() -> None:
        nonlocal last, limit
        last, limit = time.monotonic(), timeout

    def watch() -> None:
        while not over.wait(_LOOK_EVERY):
            if time.monotonic() - last > limit:
                gone = missing_workers(cluster)
                _leave(1, f"no step was done for {limit:g} s (solver.worker_timeout): {gone or _SOME_WAIT}")

    if timeout:
        threading.Thread(target=watch, daemon=True, name="peers").start()
    try:
        yield step_done
    except InputError as error:
        _leave(2, str(error))
    except KeyboardInterrupt:
        _leave(128 + signal.SIGINT, "stopped")
    except SystemExit:
        raise
    except OSError as error:
        _leave(1, str(error))
    except BaseException as error:
        if _is_lost_connection(error):
            _leave(1, missing_workers(cluster) or _named_in(str(error), cluster))
        if type(error) is not RuntimeError:
            traceback.print_exc()
        _leave(1, str(error).splitlines()[0] if str(error) else type(error).__name__)
    finally:
        over.set()


class StepDone(Hook):
    """Calls `step_done` after each batch."""

    def __init__(self, step_done: Callable[[], None]):
        self.step_done = step_done

    def after_batch(self, trainer) -> None:
        self.step_done()


def quiet_collectives() -> None:
    """Keeps TensorFlow, which is not imported yet, from writing a dozen lines when it cannot reach a worker.

    One line of this module says the same. Who asks for messages, by a level of 0 or 1, still gets them.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") not in ("0", "1"):
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"


def missing_workers(cluster: Cluster) -> str:
    """'worker 1 (node1:29500) does not answer any more', of the first that does not; '' where all do."""
    for index, worker in enumerate(cluster.workers):
        host, _, port = worker.rpartition(":")
        if index == cluster.index:
            continue
        try:
            socket.create_connection((host, int(port)), timeout=_ANSWER).close()
        except OSError:
            return f"worker {index} ({worker}) does not answer any more"
    return ""


def _named_in(text: str, cluster: Cluster) -> str:
    """Which worker a message of TensorFlow is about, where all of them accept connections still."""
    named = {int(number) for number in re.findall(r"/job:worker/(?:replica:0/)?task:(\d{1,6})\b", text)}
    others = [index for index in sorted(named) if index != cluster.index and index < len(cluster.workers)]
    if len(others) == 1:
        return f"worker {others[0]} ({cluster.workers[others[0]]}) has left the training, or stands still"
    return "another worker has left the training, or stands still"


def _is_lost_connection(error: BaseException) -> bool:
    """Whether TensorFlow says that it cannot reach a worker, or was told so by another one."""
    tf = sys.modules.get("tensorflow")
    if tf is None:
        return False
    lost = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    text = str(error)
    return isinstance(error, lost) or (
        isinstance(error, tf.errors.OpError) and ("Collective ops is aborted" in text or "/job:worker" in text)
    )


def _leave(status: int, message: str) -> None:
    """Ends this process at once."""
    print(f"ascendvsr: {message}", file=sys.stderr)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)
