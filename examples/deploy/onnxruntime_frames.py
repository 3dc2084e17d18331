"""Restores a folder of frames with an exported network in ONNX Runtime; needs nothing of this project.

    pip install onnxruntime numpy pillow
    python onnxruntime_frames.py EDVR.onnx IN OUT

For networks of windows (EDVR, CDVD-TSP, DBN) and recurrent ones (PVDNet), exported with float32 input.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image


def load(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def main(network, source, target):
    session = load(network)
    facts = json.loads(session.get_modelmeta().custom_metadata_map["ascendvsr"])
    first = load(Path(network).with_name(facts["first"])) if facts["first"] else None
    paths = sorted(path for path in Path(source).iterdir() if path.suffix.lower() in (".png", ".jpg"))
    frames = [np.asarray(Image.open(path).convert("RGB"), np.float32) / 255 for path in paths]
    Path(target).mkdir(exist_ok=True)
    state = None
    for number, path in enumerate(paths):
        # The window around the frame; at the ends of the clip its first or last frame stands in for others.
        places = [number - facts["center"] + step for step in range(facts["num_frames"])]
        window = np.stack([frames[min(max(place, 0), len(frames) - 1)] for place in places])[np.newaxis]
        runs = first if first is not None and state is None else session
        names = [output.name for output in runs.get_outputs()]
        outputs = dict(zip(names, runs.run(names, {"frames": window} | (state or {})), strict=True))
        state = {before: outputs[after] for before, after in facts["states"]}
        restored = np.rint(np.clip(outputs["restored"][0], 0, 1) * 255).astype(np.uint8)
        Image.fromarray(restored).save(Path(target, path.stem + ".png"))


if __name__ == "__main__":
    main(*sys.argv[1:])
