"""Training EDVR through Keras's PyTorch backend, a step at a time: the road to devices that PyTorch drives.

    python examples/train_step_torch.py                          on the processor
    python examples/train_step_torch.py --device npu             on an Ascend NPU, by the package torch_npu
    python examples/train_step_torch.py --checkpoint W.pth       from weights in any format that is read

The project's trainer (`ascendvsr train`) is TensorFlow's and drives NPUs by a TensorFlow plug-in only. The networks
and losses are made of Keras's operations, so that a training loop of PyTorch's can use them as they are. This one
does what the trainer does in a step of EDVR's recipe (Charbonnier loss, Adam at 4e-4), on one window of frames. It
has been run on processors; on an NPU it has not been run.
"""

import argparse
import importlib
import os
from pathlib import Path

import numpy as np

PICTURE = Path(__file__).parent.parent / "docs/stream_of_water.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="as PyTorch calls it: cpu, cuda, npu, npu:1")
    parser.add_argument("--checkpoint", help="weights to begin with; without: random ones of a small EDVR")
    parser.add_argument("--steps", type=int, default=3)
    options = parser.parse_args()

    # Before Keras is imported: which backend it has, and where that puts tensors.
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ["KERAS_TORCH_DEVICE"] = options.device
    import torch

    if options.device.startswith("npu"):
        importlib.import_module("torch_npu")  # adds the device to PyTorch

    from ascendcv.losses.charbonnier import charbonnier

    model = network(options.checkpoint)
    weights = [variable.value for variable in model.trainable_variables]
    optimizer = torch.optim.Adam(weights, lr=4e-4, betas=(0.9, 0.99))
    clip, truth = (torch.tensor(array, device=options.device) for array in example())
    for step in range(1, options.steps + 1):
        optimizer.zero_grad()
        loss = charbonnier(model(clip, training=True), truth, eps=1e-12, reduction="mean")
        loss.backward()
        moved = sum(weight.grad is not None for weight in weights)
        optimizer.step()
        print(f"Step:{step}, loss:{loss.item():.8f}, weights with a gradient: {moved} of {len(weights)}")


def network(checkpoint: str | None):
    """The EDVR in a checkpoint, or a small one."""
    import keras

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.models.detect import detect
    from ascendvsr.weights.mapping import load_state_dict
    from ascendvsr.weights.reader import load_checkpoint

    if checkpoint is None:
        keras.utils.set_random_seed(0)
        return build_model(load_config(settings={"edvr.mid_channels": 16, "edvr.num_blocks_reconstruction": 2}))
    state = load_checkpoint(checkpoint)
    model = build_model(load_config(settings=detect(state, checkpoint).settings))
    load_state_dict(model, state, source=checkpoint)
    return model


def example() -> tuple[np.ndarray, np.ndarray]:
    """Five frames [1,5,32,32,3] of a camera that moves, and the ground truth [1,128,128,3] of the middle one."""
    from ascendcv.dataloader.degrade import imresize
    from ascendcv.dataloader.image import read_image

    picture = read_image(PICTURE)
    truths = [picture[60 + 4 * index : 188 + 4 * index, 80 + 6 * index : 208 + 6 * index] for index in range(5)]
    frames = np.stack([imresize(truth, 0.25) for truth in truths])[np.newaxis]
    return np.float32(frames) / 255, np.float32(truths[2][np.newaxis]) / 255


if __name__ == "__main__":
    main()
