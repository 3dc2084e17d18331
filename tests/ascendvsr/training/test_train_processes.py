"""Training in real processes: killed, interrupted, spread over devices and workers."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ascendcv.runner.hooks.csv_file import read_rows
from ascendvsr.weights import load_checkpoint
from tests.ascendcv.runner.test_distribution import free_ports
from tests.ascendvsr.training.conftest import write_set
from tests.support import PROJECT, command_line

WHOLE = {"edvr.with_tsa": True, "solver.ema_decay": 0.9}
ONE_CYCLE = {
    "solver.optimizer.type": "AdamW",
    "solver.optimizer.weight_decay": 0.01,
    "solver.lr_schedule.type": "OneCycle",
    "solver.lr_schedule.base_lr": 1e-4,
    "solver.lr_schedule.max_lr": 1e-3,
    "solver.lr_schedule.total_steps": [24],
}


def pairs(settings: dict[str, object]) -> list[str]:
    return [str(word).replace("'", "") for pair in settings.items() for word in pair]


def start(settings: dict[str, object]) -> subprocess.Popen:
    command = command_line("train", *pairs(settings))
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen) -> str:
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def wait_for(condition, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def state(folder: Path) -> dict[str, np.ndarray]:
    """Weights, moving averages and optimizer of a checkpoint."""
    with np.load(folder / "state.npz") as arrays:
        found = {name: array for name, array in arrays.items() if name.startswith("optimizer/")}
    for kind in ("model", "ema"):
        weights = load_checkpoint(folder / f"{kind}.weights.h5")
        found |= {f"{kind}/{name}": array for name, array in weights.items()}
    return found


def test_a_run_that_was_killed_at_any_moment_goes_on_to_the_same_bits(settings, tmp_path):
    wanted = settings(WHOLE | ONE_CYCLE | {"solver.checkpoint_interval": 2})
    whole = start(wanted | {"output_dir": str(tmp_path / "whole")})
    killed = start(wanted)
    output = Path(wanted["output_dir"])
    wait_for(lambda: list(output.glob("EDVR-*")), killed)
    time.sleep(random.uniform(0.0, 1.0))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    steps = sorted(int(folder.name.split("-")[1]) for folder in output.glob("EDVR-*"))
    finish(whole)
    said = finish(start(wanted | {"continue_training": True}))
    assert f"Going on from {output / f'EDVR-{steps[-1]}'}" in said
    expected, found = state(tmp_path / "whole/EDVR-24"), state(output / "EDVR-24")
    assert expected.keys() == found.keys()
    different = [name for name in expected if not np.array_equal(expected[name], found[name])]
    assert different == [], f"killed after {steps}"
    rows = (output / "log/log.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, 25))
    assert not list(output.glob(".tmp-*"))
    books = [read_rows(folder / "log/epochs.csv") for folder in (tmp_path / "whole", output)]
    assert [int(row["epoch"]) for row in books[0]] == list(range(1, 13))
    for whole_row, row in zip(*books, strict=True):
        assert whole_row | {"elapsed": ""} == row | {"elapsed": ""}


@pytest.mark.slow
def test_two_runs_at_the_published_size_give_the_same_bits(settings, tmp_path, photograph):
    """Sums of large tensors, whose order TensorFlow leaves to chance where operations run at the same time."""
    published = {
        "model.num_frames": 3,
        "edvr.mid_channels": 64,
        "edvr.num_deform_groups": 8,
        "edvr.num_blocks_reconstruction": 10,
        "data.train_in_size": [64, 64],
        "data.data_dir": str(write_set(tmp_path, photograph, 64, 64)),
        "solver.checkpoint_interval": 0,
    }
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        finish(start(settings(WHOLE | published | {"output_dir": str(folder)})))
    first, second = (state(folder / "EDVR-4") for folder in folders)
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


def test_a_stop_signal_saves_the_step_and_exits_as_shells_expect(settings, tmp_path):
    endless = {"solver.lr_schedule.total_steps": [100000], "solver.checkpoint_interval": 0}
    runs = {
        number: (start(settings(endless | {"output_dir": str(tmp_path / number.name)})), tmp_path / number.name)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    for number, (process, output) in runs.items():
        wait_for(
            lambda output=output: "Step:3" in "".join(f.read_text() for f in output.glob("log/*.log")), process
        )
        process.send_signal(number)
    for number, (process, output) in runs.items():
        said = process.communicate(timeout=120)[0]
        assert process.returncode == 128 + number, said
        assert "Traceback" not in said
        (checkpoint,) = output.glob("EDVR-*")
        step = int(checkpoint.name.split("-")[1])
        assert step >= 3
        assert f"Stopped at step {step}" in said
        assert json.loads((checkpoint / "meta.json").read_text())["step"] == step


def script(name: str, *arguments: object, **environment: str) -> subprocess.Popen:
    """Starts a script of scripts/ with this Python as `python3`."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        ["bash", f"scripts/{name}", *map(str, arguments)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PATH": path} | environment,
    )


