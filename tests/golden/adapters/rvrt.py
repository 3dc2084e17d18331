"""RVRT: the flow network, the guided attention, the whole network, its training step."""

import re

import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradient_summary, gradients, named_gradients
from tests.golden.layout import channels_first, channels_last
from tests.golden.record import recorded


def network(case: Case):
    """The case's RVRT with its weights."""
    from ascendvsr.models.rvrt.network import RVRT
    from ascendvsr.weights.mapping import load_state_dict

    arguments = {name: case.config[name] for name in case.config if name not in _NOT_OF_THE_NETWORK}
    model = RVRT(**arguments)
    load_state_dict(model, case.state_dict())
    return model


# `cpu_cache_length` is where the source keeps features, the others are of its test program.
_NOT_OF_THE_NETWORK = ("cpu_cache_length", "tile", "tile_overlap")


def spynet(case: Case) -> dict:
    """`flow_lL` of return level L."""
    from ascendvsr.models.flow.spynet import SpyNet
    from ascendvsr.weights.mapping import load_state_dict

    model = SpyNet(**case.config)
    load_state_dict(model, case.state_dict())
    frames = tuple(channels_last(case.frames(name)) for name in ("ref", "supp"))
    flows = dict(zip(sorted(model.return_levels), model.levels(frames), strict=True))
    return {f"flow_l{level}": channels_first(_array(flow)) for level, flow in flows.items()}


def guided_deform_attn(case: Case) -> dict:
    from ascendvsr.models.rvrt.guided_attention import GuidedDeformAttn
    from ascendvsr.weights.mapping import load_state_dict

    settings = {name: case.config[name] for name in case.config if not re.search("channels|clip_size", name)}
    layer = GuidedDeformAttn(case.config["in_channels"], **settings)
    q, k, v, *others = (channels_last(case.array(name)) for name in ("q", "k", "v", *_GUIDES))
    layer(q, k, v, others[:2], others[2:])
    load_state_dict(layer, case.state_dict())
    (aligned, flows), calls = recorded(layer, ["conv_offset.10"], q, k, v, others[:2], others[2:])
    return {
        "v_out": channels_first(aligned),
        "flow_n1": channels_first(flows[0]),
        "flow_n2": channels_first(flows[1]),
        "conv_offset_out": np.moveaxis(calls["conv_offset.10"][0], -1, 1),
    }


_GUIDES = ("v_warped1", "v_warped2", "flow1", "flow2")


def rvrt(case: Case) -> dict:
    """`mid_NAME` is a part of an inner tensor, `midstat_NAME` its statistics frame by frame."""
    from ascendvsr.models.rvrt.network import BRANCHES

    model, clip = network(case), _clip(case)
    shallow = "feat_extract" if model.scale == 4 else "feat_extract.6"
    parts = [f"{kind}.{branch}" for kind in ("deform_align", "backbone") for branch in BRANCHES]
    y, calls = recorded(model, ["spynet", shallow, "reconstruction", *parts], clip)

    count = clip.shape[1]
    flows = channels_first(calls["spynet"][0])
    flows = flows.reshape(len(clip), 2 * (count - 1), *flows.shape[1:])
    inner = {
        "flows_forward": flows[:, : count - 1],
        "flows_backward": flows[:, count - 1 :],
        "shallow": channels_first(np.concatenate(calls[shallow], axis=1)),
        "reconstructed": channels_first(np.concatenate(calls["reconstruction"], axis=1)),
    }
    for branch in BRANCHES:
        aligned = [0, *(call[0] for call in calls[f"deform_align.{branch}"])]
        clips = [before + made for before, made in zip(aligned, calls[f"backbone.{branch}"], strict=True)]
        frames = channels_first(np.concatenate(clips, axis=1))
        inner[f"feat_{branch}"] = frames[:, ::-1] if branch.startswith("backward") else frames
    outputs = {f"mid_{name}": tensor for name, tensor in inner.items()}
    outputs |= {f"midstat_{name}": _frame_statistics(tensor) for name, tensor in inner.items()}
    gda, updated = calls["deform_align.backward_1"][0]
    outputs["mid_gda_backward_1"] = channels_first(gda)[:1, :, :4]  # where a case has no view
    for number, flow in enumerate(updated, start=1):
        outputs[f"mid_updated_backward_1_n{number}"] = channels_first(flow)[:1]
    outputs["mid_lqs_flow_input"] = channels_first(_array(model.at_feature_size(clip[..., :3])))[:1, :1]

    y = channels_first(y)
    if "frames 3 and 10" in case.reduce.get("y", ""):  # Vimeo-90K's protocol for mirrored clips
        y = (y[:, 3:4] + y[:, 10:11]) / 2
    return outputs | {"y": y, "y_stats": _statistics(y)}


def _clip(case: Case) -> np.ndarray:
    """Of three channels, or of four where the network is told the noise."""
    return channels_last(case.frames("x_noisy" if "x_noisy" in case.inputs else "x"))


def _array(tensor) -> np.ndarray:
    from keras import ops

    return ops.convert_to_numpy(tensor)


def _statistics(y: np.ndarray) -> np.ndarray:
    """[mean, deviation] x T x C of [N, T, C, H, W], over N, H and W."""
    y = y.astype(np.float64)
    return np.stack([y.mean(axis=(0, 3, 4)), y.std(axis=(0, 3, 4))])


def _frame_statistics(features: np.ndarray) -> np.ndarray:
    """[mean, deviation] x T: those of each channel, averaged over the channels."""
    return _statistics(features).mean(axis=-1)


def train_step(case: Case) -> dict:
    """KAIR's recipe: Charbonnier, mean over everything."""
    from keras import ops

    from ascendvsr.models.rvrt.training import RVRTUpdates

    model = network(case)
    clip, truth = _clip(case), ops.convert_to_tensor(channels_last(case.frames("gt")))

    batch = {"gt": truth}
    if model.in_channels == 4:  # a batch tells the level of each sample, of which the network's input makes a map
        batch["sigma"] = ops.convert_to_tensor(clip[:, 0, 0, 0, 3])
        np.testing.assert_array_equal(clip[..., 3], np.broadcast_to(clip[:, :1, :1, :1, 3], clip.shape[:4]))

    def loss(frames):
        value, _, _ = RVRTUpdates().loss(model, {"lq": frames, **batch}, 0, ())
        return value

    restored = channels_first(_array(model(clip)))
    value, _, found = gradients(loss, [clip[..., :3]], variables=model.trainable_variables)
    return {
        "loss": value,
        "y_stats": _statistics(restored),
        **gradient_summary(case, named_gradients(model, found)),
    }


def schedule(case: Case) -> dict:
    """Of the network, and of SpyNet with its own factor: `lr` at the iterations that `iteration` lists.

    The source advances its schedule before iteration 1, so iteration i has the rate of step i.
    """
    from ascendcv.runner.schedules import cosine_restart

    config, iterations = case.config, case.array("iteration")
    period = config["G_scheduler_periods"]
    count = int(iterations.max()) // period + 1
    schedules = [
        cosine_restart(
            factor * config["G_optimizer_lr"], [period] * count, [1.0] * count, config["G_scheduler_eta_min"]
        )
        for factor in (1.0, config["fix_lr_mul"])
    ]
    return {"lr": np.array([[schedule(int(i)) for schedule in schedules] for i in iterations])}


ADAPTERS = {
    "rvrt": {
        "SpyNet": spynet,
        "GuidedDeformAttnPack": guided_deform_attn,
        "RVRT": rvrt,
        "RVRT_train_step": train_step,
        "cosine_restart": schedule,
    }
}
