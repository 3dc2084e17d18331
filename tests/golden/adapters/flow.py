"""Optical flow: the networks, their loss and training, warping, resizing, augmentation and colors."""

import keras
import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradients, named_gradients
from tests.golden.layout import channels_first, channels_last
from tests.golden.record import recorded


def _loaded(model, case: Case):
    from ascendvsr.weights.mapping import load_state_dict

    load_state_dict(model, case.state_dict())
    return model


def pwcnet(case: Case) -> dict:
    """The network of CDVD-TSP. `volume_levelL` is computed from the decoder's first input."""
    from ascendcv.ops.correlation import correlation
    from ascendvsr.layers.flow_blocks import lrelu, warp_visible
    from ascendvsr.models.flow.pwcnet import PWCNet

    model = _loaded(PWCNet(), case)
    frames = channels_last(case.frames("frames"))
    decoders = {6: "moduleSix", 5: "moduleFiv", 4: "moduleFou", 3: "moduleThr", 2: "moduleTwo"}
    names = [*decoders.values(), "moduleFou.moduleUpflow", "moduleRefiner", "moduleExtractor"]
    flow, calls = recorded(model, names, (frames[:, 0], frames[:, 1]))
    outputs = {"flow": channels_first(flow), "refiner": channels_first(calls["moduleRefiner"][0])}
    for level, name in decoders.items():
        outputs[f"flow_level{level}"] = channels_first(calls[name][0][1])
    pyramid = [keras.ops.convert_to_tensor(level) for level in calls["moduleExtractor"][0]]
    first, second = ([level[part] for level in pyramid] for part in _halves(len(frames)))
    for level in (3, 6):
        outputs[f"feat_level{level}_first"] = _array(first[level - 1])
    flow = keras.ops.convert_to_tensor(calls["moduleFou.moduleUpflow"][0])
    warped = warp_visible(second[3], 1.25 * flow, 0.999)
    outputs["volume_level6"] = _array(lrelu(correlation(first[5], second[5])))
    outputs["volume_level4"] = _array(lrelu(correlation(first[3], warped)))
    return outputs


def _halves(count: int) -> tuple[slice, slice]:
    return slice(None, count), slice(count, None)


def backward_warp(case: Case) -> dict:
    from ascendvsr.layers.flow_blocks import warp_visible

    inputs = [channels_last(case.array(name)) for name in ("input", "flow")]
    out, found, _ = gradients(
        lambda x, flow: warp_visible(x, flow, 0.999), inputs, channels_last(case.array("upstream"))
    )
    return {
        "out": channels_first(out),
        "grad_input": channels_first(found[0]),
        "grad_flow": channels_first(found[1]),
    }


def devil_network(case: Case) -> dict:
    """Either flow network of deblur-devil: `flow1` is the full-size flow, `flow2` to `flow6` are the levels'."""
    model = _devil_network(case, case.subject, case.config["div_flow"])
    frames = tuple(channels_last(case.frames(name)) for name in ("im1", "im2"))
    outputs = _flownet1s(model, frames) if case.subject == "FlowNet1S" else _pwcnet_devil(model, frames)
    frames = tuple(map(keras.ops.convert_to_tensor, frames))
    for level, flow in zip(range(6, 1, -1), model.levels(frames), strict=True):
        outputs[f"flow{level}"] = _array(flow)
    return outputs


def _devil_network(case: Case, name: str, div_flow: float):
    from ascendvsr.models.flow.flownet1s import FlowNet1S
    from ascendvsr.models.flow.pwcnet_devil import PWCNetDevil

    return _loaded({"PWCNet": PWCNetDevil, "FlowNet1S": FlowNet1S}[name](div_flow=div_flow), case)


