"""The example of training through PyTorch does what TensorFlow's step does."""

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.support import PROJECT, TINY_EDVR

EXAMPLE = PROJECT / "examples/train_step_torch.py"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="trains with PyTorch: pip install torch")
def test_its_losses_are_those_of_the_trainer_s_optimizer_on_tensorflow(tiny_edvr_checkpoint):
    command = [sys.executable, str(EXAMPLE), "--checkpoint", str(tiny_edvr_checkpoint), "--steps", "4"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    line = r"^Step:(\d), loss:(\d\.\d{8}), weights with a gradient: (\d+) of \3$"
    found = re.findall(line, done.stdout, re.MULTILINE)
    assert [step for step, _, _ in found] == ["1", "2", "3", "4"]
    assert [float(loss) for _, loss, _ in found] == pytest.approx(by_tensorflow(tiny_edvr_checkpoint, 4), rel=1e-4)


def by_tensorflow(checkpoint, steps: int) -> list[float]:
    """The same steps by this project's trainer's parts."""
    import tensorflow as tf

    from ascendcv.losses.charbonnier import charbonnier
    from ascendcv.runner.optimizers import ADAM, Optimizer
    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.weights import load_weights

    spec = importlib.util.spec_from_file_location("train_step_torch", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    clip, truth = map(tf.constant, module.example())
    assert np.ptp(clip) > 0.5
    model = build_model(load_config(settings=TINY_EDVR))
    load_weights(model, checkpoint)
    variables = [variable.value for variable in model.trainable_variables]
    optimizer = Optimizer(ADAM, variables, {"learning_rate": 4e-4, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-8})
    losses = []
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = charbonnier(model(clip, training=True), truth, eps=1e-12, reduction="mean")
        losses.append(float(loss))
        gradients = dict(enumerate(tape.gradient(loss, variables)))
        optimizer.apply(gradients, optimizer.factors(), tf.constant(True))
    return losses
