"""CDVD-TSP at work: python -m benchmarks.cdvd_tsp SOURCE [--rounds N] [--threads N] [--size H W]

Restoring a frame from a window of five 360x640 frames: window by window, and as a video, where neighboring windows
share frames, flows and first stages; beside the official PyTorch network from SOURCE, a checkout of
github.com/csbhr/CDVD-TSP, with the same weights. Its correlation, which is written for CuPy, is composed of
PyTorch's operations here. Peak memory is that of a process of its own.
"""

import argparse
import contextlib
import functools
import io
import os
import sys
import types
from collections.abc import Callable

import numpy as np

from benchmarks.timing import machine, median_times, peak_memory


def video(frames: int, size: tuple[int, int]) -> np.ndarray:
    """[1, frames, H, W, 3]: a pan over a photograph, so that flows are not noise."""
    from PIL import Image
    from skimage import data

    height, width = size
    picture = np.asarray(Image.fromarray(data.astronaut()).resize((width + 4 * frames, height + 2 * frames)))
    views = [picture[2 * t : 2 * t + height, 4 * t : 4 * t + width] for t in range(frames)]
    return np.stack(views).astype(np.float32)[None] / 255


def network():
    """CDVD-TSP with a flow of some pixels: untrained, it would be next to nothing."""
    import keras

    from ascendvsr.models.cdvd_tsp.network import CDVDTSP

    keras.utils.set_random_seed(0)
    model = CDVDTSP()
    model.flow_net.decoders["2"].estimator.conv_last.bias.assign([0.1, -0.05])
    return model


def window_by_window(size: tuple[int, int]) -> Callable[[], object]:
    import tensorflow as tf

    model, clip = network(), tf.constant(video(5, size))
    function = tf.function(model.call)
    return lambda: function(clip).numpy()


def as_a_video(size: tuple[int, int]) -> Callable[[], object]:
    """One frame of a video that goes on and on; all that the window before could know is known."""
    import tensorflow as tf

    length, position, kept = 24, 0, {}
    frames = video(length, size)
    restore_next = network().stream(tf.function)

    def step():
        nonlocal position
        indices = range(position, position + 5)
        window = frames[:, [index % length for index in indices]]
        position += 1
        return restore_next(indices, window, kept).numpy()

    step()  # the first window begins from nothing
    return step


def official(size: tuple[int, int], source: str, threads: int) -> Callable[[], object]:
    import torch

    from ascendvsr.weights.mapping import state_dict

    torch.set_num_threads(threads)
    with contextlib.redirect_stdout(io.StringIO()):
        model = _official_network(source)
    model.load_state_dict({name: torch.tensor(array) for name, array in state_dict(network()).items()})
    clip = torch.tensor(np.moveaxis(video(5, size), -1, -3).copy())

    def step():
        with torch.inference_mode():
            return np.moveaxis(model(clip)[3].numpy(), 1, -1)

    return step


def _official_network(source: str):
    """The original's network for CPUs: it asks for CUDA by default, and PyTorch's defaults have changed since."""
    import torch
    from torch.nn import functional

    correlation = types.ModuleType("model.correlation")
    correlation.FunctionCorrelation = _composed_correlation
    sys.path.insert(0, os.path.join(source, "code"))
    try:
        import model

        model.correlation = sys.modules["model.correlation"] = correlation
        torch.Tensor.cuda = lambda tensor, *_: tensor
        functional.grid_sample = functools.partial(functional.grid_sample, align_corners=True)
        from model import cdvd_tsp, flow_pwc
        from utils import utils

        flow_pwc.Backward.__defaults__ = flow_pwc.Network.__init__.__defaults__ = ("cpu",)
        utils.calc_meanFilter = functools.partial(utils.calc_meanFilter, device="cpu")
        return cdvd_tsp.CDVD_TSP(n_sequence=5, is_mask_filter=True, device="cpu").eval()
    finally:
        sys.path.pop(0)


def _composed_correlation(tensorFirst, tensorSecond):
    import torch
    from torch.nn.functional import pad

    height, width = tensorFirst.shape[2:]
    padded = pad(tensorSecond, (4, 4, 4, 4))
    shifted = (padded[:, :, i : i + height, j : j + width] for i in range(9) for j in range(9))
    return torch.stack([(tensorFirst * second).mean(1) for second in shifted], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="a checkout of github.com/csbhr/CDVD-TSP")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 640), metavar=("H", "W"))
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(options.threads), "TF_NUM_INTEROP_THREADS": "1"}

    size = tuple(options.size)
    runs = {
        "PyTorch, a window": (official, size, options.source, options.threads),
        "a window": (window_by_window, size),
        "in a video": (as_a_video, size),
    }
    ready = {name: prepare(*arguments) for name, (prepare, *arguments) in runs.items()}
    print(machine())
    difference = np.abs(ready["a window"]() - ready["PyTorch, a window"]()).max()
    print(f"5 x {size[0]} x {size[1]}, {options.threads} threads; largest difference {difference:.1e}")
    times = median_times(ready, options.rounds)
    del ready
    for name, seconds in times.items():
        memory = peak_memory(*runs[name])
        ratio = times["PyTorch, a window"] / seconds
        print(f"  {name:18} {seconds:6.2f} s a frame, {1 / seconds:.3f} frames/s, {ratio:.2f} x, peak {memory} MiB")


if __name__ == "__main__":
    main()
