"""What a start costs before the first frame or step: python -m benchmarks.startup [CASE ...]

Seconds of processor time, each in processes of their own, medians of `--rounds`:

    NETWORK     imports of TensorFlow and Keras; building the network; the first call less a later one, which is
                tracing and compiling
    training    `ascendvsr train` of EDVR-M on tiny data until the first line of its log
    restore     `ascendvsr restore` of one frame by the network that ships
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.timing import options_of

# Their configurations.
NETWORKS = {
    "edvr_m": "edvr/edvr_m_x4_sr_reds",
    "edvr_l": "edvr/edvr_l_deblur_reds",
    "rvrt": "rvrt/001_videosr_bi_reds_30frames",
    "cdvd_tsp": "cdvd_tsp/gopro",
    "pvdnet": "pvdnet/pvdnet_nah",
    "flowdbn": "deblur_devil/flowdbn_pwcnet_128_5_nah",
    "basicvsr": "basicvsr/basicvsr_x4_reds",
}
CLIP, SIDE = 4, 64  # frames of a clip where the network has no window, and their height and width


def network(config: str) -> dict[str, float]:
    """Of one network, in this process, which should be a fresh one."""
    moments = [time.process_time()]

    def lap() -> float:
        moments.append(time.process_time())
        return moments[-1] - moments[-2]

    from ascendcv.utils.quiet import import_tensorflow

    import_tensorflow()
    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.models.keras_runner import KerasRunner

    seconds = {"imports": lap()}
    cfg = load_config(config)
    lap()
    runner = KerasRunner(build_model(cfg))
    seconds["building"] = lap()
    frames = np.random.default_rng(0).random((1, runner.window or CLIP, SIDE, SIDE, runner.channels), np.float32)
    # A recurrent network has a second function, of the state before a frame.
    calls = 2 if runner.kind == "recurrent" else 1
    totals = []
    for _ in range(2):
        state = None
        for _ in range(calls):
            _, state = runner(frames, state)
        totals.append(lap())
    seconds["first call"] = totals[0] - totals[1]
    return seconds


def training() -> dict[str, float]:
    """`ascendvsr train` of EDVR-M until its first line."""
    with tempfile.TemporaryDirectory() as folder:
        _write_clip(Path(folder, "data/train_sharp/001"), 4 * SIDE)
        _write_clip(Path(folder, "data/train_sharp_bicubic/X4/001"), SIDE)
        settings = {
            "data.layout": "reds",
            "data.data_dir": f"{folder}/data",
            "data.train_set": "train",
            "output_dir": f"{folder}/run",
            "init_from": "None",
            "data.global_batch_size": "1",
            "data.train_in_size": f"[{SIDE // 2},{SIDE // 2}]",
            "solver.print_interval": "1",
            "device": "cpu",
        }
        words = [word for pair in settings.items() for word in pair]
        command = [sys.executable, "-m", "ascendvsr", "train", "--config", f"configs/{NETWORKS['edvr_m']}.yaml"]
        with subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            lines = iter(lambda: process.stdout.readline().decode(), "")
            said = []
            for line in lines:
                said.append(line)
                if "Step:1," in line:
                    break
            else:
                raise RuntimeError("".join(said))
            seconds = _processor_time(process.pid)
            process.kill()
    return {"first line": seconds}


def restoring() -> dict[str, float]:
    """`ascendvsr restore` of one frame by the shipped network."""
    with tempfile.TemporaryDirectory() as folder:
        _write_clip(Path(folder, "in"), SIDE, count=1)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-m", "ascendvsr", "restore", f"{folder}/in", "-o", f"{folder}/out"],
            check=True,
            capture_output=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"one frame": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def _write_clip(folder: Path, side: int, count: int = 8) -> None:
    from ascendcv.dataloader.image import write_image

    random = np.random.default_rng(0)
    for number in range(count):
        write_image(folder / f"{number:08d}.png", random.integers(0, 256, (side, side, 3), np.uint8))


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _in_own_process(case: str) -> dict[str, float]:
    if case == "training":
        return training()
    if case == "restore":
        return restoring()
    call = f"import json; from benchmarks.startup import network; print(json.dumps(network({NETWORKS[case]!r})))"
    done = subprocess.run([sys.executable, "-c", call], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    cases = [*NETWORKS, "training", "restore"]
    options = options_of(__doc__, cases, rounds=3)
    for case in options.cases:
        rounds = [_in_own_process(case) for _ in range(options.rounds)]
        parts = {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}
        print(f"{case:12}" + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in parts.items()), flush=True)


if __name__ == "__main__":
    main()
