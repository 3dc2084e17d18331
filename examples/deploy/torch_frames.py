"""Restores frames or a video through Keras's PyTorch backend: the road to devices that PyTorch drives.

    python examples/deploy/torch_frames.py W.pth IN OUT                  on the processor
    python examples/deploy/torch_frames.py W.pth IN OUT --device npu     on an Ascend NPU, by the package torch_npu

W: weights in any format that `ascendvsr restore` takes. It has been run on processors; on an NPU it has not.
"""

import argparse
import importlib
import os


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="weights")
    parser.add_argument("source", help="a folder of frames, or a video")
    parser.add_argument("target", help="a folder, or a video")
    parser.add_argument("--device", default="cpu", help="as PyTorch calls it: cpu, cuda, npu, npu:1")
    options = parser.parse_args()

    # Before Keras is imported: which backend it has, and where that puts tensors.
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ["KERAS_TORCH_DEVICE"] = options.device
    if options.device.startswith("npu"):
        importlib.import_module("torch_npu")  # adds the device to PyTorch

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.models.detect import detect
    from ascendvsr.restoration.restore import restore
    from ascendvsr.weights.mapping import load_state_dict
    from ascendvsr.weights.reader import load_checkpoint

    state = load_checkpoint(options.checkpoint)
    model = build_model(load_config(settings=detect(state, options.checkpoint).settings))
    load_state_dict(model, state, source=options.checkpoint)
    frames = restore(model, options.source, options.target)
    print(f"{options.target}: {frames} frames")


if __name__ == "__main__":
    main()
