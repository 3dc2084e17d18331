"""Training clips a second of the input by itself: python -m benchmarks.input_pipeline [DATA_DIR]

One clip is a sample of 5 frames, 64x64 pixels each (or what fits), with 256x256 of ground truth, decoded from
PNG, cropped, turned and converted to float. A training step of batch B every T seconds needs B / T of them.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ascendcv.dataloader.reds import Clip, read_set
from ascendcv.utils.errors import InputError

NUM_FRAMES, SCALE, BATCH_SIZE = 5, 4, 4
SECONDS = 2.0  # of measurement for each row


def clips_per_second(clips: Sequence[Clip], crop_size: int, read_mode: str, num_threads: int) -> float:
    """Samples a second in batches of 4, after one batch to start up."""
    from ascendcv.dataloader.train import training_dataset

    batches = training_dataset(
        clips,
        num_frames=NUM_FRAMES,
        crop_size=(crop_size, crop_size),
        scale=SCALE,
        batch_size=BATCH_SIZE,
        seed=0,
        num_threads=num_threads,
        queue_size=BATCH_SIZE,
        read_mode=read_mode,
    ).as_numpy_iterator()
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
        clips = read_set(data_dir, "train.json", SCALE)
    except InputError as error:
        print(f"{error} (python scripts/make_sample.py makes data/sample)", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    crop_size = min(64, *(side for clip in clips for side in clip.lq_size))
    height, width = clips[0].lq_size
    print(f"{data_dir}: {width}x{height} frames, crops of {crop_size}, {os.cpu_count()} processors, clips/s")
    threads = [count for count in (1, 2, 4, 8) if count <= 2 * (os.cpu_count() or 1)]
    print("read_mode", *(f"{count:>4} threads" for count in threads))
    for read_mode in ("tf", "python"):
        rates = [clips_per_second(clips, crop_size, read_mode, count) for count in threads]
        print(f"{read_mode:<9}", *(f"{rate:>12.1f}" for rate in rates))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
