"""Optimizers, schedules and the learning-rate range test of the papers' training code."""

import numpy as np

from tests.golden.case import Case


def optimizer(case: Case) -> dict:
    """A vector after each of the given gradients, which RAdam's case clips as torch's `clip_grad_norm_`."""
    import tensorflow as tf

    from ascendcv.runner.schedules import one_cycle

    config, gradients = case.config, case.array("grads")
    steps = len(gradients)
    variable = tf.Variable(case.array("start"))
    made = _optimizer(config, config.get("optimizer", "RAdam"), variable)
    schedules = {"learning_rate": lambda step: config["lr"]}
    if "beta_1" in made.rates:
        schedules["beta_1"] = lambda step: config["betas"][0]
    if cycle := config.get("onecycle"):
        length, rise = cycle["epochs"] * cycle["steps_per_epoch"], cycle.get("pct_start", 0.3)
        schedules["learning_rate"] = one_cycle(config["lr"], cycle["max_lr"], config["lr"] / 1e4, length, rise)
        schedules["beta_1"] = one_cycle(0.95, 0.85, 0.95, length, rise)
    clip = config.get("grad_clip_norm") or np.inf
    vectors, norms, names = [], [], {"learning_rate": "lr", "beta_1": "beta1"}
    for step, gradient in enumerate(gradients):
        for rate, schedule in schedules.items():
            made.rates[rate].assign(schedule(step))
        norms.append(np.linalg.norm(gradient.astype(np.float64)))
        clipped = gradient * np.float32(min(1.0, clip / (norms[-1] + 1e-6)))
        made.apply({0: tf.constant(clipped)}, made.factors(), tf.constant(True))
        vectors.append(variable.numpy())
    return {
        "params": np.array(vectors),
        "grad_norm_f64": np.array(norms),
        **{f"{names[key]}_f64": [rate(step) for step in range(steps)] for key, rate in schedules.items()},
    }


def _optimizer(config: dict, name: str, variable):
    """torch's optimizer `name` with a case's settings and, where it has none, torch's."""
    from ascendcv.runner import optimizers

    decay = config.get("weight_decay") or 0.0
    rules = {
        "Adam": optimizers.ADAM_L2,
        "AdamW": optimizers.ADAMW,
        "RAdam": optimizers.RADAM,
        "SGD": optimizers.MOMENTUM_L2,
    }
    rates = {"learning_rate": config.get("lr", 0.0), "weight_decay": decay}
    if name == "SGD":
        rates["momentum"] = config.get("momentum") or 0.0
    else:
        rates["beta_1"], rates["beta_2"] = config.get("betas", (0.9, 0.999))
        rates["epsilon"] = config.get("eps", 1e-8)
    return optimizers.Optimizer(rules[name], [variable], rates)


def _settings(**changes: object):
    """A configuration's `solver.lr_schedule` with these changes."""
    from ascendvsr.config import load_config

    named = {f"solver.lr_schedule.{key}": value for key, value in changes.items()}
    return load_config(settings=named).solver.lr_schedule


def onecycle(case: Case) -> dict:
    from ascendcv.runner.schedules import make_momentum_schedule, make_schedule

    config, steps = case.config, case.array("step")
    settings = _settings(
        type="OneCycle",
        unit="epochs",
        total_steps=[config["epochs"]],
        base_lr=config["max_lr"] / config["div_factor"],
        **{
            key: config[key] for key in ("max_lr", "pct_start", "final_div_factor", "base_momentum", "max_momentum")
        },
    )
    rate = make_schedule(settings, config["steps_per_epoch"])
    momentum = make_momentum_schedule(settings, config["steps_per_epoch"])
    return {
        "lr_f64": np.array([rate(int(step)) for step in steps]),
        "beta1_f64": np.array([momentum(int(step)) for step in steps]),
    }


def steplr(case: Case) -> dict:
    """The flow network's rate is a fixed part of the other's: its group has a factor."""
    from ascendcv.runner.schedules import make_schedule

    config, steps_per_epoch = case.config, 7
    settings = _settings(
        type="StepLR",
        unit="epochs",
        total_steps=[config["epochs"]],
        base_lr=config["lr"],
        step_size=config["step_size"],
        gamma=config["gamma"],
    )
    schedule = make_schedule(settings, steps_per_epoch)
    # First and last update of each epoch: the rate stays the same between them.
    first, last = (
        np.array([schedule(int(epoch) * steps_per_epoch + offset) for epoch in case.array("epoch")])
        for offset in (0, steps_per_epoch - 1)
    )
    return {"lr_recons_f64": first, "lr_flow_f64": last * (config["flow_lr"] / config["lr"])}


