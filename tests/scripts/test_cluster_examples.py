"""The files of examples/cluster, run as a user runs them, with stand-ins for what a single host lacks."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ascendcv.runner.cluster import read_cluster
from ascendvsr import cli
from ascendvsr.config import load_config
from tests.ascendcv.runner.test_distribution import free_ports
from tests.ascendvsr.training.conftest import SETTINGS, write_set
from tests.support import PROJECT

EXAMPLES = PROJECT / "examples/cluster"

# As Slurm starts two tasks of a step on this host.
SRUN = """#!{python}
import os, subprocess, sys
words = [word for word in sys.argv[1:] if not word.startswith("--kill-on-bad-exit")]
step = {{"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2", "MASTER_PORT": "{port}"}}
tasks = [
    subprocess.Popen(words, env=os.environ | step | {{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}})
    for rank in range(2)
]
sys.exit(max(task.wait() for task in tasks))
"""


def environment(folder: Path) -> dict[str, str]:
    path = f"{folder}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHON": sys.executable, "PYTHONPATH": str(PROJECT)}


def test_scripts_are_ones_that_bash_can_read():
    for script in [*EXAMPLES.glob("*.sh"), *EXAMPLES.glob("*.sbatch")]:
        subprocess.run(["bash", "-n", script], check=True)
        assert script.read_text().startswith("#!/usr/bin/env bash\n")


def test_the_list_of_two_hosts_is_a_cluster():
    assert len(read_cluster(EXAMPLES / "two_hosts.json", 3, {}).workers) == 4


def test_the_manifest_runs_a_command_that_there_is():
    (job,) = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
    worker = job["spec"]["tfReplicaSpecs"]["Worker"]
    assert worker["restartPolicy"] == "OnFailure"
    (container,) = worker["template"]["spec"]["containers"]
    command, arguments = cli._parse(container["args"])
    assert command == "train"
    assert load_config(arguments.config_file, arguments.settings).continue_training == "latest"
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in worker["template"]["spec"]["volumes"]}


def test_the_cluster_of_slurm_jobs_is_python():
    ast.parse((EXAMPLES / "dask_on_slurm.py").read_text())


def test_the_commands_of_the_page_have_the_options_that_they_name():
    """Options of `ascendvsr` on docs/scale.md are options of the commands that they stand behind."""
    page = (PROJECT / "docs/scale.md").read_text().replace("\\\n", " ")
    found = re.findall(r"^(?:parallel )?ascendvsr (\w+) (.*?)(?:\s{2,}#.*)?$", page, re.MULTILINE)
    assert len(found) >= 5
    for command, rest in found:
        words = rest.split(":::")[0].replace("{}", "1").split()
        assert cli._parse([command, *words])[0] == command


@pytest.mark.slow
def test_slurm_trains_and_goes_on_when_it_starts_the_job_again(tmp_path, photograph):
    srun = tmp_path / "srun"
    srun.write_text(SRUN.format(python=sys.executable, port=free_ports(1)[0]))
    srun.chmod(0o755)
    (tmp_path / "data").mkdir()
    data = write_set(tmp_path / "data", photograph, 20, 24)
    for steps in (2, 4):
        settings = SETTINGS | {"data.data_dir": data, "output_dir": tmp_path / "run", "num_threads": 1}
        settings |= {"solver.lr_schedule.total_steps": [steps]}
        words = [str(word).replace("'", "") for pair in settings.items() for word in pair]
        found = subprocess.run(
            ["bash", EXAMPLES / "train.sbatch", *words],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert found.returncode == 0, found.stdout + found.stderr
        assert f"Done at step {steps}" in found.stdout
        assert ("Going on from" in found.stdout) == (steps == 4)
    notes = json.loads((tmp_path / "run/EDVR-4/meta.json").read_text())
    assert notes["settings"]["batch_size"] == 8


@pytest.mark.slow
@pytest.mark.needs("distributed")
def test_a_dask_cluster_by_hand_restores(tmp_path, frame_folder, tiny_edvr_checkpoint):
    frame_folder("clip", count=4)
    found = subprocess.run(
        ["bash", EXAMPLES / "dask.sh", "2", "restore", "clip", "out", "--checkpoint", str(tiny_edvr_checkpoint)],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 4
