"""The command `flow`: the optical flow between two frames as a file, as a picture, and judged by warping."""

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ascendcv.dataloader.image import read_image, to_rgb, write_image
from ascendcv.metrics.psnr import psnr
from ascendcv.utils.errors import InputError
from ascendcv.utils.flow_color import flow_to_color
from ascendcv.utils.flow_io import write_flo
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config import load_config
from ascendvsr.models.flow.weights import describe_flow, flow_weights
from ascendvsr.weights.reader import load_checkpoint

DESCRIPTION = (
    "Estimate the optical flow from frame A to frame B. Writes OUT.flo, OUT.png (the flow in colours: hue is "
    "direction, saturation is speed) and OUT_warped.png (B, moved to where A has it), and prints the PSNR of B "
    "against A before and after."
)

# what --model may be -> the networks that it means, as they are told by their weights
MODELS = {
    "pwcnet": ("PWCNet", "PWCNetDevil"),
    "flownet1s": ("FlowNet1S",),
    "spynet": ("SpyNet",),
    "liteflownet": ("LiteFlowNet",),
}
_CLASSES = {
    "PWCNet": "ascendvsr.models.flow.pwcnet",
    "PWCNetDevil": "ascendvsr.models.flow.pwcnet_devil",
    "FlowNet1S": "ascendvsr.models.flow.flownet1s",
    "SpyNet": "ascendvsr.models.flow.spynet",
    "LiteFlowNet": "ascendvsr.models.flow.liteflownet",
}


def main(argv: Sequence[str]) -> int:
    """Runs the command with the arguments after its name. Returns 0; raises `InputError` for what cannot work."""
    arguments = _parser().parse_intermixed_args(list(argv))
    if len(arguments.settings) % 2:
        raise InputError(f"settings come as KEY VALUE pairs; {arguments.settings[-1]!r} has no value")
    config = load_config(None, arguments.settings)
    first, second = _read_pair(arguments.first, arguments.second)
    network, weights = flow_weights(load_checkpoint(arguments.checkpoint), arguments.checkpoint)
    if network not in MODELS[arguments.model]:
        fitting = next(name for name, networks in MODELS.items() if network in networks)
        raise InputError(
            f"{arguments.checkpoint} holds {describe_flow(network)}: say --model {fitting}, not {arguments.model}"
        )

    import_tensorflow()
    from ascendcv.runner.device import prepare_devices
    from ascendvsr.weights.mapping import load_state_dict

    prepare_devices(config.device, config.device_ids, num_threads=config.num_threads)
    model = _build(network, config)
    load_state_dict(model, weights, source=arguments.checkpoint)
    flow, warped = _estimate(model, first, second)

    out = Path(arguments.out)
    out = out.with_suffix("") if out.suffix in (".flo", ".png") else out
    files = [out.with_name(out.name + ending) for ending in (".flo", ".png", "_warped.png")]
    write_flo(files[0], flow)
    write_image(files[1], flow_to_color(flow))
    write_image(files[2], warped)
    speed = np.linalg.norm(flow, axis=-1)
    print(f"{describe_flow(network)}: motion of {speed.mean():.2f} pixels on average, {speed.max():.2f} at most")
    print(f"PSNR of B against A: {_psnr(second, first):.2f} dB as it is, {_psnr(warped, first):.2f} dB warped")
    print(f"written: {', '.join(map(str, files))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ascendvsr flow", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("first", metavar="A", help="an image: the frame that the flow begins in")
    parser.add_argument("second", metavar="B", help="an image of the same size: the frame that it leads to")
    parser.add_argument("out", metavar="OUT", help="where results go: the beginning of their names")
    parser.add_argument("--model", required=True, choices=MODELS, help="the flow network")
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="PATH",
        help="its weights, or those of a restoring network that has it; which PWC-Net it is, they tell",
    )
    parser.add_argument("settings", nargs="*", metavar="KEY VALUE", help="settings, such as `device cpu`")
    return parser


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


def _build(network: str, config):
    constructor = getattr(importlib.import_module(_CLASSES[network]), network)
    options = {
        "PWCNet": {"impl": config.flow.impl},
        "PWCNetDevil": {"impl": config.flow.impl, "div_flow": config.flow.div_flow},
        "FlowNet1S": {"div_flow": config.flow.div_flow},
        "LiteFlowNet": {"impl": config.flow.impl},
    }
    return constructor(**options.get(network, {}))


def _estimate(model, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flow [H, W, 2] in pixels, and `second` warped by it, in the integers of the images."""
    import tensorflow as tf

    from ascendcv.ops.warp import warp
    from ascendvsr.models.flow.training import in_pixels

    @tf.function
    def compute(first, second):
        flow = in_pixels(model, (first, second))
        return flow, warp(second, flow, padding="border")

    white = np.iinfo(first.dtype).max
    flow, warped = compute(*(image[np.newaxis].astype(np.float32) / np.float32(white) for image in (first, second)))
    return flow[0].numpy(), np.rint(np.clip(warped[0], 0, 1) * white).astype(first.dtype)


def _psnr(image: np.ndarray, reference: np.ndarray) -> float:
    return psnr(image, reference, peak=float(np.iinfo(reference.dtype).max))
