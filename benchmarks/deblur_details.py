"""DBN trained with one detail changed at a time: the study of "Deep Video Deblurring: The Devil is in the Details".

    python -m benchmarks.deblur_details [--config-file FILE] [--only DETAIL ...] [--seeds N] [SETTING VALUE ...]

Each run has a folder of its own below --output, and a score on the configuration's `data.eval_set`. What is there
already is not done again, so that a study that was interrupted goes on. By default the data are the sample and the
network is the narrow one of `tiny_dbn.yaml`, minutes a run; `dbn_128_5_nah.yaml` means the paper's, and weeks.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config

UNCHANGED = "none"
COLORS = ("brightness", "contrast", "hue")  # what the authors' `*Full` data sets change


def details(config_file: Path, settings: Sequence[str]) -> dict[str, list[str]]:
    """Settings by the name of the detail that they change, first of all the run that changes nothing."""
    cfg = load_config(config_file, overrides=settings)
    paper, schedule = cfg.deblur_devil, cfg.solver.lr_schedule
    alternatives = {
        "output layer": ("output_layer", ("linear", "sigmoid")),
        "initialization": ("init_type", ("fan_in", "fan_out", "fan_max")),
        "color space": ("color_space", ("rgb", "ycbcr")),
    }
    runs = {UNCHANGED: []}
    for name, (key, values) in alternatives.items():
        runs |= {f"{name}: {value}": [f"deblur_devil.{key}", value] for value in values if value != paper[key]}
    for count in (3, 5, 7):
        if count != cfg.model.num_frames:
            runs[f"frames: {count}"] = ["model.num_frames", str(count), "data.train_margin", str(count // 2)]
    runs["photometric augmentation"] = [word for color in COLORS for word in (f"data.augment.{color}", "True")]
    runs["half the patch's side"] = ["data.train_in_size", _halved(cfg.data.train_in_size)]
    runs["half the schedule"] = [
        *("solver.lr_schedule.total_steps", _halved(schedule.total_steps)),
        *("solver.lr_schedule.milestones", _halved(schedule.milestones)),
    ]
    if paper.flow_checkpoint:
        runs["prewarping"] = ["model.name", "FlowDBN"]
    return runs


def _halved(numbers: Sequence[int]) -> str:
    return str([number // 2 for number in numbers])


def psnr(config_file: Path, settings: Sequence[str], folder: Path) -> tuple[float, float]:
    """PSNR in dB of what a network trained with these settings restores, and of its input.

    Raises `InputError` where a command fails, with the last line of what it said.
    """
    report = folder / "result/metrics.json"
    if not report.is_file():
        common = ["--config-file", config_file, *settings, "output_dir", folder]
        for command in (
            ["train", *common, "continue_training", "True"],
            ["eval", *common, "--checkpoint", folder],
        ):
            words = [sys.executable, "tools/main.py", *map(str, command)]
            process = subprocess.run(words, capture_output=True, text=True)
            if process.returncode:
                raise InputError(f"{' '.join(words)}: {process.stderr.strip().splitlines()[-1]}")
    scores = json.loads(report.read_text())["total"]
    return scores["psnr"], scores["psnr_input"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config-file", type=Path, default=Path("configs/deblur_devil/tiny_dbn.yaml"))
    parser.add_argument("--output", type=Path, default=Path("outputs/deblur_details"))
    parser.add_argument("--only", nargs="+", default=[""], metavar="DETAIL", help="parts of the names of details")
    parser.add_argument("--seeds", type=int, default=2)
    arguments, settings = parser.parse_known_args(argv)
    unchanged = None
    try:
        for name, changes in details(arguments.config_file, settings).items():
            if name != UNCHANGED and not any(part in name for part in arguments.only):
                continue
            folder = arguments.output / name.replace(":", "").replace("'", "").replace(" ", "_")
            scores = [
                psnr(
                    arguments.config_file,
                    [*settings, *changes, "random_seed", str(seed)],
                    folder / str(seed),
                )
                for seed in range(arguments.seeds)
            ]
            mean = statistics.mean(score for score, _ in scores)
            if unchanged is None:
                unchanged = mean
                print(f"input: {scores[0][1]:.2f} dB\n\n| changed | PSNR (of each seed) | gain |\n|---|---|---|")
            each = ", ".join(f"{score:.2f}" for score, _ in scores)
            print(f"| {name} | {mean:.2f} dB ({each}) | {mean - unchanged:+.2f} |", flush=True)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
