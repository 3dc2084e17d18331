"""Worker processes of a cluster file, and the scripts that start them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.training.launch import check, launch, local_workers
from tests.ascendcv.runner.test_distribution import free_ports
from tests.support import PROJECT

ELSEWHERE = "203.0.113.1:2222"  # an address that is kept for documentation


def cluster_file(folder: Path, workers: list[str]) -> str:
    path = folder / "cluster.json"
    path.write_text(json.dumps(workers))
    return str(path)


def script(name: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Runs a script of scripts/ with this Python as `python3`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", f"scripts/{name}", *map(str, arguments)]
    environment = os.environ | {"PATH": path} | environment
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=environment, timeout=120)


def test_workers_of_this_host_are_found():
    assert local_workers(["localhost:1", ELSEWHERE, "127.0.0.1:2"]) == [0, 2]


def test_the_check_says_what_will_run_here(tmp_path, capsys):
    port = free_ports(1)[0]
    check(cluster_file(tmp_path, [ELSEWHERE, f"localhost:{port}"]))
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"worker 0: {ELSEWHERE}, on another host"
    assert printed[1] == f"worker 1: localhost:{port}, here, on device 0"
    assert printed[2].startswith("1 of 2 workers will run here")


def test_what_is_in_the_way_is_said(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"worker 0 cannot have port {port}"):
            check(cluster_file(tmp_path, [f"localhost:{port}", ELSEWHERE]))
    with pytest.raises(InputError, match="or none on this host"):
        check(cluster_file(tmp_path, [ELSEWHERE, "203.0.113.2:2222"]))
    with pytest.raises(InputError, match=r"cannot find the host 'no-such-host\.invalid'"):
        launch(cluster_file(tmp_path, ["no-such-host.invalid:1", "localhost:2"]), [])


def test_a_failing_worker_gives_its_exit_status(tmp_path, capfd):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    assert launch(cluster_file(tmp_path, workers), ["train", "data.data_dir", "no-such-folder"]) == 2
    assert capfd.readouterr().err.count("there is no data set in no-such-folder") == 2


def test_prepare_checks_the_file_that_comes_with_the_project():
    found = script("prepare_8p.sh")
    assert found.returncode == 0, found.stderr
    assert "8 of 8 workers will run here" in found.stdout


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("run_1p_train.sh", (0, 1)),
        ("run_1p_train_precision_overwatch.sh", (0, 1)),
        ("run_8p_train.sh", ()),
        ("run_8p_train_precision_overwatch.sh", ()),
    ],
)
def test_scripts_hand_on_settings_and_exit_status(tmp_path, name: str, arguments: tuple):
    cluster = cluster_file(tmp_path, [f"localhost:{port}" for port in free_ports(2)])
    found = script(name, *arguments, "data.data_dir", "no-such-folder", CLUSTER=cluster)
    assert found.returncode == 2
    assert "there is no data set in no-such-folder" in found.stderr


def test_a_script_without_its_arguments_says_which():
    found = script("run_1p_train.sh")
    assert found.returncode == 2
    assert "usage: bash scripts/run_1p_train.sh DEVICE_ID NUM_DEVICES" in found.stderr
