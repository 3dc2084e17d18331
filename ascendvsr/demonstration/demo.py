"""The command `demo`: a real clip restored, then training and all around it, in the folder where one stands.

Each step is one of the project's own commands. A step whose result is there already is not run again, and an
interrupted training goes on where it stopped.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw

from ascendcv.utils.errors import InputError
from ascendvsr.demonstration import sample

CLIP = Path(__file__).with_name("stream-of-water.mp4")
CONFIG = "edvr_sample"
DATA = Path("data/sample")
OUTPUT = Path("outputs/sample")
CHECKPOINT = OUTPUT / "EDVR-1000"


def demo(arguments: argparse.Namespace) -> None:
    """Runs the steps that are still to be done, then prints what there is and where.

    Raises `InputError` where a package that a step needs is not installed.
    """
    for package, extra in (("tensorflow", "cpu"), ("skimage", "sample")):
        if importlib.util.find_spec(package) is None:
            raise InputError(f"the demo needs {package}: pip install 'ascendvsr[{extra}]'")
    start = time.perf_counter()
    water, page = OUTPUT / "stream-of-water.mp4", OUTPUT / "stream-of-water.html"
    if not page.exists():
        OUTPUT.mkdir(parents=True, exist_ok=True)
        ascendvsr("restore", CLIP, "--output", water, "--compare", "--report", page, "--overwrite")
    if sample.main([str(DATA)]):
        sys.exit(2)
    held_out = json.loads((DATA / "sets/val.json").read_text())
    clip = DATA / "images" / held_out["videos"][0]["name"]
    frames, truth = clip / held_out["x4_folder"], clip / held_out["gt_folder"]

    checkpoint = ["--config-file", CONFIG, "--checkpoint", CHECKPOINT]
    if not CHECKPOINT.exists():
        ascendvsr("train", "--config-file", CONFIG, "continue_training", True)
    if not (OUTPUT / "result/metrics.json").exists():
        ascendvsr("eval", *checkpoint)
    for restored in (OUTPUT / "restored", OUTPUT / "restored.mp4"):
        if not restored.exists():
            ascendvsr("inference", *checkpoint, "--input", frames, "--output", restored)
    if not (OUTPUT / "EDVR.parity.json").exists():
        ascendvsr("freeze", *checkpoint, "data.eval_batch_size", -1, "model.input_format_dimension", 4)
    side_by_side(frames, OUTPUT / "restored", truth).save(OUTPUT / "side_by_side.png")
    report(frames, truth, time.perf_counter() - start)


def ascendvsr(*arguments: object) -> None:
    """Runs the project's command as a user would."""
    print("\n$ ascendvsr", *arguments, flush=True)
    run(sys.executable, "-m", "ascendvsr", *arguments)


def run(*command: object) -> None:
    """Runs a program; where it fails, the demo ends with its exit status."""
    status = subprocess.run([str(word) for word in command]).returncode
    if status:
        sys.exit(status)


def side_by_side(frames: Path, restored: Path, truth: Path) -> Image.Image:
    """The middle frame upsampled by bicubic, restored, and as it was, in one labeled picture."""
    names = sorted(path.name for path in truth.glob("*.png"))
    name = names[len(names) // 2]
    original = Image.open(truth / name)
    bicubic = Image.open(frames / name).resize(original.size, Image.Resampling.BICUBIC)
    panels = {"bicubic": bicubic, "EDVR": Image.open(restored / name), "ground truth": original}
    margin, band = 4, 18
    width, height = original.size
    picture = Image.new("RGB", (3 * width + 2 * margin, height + band), "white")
    for index, (label, panel) in enumerate(panels.items()):
        left = index * (width + margin)
        picture.paste(panel, (left, band))
        ImageDraw.Draw(picture).text((left + 4, 3), label, fill="black")
    return picture


def report(frames: Path, truth: Path, seconds: float) -> None:
    """A table of what was made and where it is; fails if the network does not beat bicubic."""
    metrics = json.loads((OUTPUT / "result/metrics.json").read_text())
    parity = json.loads((OUTPUT / "EDVR.parity.json").read_text())
    network, bicubic = metrics["total"]["psnr"], metrics["total"]["psnr_bicubic"]
    rows = [
        ("a real clip", "restored four times as large by weights that ship", OUTPUT / "stream-of-water.mp4"),
        ("a page", "the clip before and after", OUTPUT / "stream-of-water.html"),
        ("sample", f"{len(list(frames.iterdir()))} held-out frames, and training clips", DATA / "images"),
        ("ground truth", "what the restored frames are compared with", truth),
        ("checkpoint", "a small EDVR, 1,000 steps", CHECKPOINT),
        ("log", "loss, learning rate, PSNR of every 50th step", OUTPUT / "log"),
        ("evaluation", f"PSNR {network:.2f} dB, bicubic {bicubic:.2f} dB", OUTPUT / "result/metrics.json"),
        ("restored frames", "PNG", OUTPUT / "restored"),
        ("restored video", "H.264", OUTPUT / "restored.mp4"),
        ("comparison", "bicubic, EDVR and ground truth", OUTPUT / "side_by_side.png"),
        ("frozen graph", f"differs by {parity['frozen_graph']:.1e} at most", OUTPUT / "EDVR.pb"),
        ("SavedModel", f"differs by {parity['saved_model']:.1e} at most", OUTPUT / "EDVR_savedmodel"),
    ]
    print(f"\nDone in {seconds:.0f} s.\n")
    for what, result, place in rows:
        print(f"{what:<16} {result:<52} {place}")
    if network <= bicubic:
        sys.exit("\nThe network does not beat bicubic: something is wrong.")
