"""Starts the worker processes of a cluster that run on this host, one a device.

    python -m ascendvsr.training.launch CLUSTER.json --check
    python -m ascendvsr.training.launch CLUSTER.json [arguments of tools/main.py ...]

Start it on every host that the cluster file names: each runs its own entries. A signal is handed on to the
workers; when one of them fails, the others are ended too.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ascendcv.runner.cluster import read_cluster
from ascendcv.utils.errors import InputError

_MAIN = Path(__file__).parents[2] / "tools" / "main.py"
_GRACE = 15.0  # seconds in which workers notice by themselves that another one has failed


def local_workers(workers: Sequence[str]) -> list[int]:
    """Positions of the 'host:port' entries whose host is this one."""
    return [index for index, worker in enumerate(workers) if _is_here(worker.rpartition(":")[0])]


def check(cluster_file: str) -> None:
    """Prints what will run where. Raises `InputError` where something is in the way on this host."""
    cluster = read_cluster(cluster_file, 0, {})
    workers = cluster.workers if cluster else ()
    here = local_workers(workers)
    for index, worker in enumerate(workers):
        place = f"here, on device {here.index(index)}" if index in here else "on another host"
        print(f"worker {index}: {worker}, {place}")
    if not here:
        raise InputError(f"{cluster_file} has no two workers, or none on this host ({socket.gethostname()})")
    for index in here:
        port = int(workers[index].rpartition(":")[2])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError as error:
                raise InputError(f"worker {index} cannot have port {port}: {error.strerror}") from error
    print(f"{len(here)} of {len(workers)} workers will run here; device_ids that are absent stop the run")


def launch(cluster_file: str, arguments: Sequence[str]) -> int:
    """Runs this host's workers until all have ended; gives the first exit status that is not 0."""
    cluster = read_cluster(cluster_file, 0, {})
    here = local_workers(cluster.workers) if cluster else []
    if not here:
        raise InputError(f"{cluster_file} has no two workers, or none on this host ({socket.gethostname()})")
    processes = []
    for device, index in enumerate(here):
        own = ["cluster_file", cluster_file, "worker_index", str(index), "device_ids", f"[{device}]"]
        # In sessions of their own, so that the signals of a terminal come through here, once.
        command = [sys.executable, str(_MAIN), *arguments, *own]
        processes.append(subprocess.Popen(command, start_new_session=True))

    def hand_on(number: int, frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hand_on)
    return _wait(processes)


def _wait(processes: Sequence[subprocess.Popen]) -> int:
    failed_at = None
    while any(process.poll() is None for process in processes):
        time.sleep(0.2)
        if failed_at is None and any(process.returncode for process in processes):
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _GRACE:
            for process in processes:
                process.kill()
    statuses = [process.returncode for process in processes if process.returncode]
    return next((status for status in statuses if status > 0), 128 - statuses[0] if statuses else 0)


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


def main(argv: Sequence[str]) -> int:
    if not argv:
        print(__doc__, file=sys.stderr)
        return 2
    cluster_file, *arguments = argv
    try:
        if arguments == ["--check"]:
            check(cluster_file)
            return 0
        return launch(os.path.abspath(cluster_file), arguments)
    except InputError as error:
        print(f"launch: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
