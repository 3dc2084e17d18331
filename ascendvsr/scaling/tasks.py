"""Tasks on a cluster of Dask: `--cluster ADDRESS | local:N` and `--devices`.

Dask (the package `distributed`) starts worker processes, or finds those that a queue has started, hands out tasks
and hands them out again when a worker dies. One address serves a laptop, a Slurm job and Kubernetes: docs/scale.md.
"""

import argparse
import contextlib
import importlib.util
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ascendcv.utils.errors import InputError

_ATTEMPTS = 2  # of a task whose workers die, each on several workers
_PER_WORKER = 2  # tasks in flight: one that is computed and one that waits
_CONNECT = 10  # seconds
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # of the drivers that TensorFlow's GPUs need
_LOOK_EVERY = 2  # seconds: whether the scheduler is there, and workers have come or gone


@dataclass(frozen=True)
class Engine:
    """Where tasks run.

    Attributes:
        address: of a scheduler, such as tcp://node0:8786; '': worker processes here, made for the command.
        processes: how many of those.
        devices: the GPUs of this host, one for each process; (): the processes share the processors.
    """

    address: str
    processes: int = 0
    devices: tuple[int, ...] = ()


def add_cluster_options(parser: argparse.ArgumentParser, devices: bool = True) -> None:
    """`--cluster`, and `--devices` for what computes on GPUs, read by `read_engine`."""
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS|local:N",
        help="share the work among Dask workers: tcp://HOST:8786, or N processes here",
    )
    if devices:
        text = "share it among GPUs of this host, a process each"
        parser.add_argument("--devices", metavar="all|LIST", help=text)


def read_engine(cluster: str | None, devices: str | None = None) -> Engine | None:
    """What the options name; None: nothing. Raises `InputError` for what is not there or makes no sense."""
    if not cluster and not devices:
        return None
    if cluster and devices:
        raise InputError("--devices starts processes on this host, --cluster has its own: leave one of them out")
    if importlib.util.find_spec("distributed") is None:
        option = "--cluster" if cluster else "--devices"
        raise InputError(f"{option} needs Dask, which is not installed: pip install 'ascendvsr[cluster]'")
    if devices:
        numbers = _read_devices(devices)
        return Engine("", len(numbers), numbers)
    address = cluster or ""
    if found := re.fullmatch(r"local:([0-9]{1,3})", address):
        if int(found[1]) < 1:
            raise InputError("--cluster local:N needs one process at least, such as local:2")
        return Engine("", int(found[1]))
    if not re.fullmatch(r"(tcp|tls|ws|wss)://\S+:[0-9]{1,5}", address):
        raise InputError(
            "--cluster should be the address of a Dask scheduler, such as tcp://node0:8786, or local:N, not "
            f"{address!r}"
        )
    return Engine(address)


def _read_devices(text: str) -> tuple[int, ...]:
    if text != "all" and not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", text):
        raise InputError(f"--devices should be all or numbers such as 0,1, not {text!r}")
    there = count_gpus()
    if not there:
        raise InputError("--devices: TensorFlow sees no GPU here; --cluster local:N shares the processors")
    numbers = range(there) if text == "all" else [int(number) for number in text.split(",")]
    if len(set(numbers)) < len(numbers):
        raise InputError(f"--devices {text} names a device twice")
    for number in numbers:
        if number >= there:
            raise InputError(f"--devices {text}: there is no GPU {number} here; there are {there}, counted from 0")
    return tuple(numbers)


