"""PVDNet and BIMNet: networks, operations, both stages of training."""

import keras
import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradient_summary, gradients, named_gradients
from tests.golden.layout import channels_first, channels_last
from tests.golden.record import recorded

_PREFIX = "module."
_LEVELS = (2, 3, 4, 5, 6)
# network of the original: what makes it here
_NETWORKS = {"PVDNet": {}, "PVDNet_large": {"num_blocks": 24, "channels": 192}}


def _network(case: Case):
    """With frames cropped to multiples of 4, as the source does it before anything else."""
    from ascendvsr.models.pvdnet.network import PVDNet
    from ascendvsr.weights.mapping import load_state_dict

    model = PVDNet(**_NETWORKS[case.config["network"]], pv_ksize=case.config.get("PV_ksize", 5), size="crop")
    load_state_dict(model, {name.removeprefix(_PREFIX): array for name, array in case.state_dict().items()})
    return model


def bimnet(case: Case) -> dict:
    from ascendvsr.models.flow.liteflownet import LiteFlowNet
    from ascendvsr.weights.mapping import load_state_dict

    model = LiteFlowNet()
    load_state_dict(model, case.state_dict())
    frames = channels_last(case.frames("frames"))
    stages = {"matching": "moduleMatching", "subpixel": "moduleSubpixel", "regular": "moduleRegularization"}
    layers = {f"{stage}{level}": f"{name}.{level - 2}" for stage, name in stages.items() for level in _LEVELS}
    names = [*layers.values(), "moduleFeatures"]
    _, calls = recorded(model, names, (frames[:, 0], frames[:, 1]))
    outputs = {output: channels_first(calls[name][0]) for output, name in layers.items()}
    finest, *_, coarsest = calls["moduleFeatures"][0]
    return outputs | {
        "flow": 20 * outputs["regular2"],
        "feat_level2_first": channels_first(finest[: len(frames)]),
        "feat_level6_first": channels_first(coarsest[: len(frames)]),
    }


def regularization(case: Case) -> dict:
    from ascendvsr.models.flow.liteflow_blocks import Regularization
    from ascendvsr.weights.mapping import load_state_dict

    level = case.config["intLevel"]
    layer, prefix = Regularization(level), f"moduleRegularization.{level - 2}."
    inputs = [channels_last(case.array(name)) for name in ("first", "second", "feat_first", "flow")]
    layer(*inputs)
    load_state_dict(layer, {name.removeprefix(prefix): array for name, array in case.state_dict().items()})
    flow, calls = recorded(layer, ["moduleDist"], *inputs)
    return {"flow_out": channels_first(flow), "dist": channels_first(calls["moduleDist"][0])}


def pvdnet(case: Case) -> dict:
    """A video; what `recorded` saw of the steps is in their order, for BIMNet's flow at half the size.

    `NAME_mean` and `NAME_std` are over the pixels of each channel.
    """
    clip = channels_last(case.frames("frames"))
    names = ["BIMNet.moduleRegularization.0", "PVDNet:0", "PVDNet.temp", "PVDNet.d1"]
    restored, calls = recorded(_network(case), names, clip)
    flows, volumes, encoded, d1 = (
        np.stack([channels_first(step) for step in calls[name]], axis=1) for name in names
    )
    outputs = {
        "result": 2 * channels_first(restored) - 1,
        "flow_half": 20 * flows,
        "pv": volumes,
        "pv_frame1": volumes[:, 1],
        "temp_frame1": encoded[:, 1, ::16],
        "d1_frame1": d1[:, 1],
    }
    for name in list(outputs):
        outputs[f"{name}_mean"] = outputs[name].mean(axis=(-2, -1), dtype=np.float64)
        outputs[f"{name}_std"] = outputs[name].std(axis=(-2, -1), dtype=np.float64)
    return outputs


def pixel_volume(case: Case) -> dict:
    from ascendcv.ops.pixel_volume import pixel_volume

    flow = channels_last(case.array("flow"))
    volume, (by_previous, by_current), _ = gradients(
        lambda previous, current: pixel_volume(previous, flow, current, case.config["ksize"]),
        [channels_last(case.array("img")), channels_last(case.array("pad"))],
        channels_last(case.array("upstream")),
    )
    return {
        "volume": channels_first(volume),
        "grad_img": channels_first(by_previous),
        "grad_pad": channels_first(by_current),
    }


def unfold_dist(case: Case) -> dict:
    from keras import ops

    from ascendvsr.models.flow.liteflow_blocks import neighbor_weights, neighbors, without_mean

    flow, distance = (ops.convert_to_tensor(channels_last(case.array(name))) for name in ("flow", "dist"))
    weights, total = neighbor_weights(distance)
    outputs = {
        "unfolded_x": neighbors(flow[..., :1], case.config["intUnfold"]),
        "weights": weights / total,
        "flow_minus_mean": without_mean(flow),
    }
    return {name: channels_first(ops.convert_to_numpy(tensor)) for name, tensor in outputs.items()}


def warp(case: Case) -> dict:
    from ascendcv.ops.warp import warp

    arrays = [channels_last(case.array(name)) for name in ("input", "flow", "upstream")]
    warped, found, _ = gradients(warp, arrays[:2], arrays[2])
    by_input, by_flow = map(channels_first, found)
    return {"out": channels_first(warped), "grad_input": by_input, "grad_flow": by_flow}