def _pwcnet_devil(model, frames: tuple) -> dict:
    """`corrL` and `warpL` are computed from the levels' flows and features."""
    from ascendcv.ops.correlation import spatial_correlation
    from ascendcv.ops.resize import resize
    from ascendvsr.layers.flow_blocks import warp_visible

    flow, calls = recorded(model, ["pwcnet_impl.context_network"], frames)
    outputs = {
        "flow1": channels_first(flow),
        "context_residual": channels_first(calls["pwcnet_impl.context_network"][0]),
    }
    height, width = flow.shape[1:3]
    previous = None
    frames = tuple(map(keras.ops.convert_to_tensor, frames))
    pyramids = (model.features(frame) for frame in frames)
    for level, first, second, flow in zip(range(6, 1, -1), *pyramids, model.levels(frames), strict=True):
        if previous is not None:
            shrink = np.array([first.shape[2] / width, first.shape[1] / height]) / model.div_flow
            second = warp_visible(
                second,
                resize(previous, first.shape[1:3]) * keras.ops.convert_to_tensor(shrink, second.dtype),
                0.9999,
            )
            outputs |= _statistics(f"warp{level}", second)
        outputs |= _statistics(f"corr{level}", spatial_correlation(first, second))
        previous = flow
    return outputs


def _flownet1s(model, frames: tuple) -> dict:
    convolutions = ("conv2", "conv3_1", "conv6_1", "deconv5", "deconv2")
    names = [f"flownets.{name}.0" for name in convolutions]
    flow, calls = recorded(model, [*names, "flownets.upsample_flow6_to_5"], frames)
    outputs = {
        "flow1": channels_first(flow),
        "upsampled_flow6_to_5": channels_first(calls["flownets.upsample_flow6_to_5"][0]),
    }
    for name in convolutions:
        before = calls[f"flownets.{name}.0"][0]
        outputs |= _statistics(name, np.where(before > 0, before, 0.1 * before))
    return outputs


def _array(tensor) -> np.ndarray:
    return channels_first(keras.ops.convert_to_numpy(tensor))


def _statistics(name: str, tensor) -> dict:
    array = _array(tensor)
    wide = array.astype(np.float64)
    return {
        f"{name}.mean": wide.mean(axis=(0, 2, 3)),
        f"{name}.std": wide.std(axis=(0, 2, 3)),
        f"{name}.sub": array,
    }


def flow_train_step(case: Case) -> dict:
    from ascendvsr.models.flow.training import DIV_FLOW, FlowUpdates

    model = _devil_network(case, case.config["network"], case.config["model_div_flow"])
    frames = [channels_last(case.frames(name)) for name in ("im1", "im2")]
    target = keras.ops.convert_to_tensor(channels_last(case.array("target_flow")))

    def loss_and_report(first, second):
        batch = {"lq": keras.ops.stack([first, second], axis=1), "flow": target}
        return FlowUpdates().loss(model, batch, 0, ())[:2]

    flows = model.levels(tuple(map(keras.ops.convert_to_tensor, frames)))
    levels = {f"flow{level}": _array(flow) for level, flow in zip(range(6, 1, -1), flows, strict=True)}
    _, report = loss_and_report(*map(keras.ops.convert_to_tensor, frames))
    means = {f"loss.epe{name[-1]}": float(mean) * DIV_FLOW for name, mean in report.items()}
    value, _, found = gradients(
        lambda *frames: loss_and_report(*frames)[0], frames, variables=model.trainable_variables
    )
    named = named_gradients(model, found)
    norms = {name: np.linalg.norm(array.astype(np.float64)) for name, array in named.items()}
    return {
        **levels,
        "loss": value,
        **means,
        "grad_total_norm": np.linalg.norm(list(norms.values())),
        **{f"gradnorm.{name}": norm for name, norm in norms.items()},
        **{f"grad.{name}": array.ravel()[:16] for name, array in named.items()},
    }