def count_gpus() -> int:
    """How many GPUs TensorFlow sees here, found out by another process: this one's stay untouched."""
    if sys.platform == "linux" and not any(os.path.exists(file) for file in _GPU_FILES):
        return 0  # without asking TensorFlow, which takes seconds
    code = "import tensorflow as tf; print('GPUS', len(tf.config.list_physical_devices('GPU')))"
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    numbers = re.findall(r"^GPUS (\d+)$", found.stdout, re.MULTILINE)
    if not numbers:
        last = (found.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise InputError(f"TensorFlow cannot be asked for its devices: {last}")
    return int(numbers[0])


def run_tasks(
    function: Callable[[Any], Any],
    tasks: Iterable[Any],
    engine: Engine,
    *,
    done: Callable[[int, Any], object] = lambda index, result: None,
    say: Callable[[str], None] = print,
) -> Iterator[Any]:
    """`function(task)` of each task, in the tasks' order.

    A task that a dying worker had is done by another one. No more tasks are in flight than two for each worker, and
    `tasks` are asked for as they are handed out, so that their number does not matter. A task may be begun twice:
    what it writes should appear under its final name only when complete.

    Args:
        function: of a module, so that workers can import it; task and result are plain values.
        done: called with the position and the result of each task as it is done, in any order.
        say: what to tell the user with.
    Raises:
        InputError: no scheduler there, or no worker. What `function` raises: the first error ends the run.
        RuntimeError: the scheduler is gone, or a task's workers died each time.
    """
    from distributed.comm.core import CommClosedError

    with _client(engine) as client:
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(1, timeout=_CONNECT)
        if not client.scheduler_info()["workers"]:
            raise InputError(
                f"the scheduler {engine.address} has no workers: start some (dask worker {engine.address})"
            )
        try:
            yield from _ordered(client, function, iter(tasks), done, say)
        except CommClosedError as error:
            raise _gone(engine) from error


def _gone(engine: Engine) -> RuntimeError:
    return RuntimeError(f"the scheduler {engine.address} does not answer any more")


def _ordered(client, function, tasks, done, say) -> Iterator[Any]:
    import distributed
    from distributed.client import FuturesCancelledError
    from distributed.comm.core import CommClosedError

    running: dict[Any, tuple[int, Any]] = {}
    again: deque[tuple[int, Any]] = deque()
    attempts: Counter[int] = Counter()
    results: dict[int, Any] = {}
    numbered = enumerate(tasks)
    given, had_workers = 0, True
    try:
        while True:
            workers = client.scheduler_info(n_workers=-1)["workers"]
            # GPUs are what Dask calls a resource, of workers started with --resources GPU=1.
            wants = {"GPU": 1} if any(worker["resources"].get("GPU") for worker in workers.values()) else None
            while len(running) < max(_PER_WORKER * len(workers), 1):
                entry = again.popleft() if again else next(numbered, None)
                if entry is None:
                    break
                future = client.submit(function, entry[1], pure=False, resources=wants)
                running[future] = entry
            if not running:
                return
            if bool(workers) != had_workers:
                had_workers = bool(workers)
                say("workers are there again" if workers else "all workers are gone: waiting for others")
            with contextlib.suppress(TimeoutError, FuturesCancelledError):
                distributed.wait(list(running), timeout=_LOOK_EVERY, return_when="FIRST_COMPLETED")
            if client.status != "running":
                raise CommClosedError
            future = next((future for future in running if future.status != "pending"), None)
            if future is None:
                continue
            entry = running.pop(future)
            error = future.exception() if future.status == "error" else None
            if future.status in ("cancelled", "lost") or isinstance(error, distributed.KilledWorker):
                attempts[entry[0]] += 1
                if attempts[entry[0]] == _ATTEMPTS:
                    raise RuntimeError(f"task {entry[0] + 1}: its workers died each time it was tried")
                say(f"task {entry[0] + 1}: its workers died; it is tried again")
                again.append(entry)
                continue
            if error is not None:
                raise error
            results[entry[0]] = future.result()
            done(entry[0], results[entry[0]])
            while given in results:
                yield results.pop(given)
                given += 1
    finally:
        client.cancel(list(running), force=True)


@contextlib.contextmanager
def _client(engine: Engine) -> Iterator[Any]:
    import distributed

    for name in list(logging.root.manager.loggerDict):
        if re.match(r"(distributed|tornado|asyncio)\b", name):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # a worker that died is not the user's to mend
    with contextlib.ExitStack() as stack:
        if engine.address:
            cluster = engine.address
        else:
            cluster = stack.enter_context(_local_cluster(distributed, engine, stack))
        try:
            client = distributed.Client(cluster, timeout=_CONNECT)
        except (OSError, TimeoutError) as error:
            raise InputError(
                f"no Dask scheduler answers at {engine.address}: start one (dask scheduler)"
            ) from error
        yield stack.enter_context(client)


def _local_cluster(distributed: Any, engine: Engine, stack: contextlib.ExitStack) -> Any:
    """A scheduler in this process, and worker processes that end with it, on the loopback address only."""
    here = {"host": "127.0.0.1", "dashboard": False}
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ascendvsr-", ignore_cleanup_errors=True))
    worker = {**here, "nthreads": 1, "memory_limit": 0, "local_directory": folder, "silence_logs": logging.CRITICAL}
    threads = max((os.cpu_count() or 1) // engine.processes, 1)
    environments = [{"CUDA_VISIBLE_DEVICES": str(device)} for device in engine.devices]
    workers = {
        number: {
            "cls": distributed.Nanny,
            "options": worker | {"env": {"OMP_NUM_THREADS": str(threads)} | environment},
        }
        for number, environment in enumerate(environments or [{}] * engine.processes)
    }
    scheduler = {"cls": distributed.Scheduler, "options": {**here, "port": 0, "dashboard_address": "127.0.0.1:0"}}
    return distributed.SpecCluster(workers, scheduler, silence_logs=logging.CRITICAL)


def with_threads(settings: Sequence[str], engine: Engine) -> list[str]:
    """KEY VALUE words of a task, with how many threads compute; what they say of that themselves stays."""
    threads = threads_of(engine)
    return (
        [*settings] if "num_threads" in settings[::2] or not threads else [*settings, "num_threads", str(threads)]
    )


def threads_of(engine: Engine) -> int:
    """How many threads a local process should compute with; 0: as it likes, alone on its host."""
    return 0 if engine.address or engine.devices else max((os.cpu_count() or 1) // engine.processes, 1)
