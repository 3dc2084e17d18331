"""DBN and FlowDBN: networks, initialization, loss, training steps, colors and augmentation."""

import re

import keras
import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradients, named_gradients
from tests.golden.layout import channels_first, channels_last
from tests.golden.record import recorded

_LAYERS = ("f0", "f2", "f5", "f8", "u1", "u2", "u3", "f14", "f15")


def dbn(case: Case) -> dict:
    """`f0`...`s3`: layers of the U-net, after their activations, whole and as statistics."""
    model = _network(case)
    prefix = "flowdbn." if case.subject == "FlowDBN" else ""
    clip = channels_last(case.frames("frames"))
    output, calls = recorded(model, [f"{prefix}dbn_net.{name}" for name in _LAYERS], clip)
    layer = {name: channels_first(calls[f"{prefix}dbn_net.{name}"][0]) for name in _LAYERS}
    f15 = layer.pop("f15")
    layer |= {name: np.maximum(layer[name], 0) for name in ("f0", "f2", "f5", "f8", "f14")}
    for skip, name, other in (("s1", "f5", "u1"), ("s2", "f2", "u2"), ("s3", "f0", "u3")):
        layer[skip] = np.maximum(layer[name] + layer[other], 0)
    outputs = {"output": channels_first(output), "f15": f15}
    for name, values in layer.items():
        values = values.astype(np.float64)
        mean, deviation = values.mean(axis=(0, 2, 3)), values.std(axis=(0, 2, 3))
        outputs |= {f"{name}.mean": mean, f"{name}.std": deviation, f"{name}.sub": values}
    return outputs | (_prewarping(model, clip) if prefix else {})


def _prewarping(model, clip: np.ndarray) -> dict:
    """`flow` from the middle frame to each neighbor; `warpedK`: frame K of them, counted from 1, warped by it."""
    features = [model.features(clip[:, t]) for t in range(model.num_frame)]
    outputs = {"flow": channels_first(keras.ops.convert_to_numpy(model.flow(features)))}
    others = [t for t in range(model.num_frame) if t != model.center_frame_idx]
    for t, warped in zip(others, model.warped_neighbors(features), strict=True):
        outputs[f"warped{t + 1}.sub"] = channels_first(keras.ops.convert_to_numpy(warped))
    return outputs


def train_step(case: Case) -> dict:
    """`after.NAME` are the buffers after the step.

    ReLUs near 0 fall to either side in float32, and the source, run on another processor or in another memory
    layout, misses its own float32 gradients by up to five tolerances: see `Case.computed_in_double`.
    """
    from ascendvsr.models.deblur_devil.training import DeblurUpdates, gray_psnr
    from ascendvsr.weights.mapping import state_dict

    model = _network(case)
    clip, truth = (channels_last(case.frames(name)) for name in ("frames", "target"))
    truth = keras.ops.convert_to_tensor(truth)
    output = model(clip, training=True)
    psnr = keras.ops.convert_to_numpy(gray_psnr(output, truth))
    after = {f"after.{name}": array for name, array in state_dict(model).items()}

    def loss(clip):
        return DeblurUpdates().loss(model, {"lq": clip, "gt": truth}, 0, ())[0]

    value, _, found = gradients(loss, [clip], variables=model.trainable_variables)
    output = channels_first(keras.ops.convert_to_numpy(output))
    named = named_gradients(model, found)
    norms = {name: np.linalg.norm(array.astype(np.float64)) for name, array in named.items()}
    return {
        "loss": value,
        "loss.psnr": psnr,
        "output.sub": output,
        "f15_mean": output.astype(np.float64).mean(axis=(0, 2, 3)),
        "grad_total_norm": np.linalg.norm(list(norms.values())),
        **{f"gradnorm.{name}": norm for name, norm in norms.items()},
        **{f"grad.{name}": array.ravel()[:16] for name, array in named.items()},
        **after,
    }


def _network(case: Case):
    from ascendvsr.models.deblur_devil.dbn import DBN
    from ascendvsr.models.deblur_devil.flowdbn import FlowDBN
    from ascendvsr.weights.mapping import load_state_dict

    options = {"num_frame": case.config["sequence_length"], "init_type": case.config.get("init_type", "fan_max")}
    prewarping = case.config.get("prewarping")
    model = FlowDBN(**options, prewarping=prewarping) if prewarping else DBN(**options)
    if case.kind != "op":
        load_state_dict(model, case.state_dict())
    return model


