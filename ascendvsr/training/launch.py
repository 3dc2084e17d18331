"""Starts the worker processes of a cluster that run on this host, one a device, and ends them together.

    python -m ascendvsr.training.launch CLUSTER.json --check [KEY VALUE ...]
    python -m ascendvsr.training.launch CLUSTER.json [--restarts N] [arguments of `ascendvsr train` ...]

Start it on every host that the cluster file, a JSON list of "host:port", names: each runs its own entries. Ports
and devices are checked before anything starts. What the chief writes is shown; when a worker fails, whichever it
is, its last lines are shown and the others are ended. --restarts starts all of them again from the last checkpoint,
N times at most and once a minute at most. A signal is handed on to the workers.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, cast

from yacs.config import CfgNode

from ascendcv.runner.cluster import check_port, read_cluster
from ascendcv.utils.errors import InputError
from ascendvsr import cli
from ascendvsr.config import load_config
from ascendvsr.scaling.tasks import count_gpus

_GRACE = 15.0  # seconds in which workers notice by themselves that another one has failed
_LAST_LINES = 12
_BAD_INPUT = 2  # the exit status after which another start would fail in the same way


@dataclass
class Worker:
    """A worker process of this host, with the last lines that it has written."""

    index: int
    address: str
    process: subprocess.Popen
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LAST_LINES))
    readers: list[threading.Thread] = field(default_factory=list)

    def relay(self, pipe: IO[str], shown: IO[str] | None) -> None:
        """Keeps the lines that come through a pipe, by a thread of its own, and shows them as they come."""

        def read() -> None:
            for line in pipe:
                self.lines.append(line.rstrip("\n"))
                if shown is not None:
                    shown.write(line)
                    shown.flush()

        self.readers.append(threading.Thread(target=read, daemon=True))
        self.readers[-1].start()

    @property
    def end(self) -> str:
        """How it ended."""
        status = self.process.returncode
        how = f"ended with status {status}" if status > 0 else f"was ended by {signal.Signals(-status).name}"
        return f"worker {self.index} ({self.address}) {how}"

    @property
    def status(self) -> int:
        """Its exit status as shells give it."""
        status = self.process.returncode
        return status if status >= 0 else 128 - status


def local_workers(workers: Sequence[str]) -> list[int]:
    """Positions of the 'host:port' entries whose host is this one."""
    return [index for index, worker in enumerate(workers) if _is_here(worker.rpartition(":")[0])]


def check(cluster_file: str, arguments: Sequence[str] = ()) -> None:
    """Prints what will run where. Raises `InputError` where something is in the way on this host.

    So are workers that would share the processors for want of accelerators, unless `device cpu` asks for it.
    """
    workers, here, cfg = _read(cluster_file, arguments)
    numbers = _device_numbers(cfg, workers, here)
    for index, worker in enumerate(workers):
        device = f", on device {numbers[here.index(index)]}" if index in here and numbers else ""
        print(f"worker {index}: {worker}, {'here' + device if index in here else 'on another host'}")
    if not numbers and cfg.device != "cpu":
        raise InputError(
            f"{len(here)} workers are to run here, and TensorFlow sees no accelerator: install its driver and "
            "ascendvsr[gpu]; with `device cpu` they share the processors"
        )
    print(f"{len(here)} of {len(workers)} workers will run here")


def launch(cluster_file: str, arguments: Sequence[str], restarts: int = 0, seconds_between: float = 60.0) -> int:
    """Runs this host's workers until all have ended; gives the exit status of the first that failed, or 0.

    Args:
        arguments: of `ascendvsr`, as in ['train', '--config', 'edvr.yaml', 'num_threads', '1'].
        restarts: how often to start all workers again after one has failed, from the last checkpoint.
        seconds_between: how long after the last start at least.
    """
    stop = _Stop()
    with stop:
        for number in range(restarts + 1):
            begin = time.monotonic()
            failed = _run(cluster_file, arguments if not number else [*arguments, *_GO_ON], stop)
            if failed is None:
                return 0
            if stop.received or failed.status == _BAD_INPUT or number == restarts:
                return failed.status
            left = max(begin + seconds_between - time.monotonic(), 0)
            say(f"restart {number + 1} of {restarts}: all workers start from the last checkpoint in {left:.0f} s")
            if stop.wait(left):
                return failed.status
    return 0


_GO_ON = ("continue_training", "auto", "solver.overwrite", "False")


def _run(cluster_file: str, arguments: Sequence[str], stop: "_Stop") -> Worker | None:
    """Runs all workers of this host once; gives the first that failed, and says what it wrote."""
    workers, here, cfg = _read(cluster_file, arguments)
    numbers = _device_numbers(cfg, workers, here)
    shown = cfg.root_rank if cfg.root_rank in here else here[0]
    local = _devices_each(cfg, workers)
    running = []
    for place, index in enumerate(here):
        own = ["cluster_file", os.path.abspath(cluster_file), "worker_index", str(index)]
        if numbers:
            own += ["device_ids", str(list(numbers[place * local : (place + 1) * local])).replace(" ", "")]
        # In sessions of their own, so that the signals of a terminal come through here, once.
        process = subprocess.Popen(
            [sys.executable, "-m", "ascendvsr", *arguments, *own],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="backslashreplace",
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        worker = Worker(index, workers[index], process)
        worker.relay(cast(IO[str], process.stdout), sys.stdout if index == shown else None)
        worker.relay(cast(IO[str], process.stderr), sys.stderr if index == shown else None)
        running.append(worker)
    failed = None
    with stop.handing_on_to(running):
        failed = _wait(running)
    if failed is not None and not stop.received:
        say(f"{failed.end}; its last lines:")
        for line in failed.lines:
            print(f"    {line}", file=sys.stderr, flush=True)
    return failed


def _wait(workers: Sequence[Worker]) -> Worker | None:
    """Waits until all have ended; gives the first that failed. The others then get some seconds to end."""
    failed, failed_at = None, 0.0
    while True:
        ended = [worker for worker in workers if worker.process.poll() is not None]  # asks every one
        if failed is None and (failed := next((worker for worker in ended if worker.status), None)):
            failed_at = time.monotonic()
        if len(ended) == len(workers):
            break
        if failed is not None and time.monotonic() - failed_at > _GRACE:
            for worker in workers:
                worker.process.kill()
        time.sleep(0.1)
    for worker in workers:
        for reader in worker.readers:
            reader.join(timeout=5.0)
    return failed


class _Stop:
    """SIGINT and SIGTERM, which go on to the workers and end the restarts."""

    def __init__(self):
        self.received = 0
        self._workers: Sequence[Worker] = ()
        self._previous = {}

    def __enter__(self) -> "_Stop":
        if threading.current_thread() is threading.main_thread():
            numbers = (signal.SIGINT, signal.SIGTERM)
            self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def handing_on_to(self, workers: Sequence[Worker]) -> Iterator[None]:
        """Inside the block these workers get the signals; after an error in it none of them is left."""
        self._workers = workers
        try:
            yield
        finally:
            self._workers = ()
            for worker in workers:
                if worker.process.poll() is None:
                    worker.process.kill()

    def wait(self, seconds: float) -> bool:
        """Waits so long, or until a signal; whether there was one."""
        deadline = time.monotonic() + seconds
        while not self.received and time.monotonic() < deadline:
            time.sleep(0.1)
        return bool(self.received)

    def _note(self, number: int, frame: object) -> None:
        self.received = number
        for worker in self._workers:
            worker.process.send_signal(number)


def _read(cluster_file: str, arguments: Sequence[str]) -> tuple[tuple[str, ...], list[int], CfgNode]:
    """The cluster's workers, which of them run here, and the settings; ports are free."""
    cluster = read_cluster(cluster_file, 0, {})
    workers = cluster.workers if cluster else ()
    here = local_workers(workers)
    if not here:
        raise InputError(f"{cluster_file} has no two workers, or none on this host ({socket.gethostname()})")
    for index in here:
        check_port(index, workers[index])
    _, parsed = cli._parse(list(arguments) or ["train"])
    return workers, here, load_config(parsed.config_file, parsed.settings)


