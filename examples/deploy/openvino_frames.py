"""Restores a folder of frames with an exported network in OpenVINO; needs nothing of this project.

    pip install openvino numpy pillow
    python openvino_frames.py EDVR.xml IN OUT

For networks of windows (EDVR, CDVD-TSP, DBN), exported with float32 input.
"""

import json
import sys
from pathlib import Path

import numpy as np
import openvino
from PIL import Image


def main(network, source, target):
    paths = sorted(path for path in Path(source).iterdir() if path.suffix.lower() in (".png", ".jpg"))
    frames = [np.asarray(Image.open(path).convert("RGB"), np.float32) / 255 for path in paths]
    core = openvino.Core()
    model = core.read_model(network)
    facts = json.loads(model.get_rt_info("ascendvsr").astype(str))
    length, center = facts["num_frames"], facts["center"]
    # With free sizes OpenVINO's results on CPUs vary: it is compiled for the size of the frames. Its own choice of
    # a type would be bfloat16 where the processor has it: twice as fast, and less exact.
    model.reshape({"frames": [1, length, *frames[0].shape]})
    request = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    Path(target).mkdir(exist_ok=True)
    for number, path in enumerate(paths):
        # The window around the frame; at the ends of the clip its first or last frame stands in for others.
        places = [number - center + step for step in range(length)]
        window = np.stack([frames[min(max(place, 0), len(frames) - 1)] for place in places])[np.newaxis]
        request.infer({"frames": window})
        restored = request.get_tensor("restored").data[0]
        Image.fromarray(np.rint(np.clip(restored, 0, 1) * 255).astype(np.uint8)).save(
            Path(target, path.stem + ".png")
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
