"""Restores a folder of frames with a frozen graph in TensorFlow; needs nothing of this project.

    pip install tensorflow numpy pillow
    python frozen_graph_frames.py EDVR.pb IN OUT

For networks of windows (EDVR, CDVD-TSP, DBN), exported with float32 input.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image


def main(network, source, target):
    paths = sorted(path for path in Path(source).iterdir() if path.suffix.lower() in (".png", ".jpg"))
    frames = [np.asarray(Image.open(path).convert("RGB"), np.float32) / 255 for path in paths]
    definition = tf.compat.v1.GraphDef.FromString(Path(network).read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    length = graph.get_tensor_by_name("frames:0").shape[1]
    Path(target).mkdir(exist_ok=True)
    with tf.compat.v1.Session(graph=graph) as session:
        for number, path in enumerate(paths):
            # The window around the frame; at the ends of the clip its first or last frame stands in for others.
            places = [number - length // 2 + step for step in range(length)]
            window = np.stack([frames[min(max(place, 0), len(frames) - 1)] for place in places])[np.newaxis]
            restored = session.run("restored:0", {"frames:0": window})[0]
            Image.fromarray(np.rint(np.clip(restored, 0, 1) * 255).astype(np.uint8)).save(
                Path(target, path.stem + ".png")
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