def pvdnet_ca(case: Case) -> dict:
    from ascendcv.runner.schedules import make_schedule

    config = case.config
    settings = _settings(
        type="CA",
        base_lr=config["lr_init"],
        total_steps=config["T_period"],
        restart_weights=[1.0, *config["weights"]],
        min_lr=config["eta_min"],
    )
    schedule = make_schedule(settings)
    return {"lr_f64": np.array([schedule(int(step)) for step in case.array("step")])}


def pvdnet_ld(case: Case) -> dict:
    from ascendcv.runner.schedules import make_schedule

    config = case.config
    settings = _settings(
        type="LD",
        base_lr=config["lr_init"],
        total_steps=[600000],
        milestones=config["decay_period"],
        gamma=config["decay_rate"],
    )
    schedule = make_schedule(settings)
    return {"lr_f64": np.array([schedule(int(step)) for step in case.array("step")])}


def multistep(case: Case) -> dict:
    """The rate of epochs 1 to the last."""
    from ascendcv.runner.schedules import make_schedule

    config, steps_per_epoch = case.config, 3
    settings = _settings(
        type="MultiStep",
        unit="epochs",
        total_steps=[config["total_epochs"]],
        base_lr=config["lr"],
        milestones=config["milestones"],
        gamma=config["gamma"],
    )
    schedule = make_schedule(settings, steps_per_epoch)
    return {"lr": np.array([schedule(epoch * steps_per_epoch) for epoch in range(config["total_epochs"])])}


def lr_finder(case: Case) -> dict:
    """The L1 or squared loss, as `criterion` says, of a linear model without bias."""
    import tensorflow as tf

    from ascendcv.runner.lr_finder import RangeTest, rising_rate, suggestion

    config = case.config
    kind = {"exp": "exponential", "linear": "linear"}[config["step_mode"]]
    schedule = rising_rate(config["start_lr"], config["end_lr"], config["num_iter"], kind)
    test = RangeTest(config["smooth_f"], config["diverge_th"])
    weight = tf.Variable(case.array("w0"))
    made = _optimizer(config, config["optimizer"], weight)
    error = tf.square if "MSE" in config["criterion"] else tf.abs
    for step, (x, y) in enumerate(zip(case.array("x"), case.array("y"), strict=True)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(error(tf.matmul(x, weight, transpose_b=True) - y))
        test.add(schedule(step), float(loss))
        made.rates["learning_rate"].assign(schedule(step))
        made.apply({0: tape.gradient(loss, weight)}, made.factors(), tf.constant(True))
        if test.diverged:
            break
    return {
        "lr_f64": np.array(test.rates),
        "loss_f64": np.array(test.losses),
        "suggested_lr_f64": np.array([suggestion(test.rates, test.losses)]),
    }


def cost_report(case: Case) -> dict:
    """The first frame of a video, for which BIMNet's features are computed twice as in the original."""
    from ascendvsr.config import load_config
    from ascendvsr.deployment.cost import count_macs, count_parameters
    from ascendvsr.models.builder import build_model

    large = {"pvdnet.num_blocks": 24, "pvdnet.channels": 192} if case.config["network"] == "PVDNet_large" else {}
    cfg = load_config(settings={"model.name": "PVDNet", "model.scale": 1} | large)
    model = build_model(cfg)
    _, _, height, width = case.config["input"]
    macs, _ = count_macs(cfg, model, height, width)
    for part, expected in case.config["macs_by_part"].items():
        assert macs.get(part, expected) == expected, f"{part}: {macs[part]} instead of {expected}"
    return {"macs": np.array([sum(macs.values())]), "params": np.array([sum(count_parameters(model).values())])}


ADAPTERS = {
    "cdvd_tsp": {"optimizer": optimizer, "onecycle": onecycle, "steplr": steplr, "lr_finder": lr_finder},
    "pvdnet": {
        "optimizer": optimizer,
        "cosine_restart": pvdnet_ca,
        "lr_decay": pvdnet_ld,
        "cost_report": cost_report,
    },
    "deblur_devil": {"multistep": multistep},
}
