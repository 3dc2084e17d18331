"""A worker ends when others leave it waiting, in real processes that need no TensorFlow."""

import socket
import subprocess
import sys

from ascendcv.runner.cluster import Cluster
from ascendcv.runner.peers import missing_workers
from tests.ascendcv.runner.test_distribution import free_ports

CODE = """
import sys, time
from ascendcv.runner.cluster import Cluster
from ascendcv.runner.peers import ending_together
from ascendcv.utils.errors import InputError
with ending_together(Cluster(("127.0.0.1:1", sys.argv[1]), 1), float(sys.argv[2])) as step_done:
    step_done()
    {work}
print("done")
"""


def worker(work: str, address: str, timeout: float) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", CODE.replace("{work}", work), address, str(timeout)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_worker_that_waits_too_long_says_which_one_does_not_answer():
    found = worker("time.sleep(30)", f"127.0.0.1:{free_ports(1)[0]}", 0.5)
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        "ascendvsr: no step was done for 0.5 s (solver.worker_timeout): "
        "worker 0 (127.0.0.1:1) does not answer any more"
    ]


def test_steps_that_are_done_in_time_are_not_disturbed():
    found = worker("[(time.sleep(0.4), step_done()) for _ in range(10)]", "127.0.0.1:2", 3.0)
    assert (found.returncode, found.stdout, found.stderr) == (0, "done\n", "")


def test_errors_end_the_process_at_once_in_one_line_with_the_status_of_their_kind():
    for work, status, line in (
        ("raise InputError('a frame is damaged')", 2, "ascendvsr: a frame is damaged"),
        ("raise OSError(28, 'No space left on device', 'EDVR-5')", 1, "No space left on device: 'EDVR-5'"),
        ("raise RuntimeError('the loss is not finite')", 1, "ascendvsr: the loss is not finite"),
    ):
        found = worker(work, "127.0.0.1:2", 0.0)
        assert found.returncode == status
        assert len(found.stderr.splitlines()) == 1
        assert line in found.stderr


def test_without_a_cluster_errors_come_out_as_they_are():
    code = "from ascendcv.runner.peers import ending_together\nwith ending_together(None, 1.0):\n    1 / 0"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_the_first_worker_that_does_not_answer_is_named():
    with socket.create_server(("127.0.0.1", 0)) as alive:
        there = f"127.0.0.1:{alive.getsockname()[1]}"
        gone = f"127.0.0.1:{free_ports(1)[0]}"
        assert missing_workers(Cluster((there, "own:1", gone), 1)) == f"worker 2 ({gone}) does not answer any more"
        assert missing_workers(Cluster((there, "own:1"), 1)) == ""
