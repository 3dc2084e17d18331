"""Operations that several networks share."""

import re

import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradients, named_gradients
from tests.golden.layout import channels_first, channels_last, kernel_first, kernel_last
from tests.golden.record import recorded


def deform_conv2d(case: Case) -> dict:
    from ascendcv.ops.deform_conv import deform_conv2d

    names = [name for name in ("x", "offset", "mask", "weight", "bias") if name in case.inputs]
    settings = {key: case.config[key] for key in ("stride", "padding", "dilation", "groups", "deformable_groups")}

    def function(*tensors):
        given = dict(zip(names, tensors, strict=True))
        return deform_conv2d(
            given["x"], given["offset"], given["weight"], given.get("mask"), given.get("bias"), **settings
        )

    arrays = [_to_ours(name, case.array(name)) for name in names]
    y, found, _ = gradients(function, arrays, _upstream(case, "grad_out"))
    outputs = {"y": channels_first(y), "grad_offset_valid": _inside_image(case)}
    for name, gradient in zip(names, found, strict=True):
        outputs[f"grad_{name}"] = kernel_first(gradient) if name == "weight" else _to_source(gradient)
    return outputs


def _to_ours(name: str, array: np.ndarray) -> np.ndarray:
    if name == "weight":
        return kernel_last(array)
    return channels_last(array) if array.ndim == 4 else array


def _inside_image(case: Case) -> np.ndarray:
    """1 where an offset's sample lies inside the image: elsewhere implementations differ in its gradient."""
    offset, (height, width) = case.array("offset"), case.array("x").shape[2:]
    kernel_height, kernel_width = case.array("weight").shape[2:]
    stride, padding, dilation = (case.config[key] for key in ("stride", "padding", "dilation"))
    batch, _, out_height, out_width = offset.shape
    offset = offset.reshape(batch, -1, kernel_height, kernel_width, 2, out_height, out_width)
    rows = np.arange(out_height)[:, np.newaxis] * stride - padding
    columns = np.arange(out_width) * stride - padding
    y = offset[:, :, :, :, 0] + rows + np.arange(kernel_height)[:, np.newaxis, np.newaxis, np.newaxis] * dilation
    x = offset[:, :, :, :, 1] + columns + np.arange(kernel_width)[:, np.newaxis, np.newaxis] * dilation
    inside = (y > -1) & (y < height) & (x > -1) & (x < width)
    return np.stack([inside, inside], axis=4).reshape(case.array("offset").shape)