def _cropped(case: Case, name: str) -> np.ndarray:
    """A clip [N, T, H, W, 3] as the source trains with it."""
    clip = channels_last(case.frames(name))
    height, width = (length - length % 4 for length in clip.shape[2:4])
    return clip[:, :, :height, :width]


def train_step_stage1(case: Case) -> dict:
    """The blur-invariant loss of BIMNet, and the loss of PVDNet that the original adds to it."""
    from keras import ops

    from ascendvsr.models.flow import bimnet_training as bimnet
    from ascendvsr.models.pvdnet import training as pvdnet

    model = _network(case)
    blurred, sharp = (ops.convert_to_tensor(_cropped(case, name)) for name in ("blur", "gt"))
    pairs = tuple(blurred[:, t] for t in (0, 1)), tuple(sharp[:, t] for t in (0, 1))
    updates = pvdnet.PVDNetUpdates(blurred.shape[1])
    batch = {"lq": blurred, "gt": sharp}

    def losses():
        parts = bimnet.warping_errors(*bimnet.warped_sharp(model.BIMNet, *pairs), pairs[1][1])
        image, _, _ = updates.loss(model, batch, 0, updates.start(model, batch))
        flow = sum(parts) / len(parts)
        return ops.stack([*parts, flow, image, flow + image])

    names = ["loss_flow", "loss_image", "loss_total"]
    total = np.eye(7, dtype=keras.config.floatx())[-1]
    values, _, found = gradients(losses, [], total, model.trainable_variables)
    named = {f"{_PREFIX}{name}": array for name, array in named_gradients(model, found).items()}
    summary = gradient_summary(case, named)
    warped, inside = bimnet.warped_sharp(_network(case).BIMNet, *pairs)
    halved = {f"warped_{kinds}": frame for kinds, frame in zip(bimnet.COMBINATIONS, warped, strict=True)}
    halved |= {f"mask_{kinds}": mask for kinds, mask in zip(bimnet.COMBINATIONS, inside, strict=True)}
    return {
        "loss_bim": values[:4],
        **{name: values[4 + index : 5 + index] for index, name in enumerate(names)},
        **summary,
        "total_grad_norm": summary["grad_l2_total"][None],
        **{name: channels_first(ops.convert_to_numpy(tensor))[..., ::2, ::2] for name, tensor in halved.items()},
    }


def train_step_stage2(case: Case) -> dict:
    """One update per frame, by RAdam on gradients that are clipped. The optimizer computes in float32 always."""
    import tensorflow as tf
    from keras import ops

    from ascendcv.runner.optimizers import RADAM, Optimizer
    from ascendvsr.models.pvdnet.training import PVDNetUpdates
    from ascendvsr.weights.mapping import state_dict

    config = case.config
    model = _network(case)
    model.BIMNet.trainable = False
    beta_1, beta_2 = config["betas"]
    rates = {"learning_rate": config["lr"], "beta_1": beta_1, "beta_2": beta_2, "epsilon": config["eps"]}
    variables = [
        tf.Variable(ops.convert_to_numpy(variable), dtype="float32") for variable in model.trainable_variables
    ]
    optimizer = Optimizer(RADAM, variables, rates | {"weight_decay": config["weight_decay"]})

    batch = {name: ops.convert_to_tensor(_cropped(case, source)) for name, source in (("lq", "blur"), ("gt", "gt"))}
    updates = PVDNetUpdates(batch["lq"].shape[1])
    start = _end(state_dict(model))
    state, results, rows = updates.start(model, batch), {}, []
    for step in range(config["steps"]):
        loss, _, found = gradients(
            lambda step=step, state=state: updates.loss(model, batch, step, state)[0],
            [],
            variables=model.trainable_variables,
        )
        _, _, state = updates.loss(model, batch, step, state)
        state = {name: ops.stop_gradient(tensor) for name, tensor in state.items()}
        norm = np.linalg.norm([np.linalg.norm(gradient.astype(np.float64)) for gradient in found])
        factor = np.float32(min(1.0, (config["grad_clip_norm"] or np.inf) / (norm + 1e-6)))
        clipped = {index: tf.constant(gradient * factor, "float32") for index, gradient in enumerate(found)}
        if step == 0:
            before = model.get_weights()
            named = {f"{_PREFIX}{name}": array for name, array in named_gradients(model, found).items()}
            results = gradient_summary(case, named)
            model.set_weights(before)
        optimizer.apply(clipped, optimizer.factors(), tf.constant(True))
        for variable, value in zip(model.trainable_variables, variables, strict=True):
            variable.assign(value.numpy())
        rows.append((loss, norm, (_end(state_dict(model)) - start) / config["lr"]))
    losses, norms, moved = map(np.array, zip(*rows, strict=True))
    last = channels_first(ops.convert_to_numpy(state["restored"]))
    return results | {"loss": losses, "total_grad_norm": norms, "update_over_lr": moved, "result_last": last}


def _end(weights: dict[str, np.ndarray]) -> np.ndarray:
    """The bias of the last convolution and the first 13 values of its weight, [16]."""
    return np.concatenate([weights["PVDNet.end.bias"], weights["PVDNet.end.weight"].ravel()[:13]])


ADAPTERS = {
    "pvdnet": {
        "BIMNet": bimnet,
        "PVDNet": pvdnet,
        "PVDNet_train_step_stage1": train_step_stage1,
        "PVDNet_train_step_stage2": train_step_stage2,
        "Regularization": regularization,
        "pixel_volume": pixel_volume,
        "unfold_dist": unfold_dist,
        "warp": warp,
    }
}
