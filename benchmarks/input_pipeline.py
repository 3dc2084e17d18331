"""Training samples a second of the input by itself: python -m benchmarks.input_pipeline [DATA_DIR]

First of a set in REDS layout: a sample is 5 frames, 64x64 pixels each (or what fits), with 256x256 of ground truth,
decoded from PNG, cropped, turned and converted to float. Then, where DATA_DIR has train/blur and train/gt, of the
recipes of deblurring and denoising. A training step of batch B every T seconds needs B / T of them.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.layouts import read_layout
from ascendcv.dataloader.reds import read_set
from ascendcv.utils.errors import InputError

BATCH_SIZE = 4
SECONDS = 2.0  # of measurement for each row
SR = {"num_frames": 5, "scale": 4}
# What the recipes of the papers ask for, at a crop of 96 pixels.
RECIPES = {
    "EDVR, CDVD-TSP: 5 frames": {"num_frames": 5},
    "PVDNet: 15 frames, all": {"num_frames": 15, "margin": 3, "target": "all", "frame_noise_std": 5e-5},
    "RVRT: 16 noisy frames, all": {"num_frames": 16, "margin": 4, "target": "all", "sigma": (0.0, 50.0)},
    "deblur-devil: 5 frames, 1 crop": {"num_frames": 5, "margin": 2, "rotation": True, "transpose": False},
    "  4 crops": {"num_frames": 5, "margin": 2, "rotation": True, "transpose": False, "crops_per_example": 4},
    "  4 crops, all colors": {
        "num_frames": 5,
        "margin": 2,
        "crops_per_example": 4,
        "colors": dict.fromkeys(
            (
                "multiplicative_color",
                "brightness",
                "contrast",
                "saturation",
                "hue",
                "channel_permutation",
                "noise",
            ),
            True,
        ),
    },
}


def samples_per_second(clips: Sequence[Clip], crop_size: int, num_threads: int, **recipe: object) -> float:
    """Samples a second in batches of 4, after the first ones to start up."""
    from ascendcv.dataloader.train import training_dataset

    batches = training_dataset(
        clips,
        crop_size=(crop_size, crop_size),
        batch_size=BATCH_SIZE,
        seed=0,
        num_threads=num_threads,
        queue_size=BATCH_SIZE,
        **recipe,
    ).as_numpy_iterator()
    for _ in range(3):
        next(batches)
    count, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < SECONDS:
        next(batches)
        count += BATCH_SIZE
    return count / elapsed


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", nargs="?", type=Path, default=Path("data/sample"))
    data_dir = parser.parse_args(argv).data_dir
    try:
        clips = read_set(data_dir, "train.json", SR["scale"])
        pairs = read_layout("pairs", data_dir, "train") if (data_dir / "train/blur").is_dir() else []
    except InputError as error:
        print(f"{error} (python scripts/make_sample.py makes data/sample)", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    crop_size = min(64, *(side for clip in clips for side in clip.lq_size))
    height, width = clips[0].lq_size
    print(f"{data_dir}: {width}x{height} frames, crops of {crop_size}, {os.cpu_count()} processors, samples/s")
    threads = [count for count in (1, 2, 4, 8) if count <= 2 * (os.cpu_count() or 1)]
    print("read_mode", *(f"{count:>4} threads" for count in threads))
    for read_mode in ("tf", "python"):
        rates = [samples_per_second(clips, crop_size, count, read_mode=read_mode, **SR) for count in threads]
        print(f"{read_mode:<9}", *(f"{rate:>12.1f}" for rate in rates))
    if pairs:
        height, width = pairs[0].lq_size
        print(f"\n{data_dir}/train: {width}x{height} frames, crops of 96, 2 threads, samples/s")
        print(f"{'recipe':<32}{'decoded':>10}{'from cache':>12}")
    for name, recipe in RECIPES.items() if pairs else ():
        with tempfile.TemporaryDirectory() as cache:
            decoded, cached = (
                samples_per_second(pairs, 96, 2, scale=1, cache=place, **recipe) for place in ("", cache)
            )
        print(f"{name:<32}{decoded:>10.1f}{cached:>12.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
