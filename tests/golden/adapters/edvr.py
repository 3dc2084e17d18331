"""EDVR: the network, its losses, schedules, window ends and metrics."""

import re
from functools import partial

import numpy as np

from tests.golden.adapters.common import cosine_annealing_restart, window_indices
from tests.golden.case import Case
from tests.golden.gradients import gradient_summary, gradients, named_gradients
from tests.golden.layout import channel_statistics, channels_first, channels_last
from tests.golden.record import recorded


def _network(case: Case):
    from ascendvsr.models.edvr.network import EDVR
    from ascendvsr.weights.mapping import load_state_dict

    model = EDVR(**case.config)
    load_state_dict(model, case.state_dict())
    return model


def edvr(case: Case) -> dict:
    """`mid_NAME` is what the module that the case's text names returned first, `midstat_NAME` its statistics."""
    modules = {
        name: found[1]
        for name, text in case.outputs.items()
        if (found := re.match(r"output of module (\S+)", text))
    }
    y, calls = recorded(_network(case), modules.values(), channels_last(case.frames("x")))
    y = channels_first(y)
    outputs = {"y": y, "y_stats": channel_statistics(y)}
    for name, module in modules.items():
        first = channels_first(calls[module][0])
        outputs |= {name: first, name.replace("mid_", "midstat_", 1): channel_statistics(first)}
    return outputs


def train_step(case: Case) -> dict:
    """BasicSR's recipe: Charbonnier, summed over everything."""
    from keras import ops

    from ascendvsr.models.edvr.training import EDVRUpdates

    model = _network(case)
    clip, truth = channels_last(case.frames("x")), ops.convert_to_tensor(channels_last(case.frames("gt")))
    updates = EDVRUpdates("charbonnier", "sum", 1e-12)

    def loss(clip):
        return updates.loss(model, {"lq": clip, "gt": truth}, 0, ())[0]

    y, _ = recorded(model, [], clip)
    value, _, found = gradients(loss, [clip], variables=model.trainable_variables)
    return {
        "loss": value,
        "y_stats": channel_statistics(channels_first(y)),
        **gradient_summary(case, named_gradients(model, found)),
    }


def loss(case: Case) -> dict:
    """Arrays `loss_X` and `grad_X`, X = `charbonnier_sum_1e-12`, `l1_mean`, `hw_l2_mean`, ...

    'hw' is the TensorFlow release: its 'mean' is over the batch only.
    """
    pred, truth = channels_last(case.array("pred")), channels_last(case.frames("gt"))
    outputs = {}
    for definition in {name.partition("_")[2] for name in case.outputs}:
        function = partial(_loss_function(definition, case.config), target=truth)
        value, (gradient,), _ = gradients(function, [pred])
        outputs |= {f"loss_{definition}": value, f"grad_{definition}": channels_first(gradient)}
    return outputs


def _loss_function(definition: str, config: dict):
    from ascendcv.losses.charbonnier import charbonnier
    from ascendcv.losses.l1 import l1
    from ascendcv.losses.l2 import l2
    from ascendcv.losses.marginal_l1 import marginal_l1

    release, kind, reduction, eps = re.fullmatch(
        r"(hw_)?(charbonnier|l1|l2|marginal_l1)_(mean|sum)(?:_(.+))?", definition
    ).groups()
    if release and reduction == "mean":
        reduction = "batchmean"
    if kind == "charbonnier":
        function = partial(charbonnier, eps=float(eps or config["hw_loss_margin"]))
    elif kind == "marginal_l1":
        function = partial(marginal_l1, margin=config["hw_marginal_margin"])
    else:
        function = {"l1": l1, "l2": l2}[kind]
    return partial(function, reduction=reduction)


def metric(case: Case) -> dict:
    """One value an image: `basicsr_psnr_crop8_y`, `kair_ssim`, `kair_psnr_y`, `huawei_psnr`, ...

    BasicSR and KAIR round to 8 bit first, the TensorFlow release ('huawei') does not.
    """
    from ascendcv.metrics.psnr import psnr
    from ascendcv.metrics.ssim import ssim
    from ascendcv.utils.color import luma

    truth = np.moveaxis(case.array("gt"), 1, -1)
    exact = np.clip(np.moveaxis(case.array("pred"), 1, -1) * np.float32(255), 0, 255)
    outputs = {}
    for name in case.outputs:
        source, kind, border, channels = re.fullmatch(
            r"(basicsr|kair|huawei)_(psnr|ssim)(?:_crop(\d+))?(?:_(rgb|y))?", name
        ).groups()
        pairs = zip(exact if source == "huawei" else np.rint(exact), truth, strict=True)
        if channels == "y":
            pairs = ((luma(a), luma(b)) for a, b in pairs)
        measure = partial({"psnr": psnr, "ssim": ssim}[kind], crop_border=int(border or 0))
        outputs[name] = np.array([measure(a, b) for a, b in pairs])
    return outputs


def release_schedule(case: Case) -> dict:
    """The TensorFlow release's schedules: call k, counted from 1, gives the rate of step k - 1."""
    from ascendcv.runner.schedules import cosine, cosine_restart

    config = case.config
    if config["type"] == "Cosine":
        schedule = cosine(config["base_lr"], config["total_steps"][0], config["min_lr"])
    else:
        schedule = cosine_restart(
            config["base_lr"], config["total_steps"], config["restart_weights"], config["min_lr"]
        )
    return {"lr": np.array([schedule(int(call) - 1) for call in case.array("call")])}


ADAPTERS = {
    "edvr": {
        "EDVR": edvr,
        "EDVR_train_step": train_step,
        "cosine_restart": cosine_annealing_restart,
        "edvr_loss": loss,
        "edvr_metric": metric,
        "tf_release_schedule": release_schedule,
        "window_indices": window_indices,
    }
}
