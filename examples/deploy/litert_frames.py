"""Restores a folder of frames with an exported network in LiteRT; needs nothing of this project.

    pip install ai-edge-litert numpy pillow
    python litert_frames.py EDVR.tflite IN OUT

For networks of windows (EDVR, CDVD-TSP, DBN), exported with float32 input for the size of the frames.
"""

import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image


def main(network, source, target):
    paths = sorted(path for path in Path(source).iterdir() if path.suffix.lower() in (".png", ".jpg"))
    frames = [np.asarray(Image.open(path).convert("RGB"), np.float32) / 255 for path in paths]
    compute = Interpreter(model_path=network, num_threads=4).get_signature_runner()
    _, length, height, width, _ = compute.get_input_details()["frames"]["shape"]
    if frames[0].shape[:2] != (height, width):
        raise SystemExit(f"{network} takes frames of {width}x{height} pixels")
    Path(target).mkdir(exist_ok=True)
    for number, path in enumerate(paths):
        # The window around the frame; at the ends of the clip its first or last frame stands in for others.
        places = [number - length // 2 + step for step in range(length)]
        window = np.stack([frames[min(max(place, 0), len(frames) - 1)] for place in places])[np.newaxis]
        restored = compute(frames=window)["restored"][0]
        Image.fromarray(np.rint(np.clip(restored, 0, 1) * 255).astype(np.uint8)).save(
            Path(target, path.stem + ".png")
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
