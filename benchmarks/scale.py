"""More processes than one: python -m benchmarks.scale [train | restore | start | meet]

train    steps per second of 1 and of 2 worker processes with a thread each, and what of the second one arrives
restore  seconds for 200 frames: one process, two parts by hand and joined, two Dask workers; and what Dask costs
start    seconds until `--help` of each command, and until `inference` has its first frame, beside TensorFlow alone
meet     how far frames near the place where two parts meet are from those of one process, by kind of network
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ascendcv.dataloader.image import read_image, write_image
from ascendcv.metrics.psnr import psnr
from ascendvsr.demonstration import sample

_PARTS = ("train", "restore", "start", "meet")
_FRAMES = 200
# Weights that ship or that a network begins with: speed and what meets do not depend on them much.
_NETWORKS = {
    "EDVR (windows)": ["model.name", "EDVR", "edvr.mid_channels", "16", "edvr.num_deform_groups", "2"],
    "BasicVSR (clips)": ["model.name", "BasicVSR", "basicvsr.num_feat", "8", "basicvsr.num_block", "1"],
    "PVDNet (recurrent)": ["model.name", "PVDNet", "model.scale", "1", "pvdnet.num_blocks", "1"],
}


def main() -> None:
    """Prints the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *_PARTS], default=list(_PARTS))
    parser.add_argument("--frames", type=int, default=_FRAMES, help="to restore")
    parser.add_argument("--networks", nargs="+", default=list(_NETWORKS), choices=list(_NETWORKS), help="that meet")
    parser.add_argument("--steps", type=int, default=40, help="to train")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before")
    with tempfile.TemporaryDirectory() as folder:
        for part in arguments.what:
            _RUNS[part](Path(folder), arguments)


