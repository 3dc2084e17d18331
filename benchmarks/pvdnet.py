"""PVDNet on a stream: python -m benchmarks.pvdnet [--original FOLDER] [--rounds N] [--sizes 360x640 720x1280]

One frame of a video, with the state of the frame before, by two threads: frames a second and peak memory of the
normal and the large network. FOLDER is a copy of github.com/codeslake/PVDNet: its networks run beside ours with the
same weights on PyTorch, their CUDA correlation composed of PyTorch's operations. Needs torch for that.
"""

import argparse
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.timing import finished, machine, median_times, peak_memory

THREADS = 2
NETWORKS = {"PVDNet": {}, "PVDNet_large": {"num_blocks": 24, "channels": 192}}


def ours(network: str, height: int, width: int) -> Callable[[], object]:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    model = _network(network)
    frames = tf.constant(_frames(height, width)[None])
    state = model.first_state(frames)
    step = tf.function(model.step)
    return lambda: finished(step(frames, state)[0])


def original(folder: str, network: str, height: int, width: int) -> Callable[[], object]:
    """The step of the original's `DeblurNet.forward`, which computes the features of both frames each time."""
    import torch

    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    bimnet, pvdnet, pixel_volume = _original(folder, network)
    previous, current, following = torch.tensor(_frames(height, width)).permute(0, 3, 1, 2)[:, None] * 2 - 1
    rows, columns = height - height % 32, width - width % 32

    def step() -> np.ndarray:
        first, second = ((frame[:, :, :rows, :columns] + 1) / 2 for frame in (current, previous))
        flow = torch.nn.functional.interpolate(bimnet(first, second), (rows, columns), mode="bilinear")
        flow = torch.nn.functional.pad(flow, (0, width - columns, 0, height - rows))
        volume = pixel_volume(previous, flow, current, height, width)
        restored = pvdnet(volume, previous, current, following)
        return ((restored + 1) / 2).permute(0, 2, 3, 1).numpy()

    return step


def _network(network: str):
    import keras

    from ascendvsr.models.pvdnet.network import PVDNet

    keras.utils.set_random_seed(0)
    return PVDNet(**NETWORKS[network])


def _frames(height: int, width: int) -> np.ndarray:
    """[3, height, width, 3]: a pan over noise that has shapes of all sizes."""
    random = np.random.default_rng(0)
    picture = sum(
        np.kron(random.random((-(-height // size) + 1, -(-width // size) + 1, 3)), np.ones((size, size, 1)))[
            : height + 8, : width + 8
        ]
        for size in (8, 16, 32, 64)
    )
    return np.stack([picture[t : t + height, 2 * t : 2 * t + width] / 4 for t in range(3)]).astype(np.float32)


def _original(folder: str, network: str) -> tuple:
    """(BIMNet, PVDNet, get_pixel_volume) of the original, on the CPU, with the weights of ours."""
    import torch

    from ascendvsr.weights import state_dict

    correlation = types.ModuleType("torch_correlation_C11")
    correlation.FunctionCorrelation = _composed_correlation
    sys.modules["models.archs.torch_correlation_C11"] = correlation
    torch.version.cuda = "11.3"  # which of two kernels the original would load
    torch.Tensor.cuda = lambda tensor: tensor
    torch.cuda.FloatTensor, torch.cuda.IntTensor = torch.FloatTensor, torch.IntTensor
    sys.path.insert(0, folder)
    import importlib

    lite_flow_net = importlib.import_module("models.archs.liteFlowNet")
    architecture = importlib.import_module(f"models.archs.{network}")
    pixel_volume = importlib.import_module("models.pixel_volume").get_pixel_volume
    modules = {"BIMNet": lite_flow_net.Network(), "PVDNet": architecture.Network(25)}
    torch.nn.ModuleDict(modules).load_state_dict(
        {name: torch.tensor(array) for name, array in state_dict(_network(network)).items()}
    )
    return modules["BIMNet"], modules["PVDNet"], pixel_volume


def _composed_correlation(tensorFirst, tensorSecond, intStride):
    import torch

    first, second = (tensor[:, :, ::intStride, ::intStride] for tensor in (tensorFirst, tensorSecond))
    height, width = first.shape[2:]
    second = torch.nn.functional.pad(second, (3, 3, 3, 3))
    shifts = ((i, j) for i in range(7) for j in range(7))
    return torch.stack([(first * second[:, :, i : i + height, j : j + width]).mean(1) for i, j in shifts], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--original", help="a copy of codeslake/PVDNet, to compare with")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sizes", nargs="+", default=["360x640", "720x1280"], metavar="HxW")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    print(machine())
    for size in options.sizes:
        for network in options.networks:
            arguments = (network, *map(int, size.split("x")))
            prepared = {"ascendvsr": (ours, arguments)}
            if options.original:
                folder = str(Path(options.original).resolve())
                prepared["PyTorch"] = (original, (folder, *arguments))
            runs = {name: prepare(*given) for name, (prepare, given) in prepared.items()}
            times = median_times(runs, options.rounds)
            print(f"{network} {size}")
            for name, (prepare, given) in prepared.items():
                memory = peak_memory(prepare, *given)
                print(f"  {name:10}{times[name]:6.2f} s, {1 / times[name]:.2f} frames/s, process peak {memory} MiB")
            if options.original:
                results = [run() for run in runs.values()]
                apart = np.mean(np.abs(results[0] - results[1]) > 1e-4)
                print(f"  {times['PyTorch'] / times['ascendvsr']:.2f} x faster; {apart:.2%} of the values differ")


if __name__ == "__main__":
    main()
