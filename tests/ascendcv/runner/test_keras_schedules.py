"""The schedules as objects of Keras give the rates of the functions that they are named after, in `fit` too."""

import keras
import numpy as np
import pytest

from ascendcv import runner
from ascendcv.runner import schedules

CASES = [
    ("CosineRestart", "cosine_restart", (4e-4, (30, 20), (1.0, 0.5), 1e-7), 50),
    ("Cosine", "cosine", (4e-4, 20, 1e-7), 90),
    ("CosineAnnealingRestart", "cosine_annealing_restart", (4e-4, (30, 20), (1.0, 0.5), 1e-7, 5), 51),
    ("MultiStepRestart", "multistep_restart", (2e-4, (10, 20, 20, 40), 0.5, (0, 25), (1.0, 0.5)), 60),
    ("DelayedCosineRestart", "delayed_cosine_restart", (1e-4, (30, 20), (1.0, 0.5), 1e-7), 51),
    ("StepDecay", "step_decay", (1e-4, 7, 0.5), 60),
    ("DelayedDecay", "delayed_decay", (1e-4, (10, 20), 0.25), 40),
    ("OneCycle", "one_cycle", (1e-5, 1e-4, 1e-6, 60, 0.3), 60),
]


@pytest.mark.parametrize(("name", "function", "arguments", "steps"), CASES, ids=[case[0] for case in CASES])
class TestSchedule:
    def test_rates_are_those_of_the_function(self, name, function, arguments, steps):
        expected = getattr(schedules, function)(*arguments)
        schedule = getattr(runner, name)(*arguments)
        for step in range(steps):
            assert float(schedule(step)) == pytest.approx(expected(step), rel=2e-6)

    def test_is_saved_with_its_optimizer(self, name, function, arguments, steps):
        schedule = getattr(runner, name)(*arguments)
        optimizer = keras.optimizers.Adam(schedule)
        again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert float(again._learning_rate(steps // 2)) == float(schedule(steps // 2))
        assert again._learning_rate.get_config() == schedule.get_config()


def test_keeps_the_last_rate():
    assert float(runner.OneCycle(1e-5, 1e-4, 1e-6, 60, 0.3)(1000)) == pytest.approx(1e-6)


def test_in_fit():
    """Plain gradient descent of y = w x for x = 1 and the truth 0 multiplies w by 1 - 2 rate in each step."""
    schedule = runner.StepDecay(0.1, 2, 0.5)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(schedule), "mse")
    model.fit(np.ones((4, 1)), np.zeros((4, 1)), batch_size=1, shuffle=False, verbose=0)
    assert float(model.layers[0].kernel[0, 0]) == pytest.approx(0.8 * 0.8 * 0.9 * 0.9, rel=1e-5)