def _train(folder: Path, arguments: argparse.Namespace) -> None:
    """A global batch that grows with the workers, as it does by the recipes."""
    data = folder / "sample"
    if not data.exists():
        assert sample.main([str(data)]) == 0
    common = ["train", "--config-file", "edvr_sample", "data.data_dir", data, "device", "cpu", "num_threads", 1]
    common += ["solver.lr_schedule.total_steps", f"[{arguments.steps}]", "solver.print_interval", 1]
    common += ["solver.checkpoint_interval", 0, "solver.validation_interval", 0, "solver.sample_interval", 0]
    rates = []
    for workers in (1, 2):
        output = folder / f"train-{workers}"
        command = ["-m", "ascendvsr", *common, "output_dir", output]
        if workers > 1:
            cluster = folder / "cluster.json"
            cluster.write_text(json.dumps([f"localhost:{29700 + index}" for index in range(workers)]))
            command = ["-m", "ascendvsr.training.launch", cluster, *command[2:]]
        said = _run(*command)
        times = [float(found) for found in re.findall(r"time:([\d.]+)ms", said)][arguments.steps // 2 :]
        rates.append(1000 / np.median(times))
        print(f"training, {workers} processes: {rates[-1]:.2f} steps/s, {rates[-1] * workers:.2f} batches/s")
    print(f"efficiency of 2 processes: {100 * rates[1] / rates[0]:.0f} %")


def _restore(folder: Path, arguments: argparse.Namespace) -> None:
    clip = _clip(folder, arguments.frames, 180, 320)
    common = ["--checkpoint", "edvr_tiny_x4", "--format", "png"]

    def one(threads: int) -> list[list[str]]:
        return [["restore", clip, "--output", folder / f"one-{threads}", *common, "--set", "num_threads", threads]]

    parts = [
        ["restore", clip, "--output", folder / "parts", *common, "--part", f"{number}/2", "--set", "num_threads", 1]
        for number in (1, 2)
    ]
    shared = ["restore", clip, "--output", folder / "shared", *common, "--cluster", "local:2"]
    cases = {
        "1 process, 1 thread": one(1),
        "1 process, 2 threads": one(2),
        "2 processes, --part": parts,
        "2 processes, --cluster local:2": [[*shared, "--set", "num_threads", 1]],
    }
    seconds = {}
    for name, commands in cases.items():
        start = time.perf_counter()
        running = [_start("-m", "ascendvsr", *command) for command in commands]
        for process in running:
            _finish(process)
        seconds[name] = time.perf_counter() - start
        print(f"restoring {arguments.frames} frames, {name}: {seconds[name]:.1f} s")
    plain, dask = seconds["2 processes, --part"], seconds["2 processes, --cluster local:2"]
    faster = seconds["1 process, 1 thread"] / plain
    print(f"two processes: {faster:.2f} times as fast; Dask takes {dask / plain:.2f} times as long as --part")


def _start_up(folder: Path, arguments: argparse.Namespace) -> None:
    from ascendvsr.cli import COMMANDS

    def seconds(*words: object) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            _run(*words)
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    print(f"an empty Python: {seconds('-c', 'pass'):.2f} s")
    for command in COMMANDS:
        print(f"{command} --help: {seconds('-m', 'ascendvsr', command, '--help'):.2f} s")
    tensorflow = seconds("-c", "import tensorflow")
    clip = _clip(folder, 1, 90, 120)
    first = ["inference", "--checkpoint", "edvr_tiny_x4", "--input", clip, "--output", folder / "first"]
    found = seconds("-m", "ascendvsr", *first, "output_dir", folder / "out")
    print(f"import tensorflow: {tensorflow:.2f} s; inference of one frame: {found:.2f} s")


def _meet(folder: Path, arguments: argparse.Namespace) -> None:
    """Untrained networks: how long they remember is their structure's."""
    clip = _clip(folder, 48, 24, 32)
    for name in arguments.networks:
        settings = _NETWORKS[name]
        weights = folder / f"{name.split()[0]}.weights.h5"
        code = (
            "import sys, keras; keras.utils.set_random_seed(0); from ascendvsr.config import load_config; "
            "from ascendvsr.models.builder import build_model; import ascendvsr.weights.mapping as mapping; "
            "from pathlib import Path; pairs = sys.argv[2:]; "
            "model = build_model(load_config(settings=dict(zip(pairs[::2], pairs[1::2])))); "
            "mapping.save_weights(model, Path(sys.argv[1]))"
        )
        _run("-c", code, weights, *settings)
        common = ["--checkpoint", weights, "--set", "num_threads", 1]
        places = [folder / f"{weights.stem}-{kind}" for kind in ("whole", "parts")]
        _run("-m", "ascendvsr", "restore", clip, "--output", places[0], *common)
        for number in (1, 2):
            _run("-m", "ascendvsr", "restore", clip, "--output", places[1], *common, "--part", f"{number}/2")
        names = sorted(path.name for path in places[0].iterdir())
        pairs = [(read_image(places[0] / frame), read_image(places[1] / frame)) for frame in names]
        different = [number for number, (one, other) in enumerate(pairs) if not np.array_equal(one, other)]
        lowest = min((psnr(other, one) for one, other in pairs), default=np.inf)
        largest = max(int(np.abs(one.astype(int) - other).max()) for one, other in pairs)
        span = f"frames {different[0]} to {different[-1]}" if different else "none"
        differ = f"{len(different)} of {len(names)} frames differ ({span})"
        print(f"{name}: {differ}, by {largest} of 255 at most, PSNR at least {lowest:.1f} dB")


def _clip(folder: Path, frames: int, height: int, width: int) -> Path:
    """A camera that pans over a photograph, as a folder of PNG."""
    clip = folder / f"clip-{frames}-{height}"
    if clip.exists():
        return clip
    from skimage import data

    large = Image.fromarray(data.astronaut()).resize((2 * width, 2 * height), Image.Resampling.LANCZOS)
    photograph = np.asarray(large)
    for number in range(frames):
        moved = np.roll(photograph, (number // 3, 2 * number), axis=(0, 1))
        write_image(clip / f"{number:05d}.png", np.ascontiguousarray(moved[:height, :width]))
    return clip


def _start(*words: object) -> subprocess.Popen:
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _finish(process: subprocess.Popen) -> str:
    said = process.communicate()[0]
    if process.returncode:
        sys.exit(f"a command failed:\n{said}")
    return said


def _run(*words: object) -> str:
    return _finish(_start(*words))


_RUNS = {"train": _train, "restore": _restore, "start": _start_up, "meet": _meet}

if __name__ == "__main__":
    main()
