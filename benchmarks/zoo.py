"""Seconds per megapixel of output for every network that has published weights: python -m benchmarks.zoo [NAME ...]

A video of 320x180 pixels (640x360 where the network does not enlarge) goes through a network of the record's
configuration with random weights, as `ascendvsr restore` does it. Wall time by all processors, without reading,
writing and the first call's tracing: what `seconds` in `ascendvsr/models/*/zoo.py` tells. Records of one
configuration are measured once.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np

from ascendvsr.config import load_config
from ascendvsr.models import zoo
from ascendvsr.models.builder import build_model
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.runner import Runner, as_runner
from ascendvsr.restoration.settings import Settings
from benchmarks.timing import machine

FRAMES = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of `ascendvsr models`; without: all")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    print(machine())
    measured: set[str] = set()
    for record in map(zoo.record_named, arguments.names) if arguments.names else zoo.records():
        if not record.config or record.config in measured:
            continue
        measured.add(record.config)
        runner = as_runner(build_model(load_config(record.config)))
        if runner.kind == "flow":
            continue
        seconds, processor = per_megapixel(runner, arguments.rounds)
        print(f"{record.name}: {seconds:.2f} s per megapixel, {processor:.2f} s of processors", flush=True)


def per_megapixel(runner: Runner, rounds: int) -> tuple[float, float]:
    """The shortest wall time, and the shortest processor time, of `rounds` videos after one that traces."""
    height, width = (180, 320) if runner.scale > 1 else (360, 640)
    rng = np.random.default_rng(0)
    large = rng.random((height + FRAMES, width + FRAMES, 3), np.float32)
    frames = [large[step : step + height, step : step + width] for step in range(FRAMES)]
    sigma = 25.0 if runner.channels == 4 else None

    def run() -> Iterator[np.ndarray]:
        return restored_frames(runner, iter(frames), Settings(), sigma=sigma)

    wall, processor = [], []
    for _ in range(rounds + 1):
        start = time.perf_counter(), time.process_time()
        pixels = sum(frame.shape[0] * frame.shape[1] for frame in run())
        wall.append((time.perf_counter() - start[0]) * 1e6 / pixels)
        processor.append((time.process_time() - start[1]) * 1e6 / pixels)
    return min(wall[1:]), min(processor[1:])


if __name__ == "__main__":
    main()
