"""Training that is killed again and again, at random moments, ends with the same bits as one that never was."""

import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from ascendvsr.weights import load_checkpoint
from tests.support import PROJECT, command_line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

KILLS = 8
STEPS = 10
SHORT = {
    "solver.lr_schedule.total_steps": [STEPS],
    "solver.checkpoint_interval": 1,
    "solver.keep_checkpoints": 0,
    "solver.print_interval": 1,
    "data.train_batch_size": 1,
    "device": "cpu",
}
RUNS = {
    "EDVR": ("edvr_sample.yaml", {"solver.ema_decay": 0.9}),
    "RVRT": ("rvrt/tiny_sr.yaml", {}),
    "CDVDTSP": ("cdvd_tsp/tiny_l1_hem.yaml", {"model.num_frames": 3}),
    "PVDNet": (
        "pvdnet/tiny_pvdnet.yaml",
        {"model.num_frames": 4, "pvdnet.bimnet_checkpoint": None, "pvdnet.allow_untrained_bimnet": True},
    ),
    "DBN": ("deblur_devil/tiny_dbn.yaml", {"data.train_batch_size": 4}),  # four crops of each window
}


@pytest.mark.parametrize("name", RUNS)
def test_killed_at_random_moments_it_ends_with_the_same_bits(name: str, sample: Path, tmp_path: Path):
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    config, changes = RUNS[name]

    def start(folder: str) -> subprocess.Popen:
        places = {"data.data_dir": sample, "output_dir": tmp_path / folder, "continue_training": True}
        words = [str(word) for pair in (SHORT | changes | places).items() for word in pair]
        command = command_line("train", "--config-file", PROJECT / "configs" / config, *words)
        return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(process: subprocess.Popen) -> None:
        said = process.communicate()[0]
        assert process.returncode == 0, f"seed {seed}: {said}"

    def newest() -> int:
        return max((int(path.name.split("-")[1]) for path in (tmp_path / "killed").glob(f"{name}-*")), default=0)

    finish(start("whole"))
    for _ in range(KILLS):
        before, process = newest(), start("killed")
        patience = chance.uniform(0, 20) if chance.random() < 0.25 else 600  # some die before their first step
        deadline = time.monotonic() + patience
        while newest() == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        said = process.communicate()[0]
        assert "Traceback" not in said, f"seed {seed}: {said}"
    finish(start("killed"))

    for kind in ("", "/ema.weights.h5"):
        paths = [tmp_path / f"{folder}/{name}-{STEPS}{kind}" for folder in ("whole", "killed")]
        if paths[0].exists():
            whole, killed = map(load_checkpoint, paths)
            different = [key for key in whole if not np.array_equal(whole[key], killed[key])]
            assert not different, f"seed {seed}"
    states = []
    for folder in ("whole", "killed"):
        with np.load(tmp_path / f"{folder}/{name}-{STEPS}/state.npz") as arrays:
            states.append({key: value for key, value in arrays.items() if key.startswith("optimizer/")})
    assert states[0].keys() == states[1].keys()
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0]), f"seed {seed}"