def resize2d(case: Case) -> dict:
    """Averaged where (height, width) becomes smaller in the order of tuples, else interpolated."""
    from ascendcv.ops.adaptive_pool import adaptive_avg_pool2d
    from ascendcv.ops.resize import resize

    x = keras.ops.convert_to_tensor(channels_last(case.array("input")))
    outputs = {}
    for name, call in case.config.items():
        size = tuple(call["size"])
        if size < tuple(x.shape[1:3]):
            resized = adaptive_avg_pool2d(x, size)
        else:
            resized = resize(x, size, align_corners=call["align_corners"])
        outputs[name] = channels_first(keras.ops.convert_to_numpy(resized))
    return outputs


def flow_warp(case: Case) -> dict:
    """Warping inside PWC-Net, with a mask, and of frames, with repeated borders."""
    from ascendcv.ops.warp import warp
    from ascendvsr.layers.flow_blocks import warp_visible

    inputs = [channels_last(case.array(name)) for name in ("value", "flow")]
    upstream = channels_last(case.array("grad_output"))
    functions = {
        ("warped_masked", ""): lambda x, flow: warp_visible(x, flow, case.config["mask_threshold"]),
        ("warped_border", "_border"): lambda x, flow: warp(x, flow, padding="border"),
    }
    outputs = {}
    for (name, ending), function in functions.items():
        warped, (grad_value, grad_flow), _ = gradients(function, inputs, upstream)
        outputs[name] = channels_first(warped)
        outputs[f"grad_value{ending}"] = channels_first(grad_value)
        outputs[f"grad_flow{ending}"] = channels_first(grad_flow)
    return outputs


def multiscale_epe(case: Case) -> dict:
    from ascendcv.losses.multiscale_epe import multiscale_epe

    levels = range(6, 1, -1)
    flows = [channels_last(case.array(f"flow{level}")) for level in levels]
    target = keras.ops.convert_to_tensor(channels_last(case.array("target_flow")))
    div_flow = case.config["div_flow"]
    total, found, _ = gradients(lambda *flows: multiscale_epe(flows, target, div_flow=div_flow)[0], flows)
    _, means = multiscale_epe([keras.ops.convert_to_tensor(flow) for flow in flows], target, div_flow=div_flow)
    outputs = {"total_loss": total}
    for level, gradient, mean in zip(levels, found, means, strict=True):
        outputs |= {f"grad_flow{level}": channels_first(gradient), f"epe{level}": float(mean)}
    return outputs


def flow_to_color(case: Case) -> dict:
    from ascendcv.utils.flow_color import flow_to_color

    flows = channels_last(case.array("flow"))
    alone = [flow_to_color(flow) for flow in flows]
    limited = [flow_to_color(flow, limit.item()) for flow, limit in zip(flows, case.array("max_flow"), strict=True)]
    return {
        "rgb_byte": channels_first(np.stack(alone)),
        "rgb_float_max": channels_first(np.stack(limited)) / 255,
    }


def affine_flow(case: Case) -> dict:
    from ascendcv.dataloader.affine_flow import compose, stays_inside, transform_flow, transform_image

    theta1, relative = (case.array(name).reshape(-1, 6) for name in ("theta1", "theta_rel"))
    image, flow = channels_last(case.frames("image")), channels_last(case.array("flow_in"))
    theta2 = compose(theta1, relative)
    inside = np.asarray(stays_inside(theta1, image.shape[1:3]))
    return {
        "theta2": np.asarray(theta2).reshape(-1, 6, 1, 1),
        "image1": channels_first(np.asarray(transform_image(image, theta1))),
        "image2": channels_first(np.asarray(transform_image(image, theta2))),
        "flow": channels_first(np.asarray(transform_flow(flow, theta1, theta2))),
        "invalid1": ~inside,
    }


ADAPTERS = {
    "cdvd_tsp": {
        "PWCNet": pwcnet,
        "backward_warp": backward_warp,
    },
    "deblur_devil": {
        "FlowNet1S": devil_network,
        "PWCNet": devil_network,
        "affine_flow": affine_flow,
        "flow_to_color": flow_to_color,
        "flow_train_step": flow_train_step,
        "flow_warp": flow_warp,
        "multiscale_epe": multiscale_epe,
        "resize2d": resize2d,
    },
}
