"""Tasks on a real scheduler of Dask and worker processes, which are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.scaling.tasks import read_engine, run_tasks
from tests.support import PROJECT

pytestmark = pytest.mark.needs("distributed")


def note_and_square(task: tuple[str, int]) -> tuple[int, int]:
    """Leaves a mark of each time that it was begun; gives the square and the process that found it."""
    folder, number = task
    Path(folder, f"{number}-{os.getpid()}-{time.time_ns()}").touch()
    time.sleep(0.15)
    return number * number, os.getpid()


def refuse_three(number: int) -> int:
    if number == 3:
        raise InputError("frames/0003.png is no picture")
    return number


def end_the_process(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_tasks_outlive_workers_that_are_killed_and_come_in_order(tmp_path):
    chance = random.Random(20260117)
    kills, count = sorted(chance.sample(range(1, 25), 3)), 30
    found, seen = [], set()
    for square, process in run_tasks(
        note_and_square, ((str(tmp_path), number) for number in range(count)), read_engine("local:2")
    ):
        found.append(square)
        seen.add(process)
        if len(found) in kills and process in seen:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it was killed before this result, of a task that it had done, was given
    assert found == [number * number for number in range(count)], f"killed after {kills}"
    assert len(seen) > 2, "no worker was replaced"


def test_few_tasks_are_in_flight(tmp_path):
    asked = 0

    def tasks() -> Iterator[tuple[str, int]]:
        nonlocal asked
        for number in range(40):
            asked = number + 1
            yield str(tmp_path), number

    for given, _ in enumerate(run_tasks(note_and_square, tasks(), read_engine("local:2")), start=1):
        assert asked - given <= 2 * 2 + 2


def test_an_error_of_a_task_is_the_error_of_the_run():
    with pytest.raises(InputError, match=r"frames/0003\.png is no picture"):
        list(run_tasks(refuse_three, range(10), read_engine("local:2")))


@pytest.fixture
def scheduler(tmp_path) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and a worker, started as a user starts them: the address, and the processes."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    processes, file = [], tmp_path / "scheduler.json"

    def start(program: str, *arguments: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--scheduler-file", str(file), *arguments]
        command += ["--host", "127.0.0.1", "--no-dashboard"]
        processes.append(subprocess.Popen(command, env=environment, cwd=tmp_path, **quiet))

    start("dask_scheduler", "--port", "0")
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    start("dask_worker", "--nthreads", "1")
    try:
        yield json.loads(file.read_text())["address"], processes
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_an_address_serves_workers_that_were_started_apart(scheduler, tmp_path):
    address, processes = scheduler
    engine = read_engine(address)
    (tmp_path / "marks").mkdir()
    tasks = [(str(tmp_path / "marks"), number) for number in range(4)]
    assert [square for square, _ in run_tasks(note_and_square, tasks, engine)] == [0, 1, 4, 9]
    with pytest.raises(RuntimeError, match="does not answer any more"):
        for given, _ in enumerate(run_tasks(note_and_square, tasks * 10, engine)):
            if given == 2:
                os.killpg(processes[0].pid, signal.SIGKILL)


def test_what_is_no_cluster_is_said():
    assert read_engine(None) is None
    for wrong in ("local:0", "local", "local:x", "node0", "tcp://node0", "/tmp/scheduler"):
        with pytest.raises(InputError, match=r"--cluster (should be the address|local:N needs)"):
            read_engine(wrong)
    with pytest.raises(InputError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        list(run_tasks(refuse_three, [1], read_engine("tcp://127.0.0.1:1")))
    with pytest.raises(InputError, match="leave one of them out"):
        read_engine("local:2", "all")
    for wrong in ("", "0,0,x", "0;1", "-1"):
        if wrong:
            with pytest.raises(InputError, match="--devices should be all or numbers"):
                read_engine(None, wrong)


@pytest.mark.slow
def test_a_task_that_kills_every_worker_ends_the_run():
    with pytest.raises(RuntimeError, match="task 1: its workers died each time it was tried"):
        list(run_tasks(end_the_process, [1], read_engine("local:1"), say=lambda text: None))