def dcn_pack(case: Case) -> dict:
    """A `ModulatedDeformConvPack` takes its offsets from what it samples, a `DCNv2Pack` from `feat`."""
    from ascendcv.layers.deform_conv import DCNv2Pack
    from ascendvsr.weights.mapping import load_state_dict

    settings = {
        key: case.config[key] for key in ("kernel_size", "stride", "padding", "dilation", "deformable_groups")
    }
    pack = DCNv2Pack(case.config["out_channels"], **settings)
    inputs = [channels_last(case.array(name)) for name in ("x", "feat") if name in case.inputs]
    pack(inputs[0], inputs[-1])
    load_state_dict(pack, case.state_dict())
    _, calls = recorded(pack, ["conv_offset"], inputs[0], inputs[-1])
    raw = channels_first(calls["conv_offset"][0])
    offset, mask = np.split(raw, [raw.shape[1] * 2 // 3], axis=1)

    y, by_inputs, found = gradients(
        lambda *tensors: pack(tensors[0], tensors[-1]),
        inputs,
        _upstream(case, "grad_out"),
        pack.trainable_variables,
    )
    return {
        "y": channels_first(y),
        "conv_offset_out": raw,
        "offset": offset,
        "mask": 1 / (1 + np.exp(-mask)),
        **{f"grad_{name}": channels_first(array) for name, array in zip(("x", "feat"), by_inputs, strict=False)},
        **{f"grad_{name.replace('.', '_')}": gradient for name, gradient in named_gradients(pack, found).items()},
    }


def flow_warp(case: Case) -> dict:
    from ascendcv.ops.warp import warp

    settings = {"interpolation": "interp_mode", "padding": "padding_mode", "align_corners": "align_corners"}
    settings = {ours: case.config[theirs] for ours, theirs in settings.items() if theirs in case.config}

    def function(x, flow):
        return warp(x, flow, **settings)

    inputs = [channels_last(case.array("x")), case.array("flow")]
    y, (grad_x, grad_flow), _ = gradients(function, inputs, _upstream(case, "grad_out"))
    return {"y": channels_first(y), "grad_x": channels_first(grad_x), "grad_flow": grad_flow}


def pixel_shuffle(case: Case) -> dict:
    """Arrays `ps{s}` and `unshuffle{s}` for a scale s."""
    from ascendcv.ops.shuffle import pixel_shuffle, pixel_unshuffle

    x = channels_last(case.array("x"))
    outputs = {}
    for name in case.outputs:
        kind, scale = re.fullmatch(r"(ps|unshuffle)(\d+)", name).groups()
        scale = int(scale)
        shuffled = pixel_shuffle(x[..., : case.config["C"] * scale**2], scale)
        outputs[name] = _to_source(shuffled if kind == "ps" else pixel_unshuffle(shuffled, scale))
    return outputs


def resize_flow(case: Case) -> dict:
    from keras import ops

    from ascendcv.ops.resize import resize_flow

    flow = ops.convert_to_tensor(channels_last(case.array("flow")))
    outputs = {}
    for name, call in case.config["calls"].items():
        sizes = call["sizes"]
        if call["size_type"] == "ratio":
            sizes = [length * ratio for length, ratio in zip(flow.shape[1:3], sizes, strict=True)]
        outputs[name] = _to_source(resize_flow(flow, tuple(map(int, sizes))))
    return outputs


def resize_pool(case: Case) -> dict:
    """Arrays such as `bilinear_x2_corners`, `bicubic_quarter`, `bilinear_to32`, `maxpool3s2p1`; `grad_NAME`."""
    x = channels_last(case.frames("x"))
    outputs = {}
    for name in case.outputs:
        if not name.startswith("grad_"):
            upstream = _upstream(case, f"gradout_{name}")
            y, (gradient,), _ = gradients(_resize_or_pool(name, x.shape[1:3]), [x], upstream)
            outputs |= {name: channels_first(y), f"grad_{name}": channels_first(gradient)}
    return outputs


def _resize_or_pool(name: str, size: tuple[int, int]):
    """The function that the array `name` is the result of, for images of (H, W)."""
    from ascendcv.ops.pool import avg_pool2d, max_pool2d
    from ascendcv.ops.resize import resize

    if pooling := re.fullmatch(r"(avg|max)pool(\d+)(?:s(\d+))?(?:p(\d+))?", name):
        kind, kernel, stride, padding = pooling.groups()
        pool = {"avg": avg_pool2d, "max": max_pool2d}[kind]
        return lambda x: pool(x, int(kernel), int(stride or kernel), int(padding or 0))
    method, how, corners = re.fullmatch(r"(bilinear|bicubic)_([^_]+)(_corners)?", name).groups()
    read = size
    if how.startswith("to"):
        multiple = int(how[2:])
        new_size = tuple(-(-length // multiple) * multiple for length in size)
    else:
        factor = {"half": 0.5, "quarter": 0.25}.get(how) or float(how.removeprefix("x"))
        new_size = tuple(int(length * factor) for length in size)
        if factor < 1:  # what is beyond a whole number of output pixels has no part in it
            read = tuple(int(length / factor) for length in new_size)
    return lambda x: resize(x[:, : read[0], : read[1]], new_size, method=method, align_corners=bool(corners))


def _upstream(case: Case, name: str) -> np.ndarray | None:
    return channels_last(case.array(name)) if name in case.inputs else None


def _to_source(tensor) -> np.ndarray:
    """[N, H, W, C] -> [N, C, H, W]; vectors stay as they are."""
    from keras import ops

    array = ops.convert_to_numpy(tensor)
    return channels_first(array) if array.ndim == 4 else array


ADAPTERS = {
    "ops": {
        "DCNv2Pack": dcn_pack,
        "ModulatedDeformConvPack": dcn_pack,
        "deform_conv2d": deform_conv2d,
        "flow_warp": flow_warp,
        "pixel_shuffle": pixel_shuffle,
        "resize_flow": resize_flow,
        "resize_pool": resize_pool,
    }
}
