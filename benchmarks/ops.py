"""The operations that have compiled kernels, beside their rivals: python -m benchmarks.ops [CASE ...] [--rounds N]

Medians of interleaved runs in one process with two threads, as ratios to a plain convolution of the same shape
(the floor) and to the kernel. Rivals: the composed operation (as a graph, and compiled by XLA), onnxruntime's
DeformConv, the composition in PyTorch. With --memory: what one call adds to the memory of a process of its own.
"""

import argparse
import os
from collections.abc import Callable

from benchmarks.timing import added_memory, graph, machine, matrix_product, median_times, memory_copy

THREADS = 2
Runs = dict[str, Callable[[], object]]


def deform_conv() -> Runs:
    """EDVR's largest alignment: [1, 180, 320, 64], 3 x 3, 8 deformable groups, offsets of a few pixels."""
    import tensorflow as tf

    from ascendcv.ops.deform_conv import deform_conv2d

    groups = 8
    arguments = (
        tf.random.normal([1, 180, 320, 64]),
        tf.random.normal([1, 180, 320, groups * 18], stddev=2.0),
        tf.random.normal([3, 3, 64, 64], stddev=1 / 24),
        tf.random.uniform([1, 180, 320, groups * 9]),
        tf.zeros([64]),
    )

    def convolution(x, offset, kernel, mask, bias):
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)

    def by(impl: str) -> Callable:
        return lambda *tensors: deform_conv2d(*tensors, deformable_groups=groups, impl=impl)

    return _all_ways(convolution, by, *arguments) | {"onnxruntime": _onnxruntime_deform_conv(*arguments)}


def correlation() -> Runs:
    """PWC-Net's cost volume, 81 displacements of [1, 112, 256, 64]."""
    import tensorflow as tf
    import torch

    from ascendcv.ops.correlation import correlation

    images = [tf.random.normal([1, 112, 256, 64]) for _ in range(2)]
    kernel = tf.random.normal([3, 3, 64, 64])

    def shifts(first, second):
        second = torch.nn.functional.pad(second, (4, 4, 4, 4))
        return torch.stack(
            [(first * second[..., i : i + 112, j : j + 256]).mean(1) for i in range(9) for j in range(9)], 1
        )

    first, second = (torch.from_numpy(image.numpy()).permute(0, 3, 1, 2).contiguous() for image in images)
    return _all_ways(
        lambda first, second: tf.nn.conv2d(first, kernel, 1, "SAME"),
        lambda impl: lambda first, second: correlation(first, second, impl=impl),
        *images,
    ) | {"PyTorch, composed": lambda: shifts(first, second)}


def deform_attn() -> Runs:
    """RVRT's guided attention on two frames of 64 x 64: 144 channels, 12 heads, 12 groups."""
    import tensorflow as tf

    from ascendcv.ops.deform_attn import deform_attn

    q, kv = tf.random.normal([1, 2, 64, 64, 144]), tf.random.normal([1, 2, 64, 64, 288])
    offset = tf.random.normal([1, 2, 64, 64, 432], stddev=4.0)
    kernel = tf.random.normal([3, 3, 144, 144])

    def by(impl: str) -> Callable:
        return lambda q, kv, offset: deform_attn(q, kv, offset, attention_heads=12, deformable_groups=12, impl=impl)

    return _all_ways(lambda q, kv, offset: tf.nn.conv2d(q[0], kernel, 1, "SAME"), by, q, kv, offset) | {
        "PyTorch, composed": _torch_deform_attn(q.numpy(), kv.numpy(), offset.numpy())
    }


CASES = {"deform_conv": deform_conv, "correlation": correlation, "deform_attn": deform_attn}


def _all_ways(convolution: Callable, by: Callable[[str], Callable], *arguments) -> Runs:
    """The floor and the implementations, forward and with the gradients of all arguments."""
    return {
        "convolution": graph(convolution, *arguments),
        "fused": graph(by("fused"), *arguments),
        "composed": graph(by("tf"), *arguments),
        "composed, XLA": graph(by("tf"), *arguments, jit_compile=True),
        "convolution, with gradients": graph(_gradients(convolution), *arguments),
        "fused, with gradients": graph(_gradients(by("fused")), *arguments),
        "composed, with gradients": graph(_gradients(by("tf")), *arguments),
    }


