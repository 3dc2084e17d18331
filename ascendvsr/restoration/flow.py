"""The command `flow`: the optical flow between two frames as a file, as a picture, and judged by warping."""

import argparse
from pathlib import Path

import numpy as np

from ascendcv.dataloader.image import read_image, to_rgb, write_image
from ascendcv.metrics.psnr import psnr
from ascendcv.utils.errors import InputError
from ascendcv.utils.flow_color import flow_to_color
from ascendcv.utils.flow_io import write_flo
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config import load_config
from ascendvsr.models.detect import flow_weights
from ascendvsr.weights.commands import weights_file
from ascendvsr.weights.reader import load_checkpoint


def flow(arguments: argparse.Namespace) -> None:
    """Runs the command; `ascendvsr.cli` has its arguments. Raises `InputError` for what cannot work."""
    first, second = _read_pair(arguments.first, arguments.second)
    arguments.checkpoint = weights_file(arguments.checkpoint, yes=arguments.yes)
    checkpoint = load_checkpoint(arguments.checkpoint, arguments.weights or "auto")
    card, weights = flow_weights(checkpoint, arguments.checkpoint)
    if card.flow_name != arguments.model:
        raise InputError(
            f"{arguments.checkpoint} holds {card.title}: say --model {card.flow_name}, not {arguments.model}"
        )
    config = load_config(None, [*arguments.settings, "model.name", card.name])

    import_tensorflow()
    from ascendcv.runner.device import prepare_devices
    from ascendvsr.models.builder import build_model
    from ascendvsr.weights.mapping import load_state_dict

    prepare_devices(config.device, config.device_ids, num_threads=config.num_threads)
    model = build_model(config)
    load_state_dict(model, weights, source=arguments.checkpoint)
    flow, warped = _estimate(model, first, second)

    out = Path(arguments.out)
    out = out.with_suffix("") if out.suffix in (".flo", ".png") else out
    files = [out.with_name(out.name + ending) for ending in (".flo", ".png", "_warped.png")]
    write_flo(files[0], flow)
    write_image(files[1], flow_to_color(flow))
    write_image(files[2], warped)
    speed = np.linalg.norm(flow, axis=-1)
    print(f"{card.title}: motion of {speed.mean():.2f} pixels on average, {speed.max():.2f} at most")
    print(f"PSNR of B against A: {_psnr(second, first):.2f} dB as it is, {_psnr(warped, first):.2f} dB warped")
    print(f"written: {', '.join(map(str, files))}")


def _read_pair(first: str, second: str) -> tuple[np.ndarray, np.ndarray]:
    """Both images as [H, W, 3], in the integers of their files."""
    images = [to_rgb(read_image(path)) for path in (first, second)]
    if images[0].shape != images[1].shape or images[0].dtype != images[1].dtype:
        sizes = [
            f"{path} has {i.shape[1]}x{i.shape[0]} pixels of {8 * i.dtype.itemsize} bits"
            for path, i in zip((first, second), images, strict=True)
        ]
        raise InputError(f"both frames should have one size: {', '.join(sizes)}")
    return images[0], images[1]


def _estimate(model, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flow [H, W, 2] in pixels, and `second` warped by it, in the integers of the images."""
    import tensorflow as tf

    from ascendcv.ops.warp import warp
    from ascendvsr.models.flow.training import in_pixels

    @tf.function(autograph=False)
    def compute(first, second):
        flow = in_pixels(model, (first, second))
        return flow, warp(second, flow, padding="border")

    white = np.iinfo(first.dtype).max
    flow, warped = compute(*(image[np.newaxis].astype(np.float32) / np.float32(white) for image in (first, second)))
    return flow[0].numpy(), np.rint(np.clip(warped[0], 0, 1) * white).astype(first.dtype)


def _psnr(image: np.ndarray, reference: np.ndarray) -> float:
    return psnr(image, reference, peak=float(np.iinfo(reference.dtype).max))