def _devices_each(cfg: CfgNode, workers: Sequence[str]) -> int:
    """How many devices a worker has."""
    return max(cfg.rank_size // len(workers), 1)


def _device_numbers(cfg: CfgNode, workers: Sequence[str], here: Sequence[int]) -> list[int]:
    """The numbers of the GPUs that the workers of this host take, in their order; []: they compute on processors.

    Raises `InputError` where there are fewer.
    """
    if cfg.device == "cpu":
        return []
    there, needed = count_gpus(), len(here) * _devices_each(cfg, workers)
    if not there and cfg.device == "auto":
        return []
    ids = list(cfg.device_ids)
    numbers = list(range(ids[0], ids[0] + needed)) if len(ids) == 1 else ids[:needed]
    if (there or cfg.device == "gpu") and (len(numbers) < needed or max(numbers) >= there):
        each = "" if needed == len(here) else f" of {_devices_each(cfg, workers)} each"
        raise InputError(
            f"{len(here)} workers{each} on this host ask for the GPUs {numbers[0]} to {numbers[-1]}, and "
            f"TensorFlow sees {there}, counted from 0: leave workers out of the cluster file, or say device cpu"
        )
    return numbers


def _is_here(host: str) -> bool:
    try:
        address = socket.gethostbyname(host)
    except OSError as error:
        raise InputError(f"cannot find the host {host!r} of the cluster file: {error}") from error
    if address.startswith("127."):
        return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def say(text: str) -> None:
    """Tells the user."""
    print(f"launch: {text}", file=sys.stderr, flush=True)


def main(argv: Sequence[str]) -> int:
    """The command line that the module's first lines tell of; gives the exit status."""
    if not argv or argv[0] in ("-h", "--help"):
        print(__doc__, file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    cluster_file, *arguments = argv
    try:
        if arguments[:1] == ["--check"]:
            check(cluster_file, ["train", *arguments[1:]] if len(arguments) > 1 else [])
            return 0
        restarts = 0
        if "--restarts" in arguments:
            at = arguments.index("--restarts")
            count = "".join(arguments[at + 1 : at + 2])
            if not (count.isascii() and count.isdecimal() and len(count) < 7):
                raise InputError(f"--restarts should be a number of restarts, such as 10, not {count!r}")
            restarts = int(count)
            del arguments[at : at + 2]
        return launch(cluster_file, arguments, restarts)
    except InputError as error:
        say(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