def initialization(case: Case) -> dict:
    """The deviations that a network's kernels are drawn with, in the case's order of parameters."""
    from ascendvsr.models.flow.flownet1s import FlowNet1S
    from ascendvsr.models.flow.pwcnet_devil import PWCNetDevil
    from ascendvsr.weights.names import named_layers

    flow_networks = {"PWCNet": PWCNetDevil, "FlowNet1S": FlowNet1S}
    make = flow_networks.get(case.config["network"])
    layers = dict(named_layers(make() if make else _network(case)))
    kernels = [layers[name.removesuffix(".weight")] for name in case.extra["parameters_in_order"]]
    for layer in kernels:
        assert layer.bias is None or not np.any(keras.ops.convert_to_numpy(layer.bias))
    return {"std": np.array([_deviation(layer) for layer in kernels])}


def _deviation(layer: keras.Layer) -> float:
    start, shape = layer.kernel_initializer, tuple(layer.kernel.shape)
    if not isinstance(start, keras.initializers.VarianceScaling):
        return start.deviation(shape)
    assert (start.mode, start.distribution) == ("fan_in", "untruncated_normal")
    return (start.scale / np.prod(shape[:3])) ** 0.5


def loss(case: Case) -> dict:
    from ascendcv.metrics.koehler import psnr_searched
    from ascendvsr.models.deblur_devil.training import gray_psnr, half_squared_error

    output, target = (channels_last(case.array(name)) for name in ("output", "target"))
    value, (gradient,), _ = gradients(lambda output: half_squared_error(output, target), [output])
    output, target = keras.ops.convert_to_tensor(output), keras.ops.convert_to_tensor(target)
    return {
        "total_loss": value,
        "psnr_train": keras.ops.convert_to_numpy(gray_psnr(output, target)),
        "psnr_valid": psnr_searched(*map(np.asarray, (keras.ops.clip(output, 0, 1), target)), peak=1.0),
        "grad": channels_first(gradient),
    }


def colorspace(case: Case) -> dict:
    from ascendcv.ops.color import gray, rgb_to_ycbcr, ycbcr_to_rgb

    rgb, perturbed = channels_last(case.frames("rgb")), channels_last(case.array("ycbcr_perturbed"))
    ycbcr = rgb_to_ycbcr(keras.ops.convert_to_tensor(rgb))
    back = ycbcr_to_rgb(keras.ops.convert_to_tensor(perturbed))
    outputs = {
        "ycbcr": ycbcr,
        "rgb_back": ycbcr_to_rgb(ycbcr),
        "rgb_from_perturbed": back,
        "rgb_from_perturbed_clipped": keras.ops.clip(back, 0, 1),
        "gray": gray(keras.ops.convert_to_tensor(rgb)),
    }
    return {name: channels_first(keras.ops.convert_to_numpy(value)) for name, value in outputs.items()}


def augmentation(case: Case) -> dict:
    """Tensors are C H W in 0..1, images H W C uint8, as the source has them."""
    from ascendcv.dataloader import augment, photometric

    image, frame = case.array("image"), case.frames("image")
    outputs = {f"rot{degrees}": np.asarray(augment.rotate(image, degrees // 90)) for degrees in (0, 90, 180, 270)}
    outputs["hflip"] = augment.augment(image, True, False, False)
    outputs["vflip"] = augment.augment(image, False, True, False)
    for name in ("brightness", "contrast", "saturation", "hue"):
        change = getattr(photometric, f"adjust_{name}")
        outputs[name] = channels_first(np.asarray(change(frame, case.config[name])))
    seed = case.config.get("seed", case.config.get("numpy_seed"))
    if seed is None:
        seed = re.search(r"seed (\d+)", case.outputs["multiplicative_factor"])[1]
    factors = np.random.RandomState(int(seed)).uniform(0.5, 2.0, (1, 1, 3)).astype(np.float32)
    colors = photometric.adjust_colors(frame, factors.reshape(3))
    return outputs | {"multiplicative_factor": factors, "multiplicative_color": np.rint(colors * 255.0)}


ADAPTERS = {
    "deblur_devil": {
        "DBN": dbn,
        "FlowDBN": dbn,
        "DBN_train_step": train_step,
        "FlowDBN_train_step": train_step,
        "dbn_loss": loss,
        "init": initialization,
        "colorspace": colorspace,
        "photometric_geometric": augmentation,
    }
}
