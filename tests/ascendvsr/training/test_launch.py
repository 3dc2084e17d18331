"""Worker processes of a cluster file, and the scripts that start them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.scaling.tasks import count_gpus
from ascendvsr.training import launch as launcher
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
    check(cluster_file(tmp_path, [ELSEWHERE, f"localhost:{port}"]), ["train", "device", "cpu"])
    assert capsys.readouterr().out.splitlines() == [
        f"worker 0: {ELSEWHERE}, on another host",
        f"worker 1: localhost:{port}, here",
        "1 of 2 workers will run here",
    ]


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


def test_the_port_of_the_last_worker_is_asked_for_too(tmp_path):
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        port = taken.getsockname()[1]
        workers = [f"localhost:{port}" for port in [*free_ports(2), port]]
        with pytest.raises(InputError, match=f"worker 2 cannot have port {port}"):
            launch(cluster_file(tmp_path, workers), ["train", "device", "cpu"])


@pytest.mark.parametrize("settings", [("device", "gpu"), ("device", "gpu", "device_ids", "[6,7]")])
def test_more_gpus_than_there_are_are_refused_before_anything_starts(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(launcher, "count_gpus", lambda: 1)
    workers = [f"localhost:{port}" for port in free_ports(2)]
    with pytest.raises(InputError, match=r"2 workers on this host ask for the GPUs .*, and TensorFlow sees 1"):
        launch(cluster_file(tmp_path, workers), ["train", *settings])


def test_prepare_fails_where_devices_are_missing_and_passes_where_none_are_wanted(tmp_path):
    workers = [f"localhost:{port}" for port in free_ports(8)]
    cluster = cluster_file(tmp_path, workers)
    if not count_gpus():
        found = script("prepare_8p.sh", cluster)
        assert found.returncode == 2
        assert "8 workers are to run here, and TensorFlow sees no accelerator" in found.stderr
    found = script("prepare_8p.sh", cluster, "device", "cpu")
    assert found.returncode == 0, found.stderr
    assert "8 of 8 workers will run here" in found.stdout


# In place of `ascendvsr`: worker 1 fails in the way that its argument says, worker 0 waits for ever.
STAND_IN = """
import os, signal, sys, time
words = sys.argv[1:]
index, how = words[words.index("worker_index") + 1], words[words.index("output_dir") + 1]
goes_on = "continue_training" in words and words[words.index("continue_training") + 1] == "auto"
print(f"worker {index} {'goes on' if goes_on else 'began'}")
if index == "1":
    sys.stderr.write("".join(f"line {number}\\n" for number in range(40)))
    sys.stderr.flush()
    time.sleep(0.5)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(int(how))
time.sleep(600)
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """A package `ascendvsr` whose program is STAND_IN, which workers find before the real one."""
    (tmp_path / "ascendvsr").mkdir()
    (tmp_path / "ascendvsr/__init__.py").touch()
    (tmp_path / "ascendvsr/__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launcher, "_GRACE", 1.0)
    return tmp_path


@pytest.mark.parametrize(("how", "status", "told"), [("3", 3, "ended with status 3"), ("kill", 137, "SIGKILL")])
def test_a_worker_that_fails_ends_all_with_its_last_lines(stand_in, capfd, how: str, status: int, told: str):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    assert launch(cluster_file(stand_in, workers), ["train", "device", "cpu", "output_dir", how]) == status
    out, err = capfd.readouterr()
    assert "worker 0 began" in out
    assert "worker 1 began" not in out
    lines = err.splitlines()
    assert lines[0].startswith(f"launch: worker 1 ({workers[1]})")
    assert told in lines[0]
    assert lines[-1] == "    line 39"
    assert len(lines) < 20


def test_restarts_are_said_counted_and_go_on_from_the_last_checkpoint(stand_in, capfd):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    arguments = ["train", "device", "cpu", "output_dir", "1"]
    assert launch(cluster_file(stand_in, workers), arguments, restarts=2, seconds_between=0.1) == 1
    out, err = capfd.readouterr()
    assert [line for line in err.splitlines() if "restart" in line] == [
        f"launch: restart {number} of 2: all workers start from the last checkpoint in 0 s" for number in (1, 2)
    ]
    began = [line for line in out.splitlines() if line.startswith("worker")]
    assert began == ["worker 0 began", "worker 0 goes on", "worker 0 goes on"]


def test_bad_input_is_not_tried_again(stand_in, capfd):
    workers = [f"localhost:{port}" for port in free_ports(2)]
    arguments = ["train", "device", "cpu", "output_dir", "2"]
    assert launch(cluster_file(stand_in, workers), arguments, restarts=5, seconds_between=0.1) == 2
    assert "restart" not in capfd.readouterr().err


def test_a_number_of_restarts_is_asked_for(tmp_path, capsys):
    for wrong in (["--restarts"], ["--restarts", "many"], ["--restarts", "-1"]):
        assert launcher.main([cluster_file(tmp_path, ["localhost:1", "localhost:2"]), *wrong]) == 2
        assert "--restarts should be a number of restarts" in capsys.readouterr().err


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