def _gradients(function: Callable) -> Callable:
    import tensorflow as tf

    def compute(*tensors):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            y = function(*tensors)
        gradients = tape.gradient(y, tensors)
        return y, [gradient for gradient in gradients if gradient is not None]

    return compute


def _onnxruntime_deform_conv(x, offset, kernel, mask, bias) -> Callable[[], object]:
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    arrays = {name: np.moveaxis(tensor.numpy(), -1, 1) for name, tensor in {"x": x, "o": offset, "m": mask}.items()}
    arrays |= {"k": kernel.numpy().transpose(3, 2, 0, 1), "b": bias.numpy()}
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    groups = mask.shape[-1] // 9
    node = helper.make_node(
        "DeformConv", list("xkobm"), ["y"], kernel_shape=[3, 3], pads=[1] * 4, offset_group=groups
    )
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, arrays[name].shape) for name in "xkobm"]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, arrays["x"].shape)
    nodes = helper.make_graph([node], "deform_conv", inputs, [output])
    model = helper.make_model(nodes, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, arrays)


def _torch_deform_attn(q, kv, offset) -> Callable[[], object]:
    """Sampling by grid_sample for each slot, then the attention: as RVRT can be run without its CUDA kernel."""
    import torch

    heads = groups = 12
    (_, frames, height, width, channels), taps = q.shape, 9
    q, kv, offset = (torch.from_numpy(array) for array in (q, kv, offset))
    kv = kv[0].permute(0, 3, 1, 2).reshape(frames, groups, -1, height, width)
    offset = offset[0].reshape(frames, height, width, frames, groups, taps, 2)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    q = q[0].reshape(frames, height, width, heads, -1)

    def attend():
        results = []
        for frame in range(frames):
            slots = []
            for slot in range(frames):
                moved = offset[frame, :, :, slot]  # [H, W, groups, taps, 2]
                y = rows[..., None, None] + moved[..., 0] + (torch.arange(taps) // 3 - 1)
                x = columns[..., None, None] + moved[..., 1] + (torch.arange(taps) % 3 - 1)
                grid = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
                grid = grid.permute(2, 3, 0, 1, 4).reshape(groups, taps * height, width, 2)
                source = kv[(frame + slot) % frames]
                sampled = torch.nn.functional.grid_sample(source, grid, align_corners=True)
                slots.append(sampled.reshape(2, channels, taps, height, width))
            keys, values = torch.cat(slots, dim=2)  # [C, places, H, W]
            keys, values = (t.reshape(heads, channels // heads, -1, height, width) for t in (keys, values))
            scores = torch.einsum("hwnc,ncphw->hwnp", q[frame], keys) * (channels // heads) ** -0.5
            results.append(
                torch.einsum("hwnp,ncphw->hwnc", scores.softmax(-1), values).reshape(height, width, channels)
            )
        return torch.stack(results)

    return attend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all by default")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="measure memory too")
    options = parser.parse_args()
    if unknown := set(options.cases) - CASES.keys():
        parser.error(f"there is no case {unknown.pop()!r}; there are {', '.join(CASES)}")
    _use_threads()
    print(machine())
    product, operations = matrix_product()
    copy, size = memory_copy()
    limits = median_times({"product": product, "copy": copy}, options.rounds)
    print(f"a large matrix product: {operations / limits['product'] / 1e9:.0f} GFLOP/s; ", end="")
    print(f"copying: {size / limits['copy'] / 1e9:.1f} GB/s read and as much written")
    for case in options.cases or CASES:
        print(f"{case}: {CASES[case].__doc__}")
        times = median_times(CASES[case](), options.rounds)
        for name, seconds in times.items():
            suffix = ", with gradients" if name.endswith("gradients") else ""
            floor, kernel = times["convolution" + suffix], times["fused" + suffix]
            line = f"  {name:28} {1000 * seconds:8.1f} ms {seconds / floor:7.2f} x convolution"
            line += f" {seconds / kernel:7.2f} x fused"
            print(line + (f" {added_memory(_one, case, name):6d} MiB" if options.memory else ""), flush=True)


def _one(case: str, name: str) -> Callable[[], object]:
    _use_threads()
    return CASES[case]()[name]


def _use_threads() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import torch

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    torch.set_num_threads(THREADS)


if __name__ == "__main__":
    main()