def test_one_device_two_devices_and_two_workers_train_alike(settings, tmp_path):
    """By the scripts, with a global batch of 4 each."""
    cluster = tmp_path / "2p.json"
    cluster.write_text(json.dumps([f"localhost:{port}" for port in free_ports(2)]))
    wanted = settings({"solver.lr_schedule.total_steps": [3], "data.use_transpose": False})

    def arguments(name: str, batch: int) -> list[str]:
        return pairs(wanted | {"output_dir": str(tmp_path / name), "data.train_batch_size": batch})

    runs = [
        script("run_1p_train.sh", 0, 1, *arguments("one", 4)),
        script("run_1p_train.sh", 0, 2, *arguments("two", 2)),
        script("run_8p_train.sh", *arguments("workers", 2), CLUSTER=str(cluster)),
    ]
    for process in runs:
        finish(process)
    one, two, workers = (load_checkpoint(tmp_path / name / "EDVR-3") for name in ("one", "two", "workers"))
    for found in (two, workers):
        for name in one:
            np.testing.assert_allclose(found[name], one[name], rtol=0, atol=2e-6, err_msg=name)
    assert len(list((tmp_path / "workers/log").glob("train-*.log"))) == 1


def launched(*arguments: str, restarts: int = 0) -> subprocess.Popen:
    """The launcher with a driver that allows a restart every second rather than every minute."""
    code = (
        "import sys; from ascendvsr.training.launch import launch; "
        f"sys.exit(launch(sys.argv[1], sys.argv[2:], restarts={restarts}, seconds_between=1.0))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def worker_processes(cluster: Path) -> dict[int, int]:
    """Index -> process of the workers that read this cluster file."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it has ended
        if str(cluster) in words and "worker_index" in words:
            found[int(words[words.index("worker_index") + 1])] = int(entry.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_workers_of_which_one_is_killed_twice_give_the_bits_of_the_unbroken_run(settings, tmp_path):
    wanted = settings(WHOLE | ONE_CYCLE | {"num_threads": 1, "data.use_transpose": False})
    clusters = []
    for name in ("whole", "killed"):
        clusters.append(tmp_path / f"{name}.json")
        clusters[-1].write_text(json.dumps([f"localhost:{port}" for port in free_ports(3)]))
    finish(launched(str(clusters[0]), "train", *pairs(wanted | {"output_dir": str(tmp_path / "whole")})))
    output, chance = tmp_path / "killed", random.Random()
    run = launched(str(clusters[1]), "train", *pairs(wanted | {"output_dir": str(output)}), restarts=2)
    kills = []
    for begin in (1, 9):
        step = begin + chance.randrange(7)
        wait_for(lambda step=step: (output / f"EDVR-{step}").exists(), run)
        victim = chance.randrange(3)
        kills.append((victim, step))
        os.kill(worker_processes(clusters[1])[victim], signal.SIGKILL)
        wait_for(lambda: len(worker_processes(clusters[1])) == 0, run)
    said = finish(run)
    for victim, _ in kills:
        assert f"launch: worker {victim} (localhost" in said or "does not answer any more" in said
    assert [f"launch: restart {number} of 2" in said for number in (1, 2)] == [True, True]
    assert "Traceback" not in said
    expected, found = state(tmp_path / "whole/EDVR-24"), state(output / "EDVR-24")
    different = [name for name in expected if not np.array_equal(expected[name], found[name])]
    assert different == [], f"killed (worker, step): {kills}"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", [0, 1])
def test_workers_that_lose_the_chief_or_a_peer_end_soon_with_one_line(settings, tmp_path, victim: int):
    cluster = tmp_path / "2p.json"
    cluster.write_text(json.dumps([f"localhost:{port}" for port in free_ports(2)]))
    endless = {"solver.lr_schedule.total_steps": [100000], "num_threads": 1, "cluster_file": str(cluster)}
    workers = [start(settings(endless | {"worker_index": index})) for index in range(2)]
    output = tmp_path / "outputs"
    wait_for(lambda: list(output.glob("EDVR-*")), workers[0])
    workers[victim].send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    said = workers[1 - victim].communicate(timeout=60)[0]
    assert time.monotonic() - killed_at < 20
    workers[victim].communicate()
    assert workers[1 - victim].returncode == 1
    lines = [line for line in said.splitlines() if not line[:4].isdecimal()]
    assert len(lines) == 1, said
    assert lines[0].startswith("ascendvsr: ")
    assert f"worker {victim}" in lines[0]
