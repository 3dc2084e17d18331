"""Learning-rate schedules against the vectors of the originals, and what a configuration makes of them."""

from types import SimpleNamespace

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.runner.schedules import (
    cosine,
    cosine_annealing_restart,
    cosine_restart,
    make_momentum_schedule,
    make_schedule,
    multistep_restart,
    one_cycle,
    total_steps,
)
from ascendcv.utils.errors import InputError
from tests.support import PROJECT

VECTORS = PROJECT / "tests/golden/vectors"


def vectors(case: str) -> dict[str, np.ndarray]:
    with np.load(VECTORS / f"{case}.npz") as arrays:
        return dict(arrays)


def values(schedule, steps) -> np.ndarray:
    return np.array([schedule(int(step)) for step in steps])


def test_cosine_restart_is_that_of_the_tensorflow_release():
    case = vectors("edvr/schedule_huawei")
    schedule = cosine_restart(4e-4, [150000] * 4, [1, 0.5, 0.5, 0.5], 1e-7)
    np.testing.assert_allclose(values(schedule, case["call"] - 1), case["lr"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("case", "arguments"),
    [
        ("edvr/schedule_edvr_wotsa", (4e-4, [150000] * 4, [1, 1, 1, 1], 1e-7)),
        (
            "common/cosine_restart_edvr_l",
            (4e-4, [50000, 100000, 150000, 150000, 150000], [1, 0.5, 0.5, 0.5, 0.5], 1e-7),
        ),
        ("common/cosine_restart_small", (1e-3, [10, 20, 15], [1, 0.5, 0.25], 1e-5)),
        ("common/cosine_warmup", (2e-4, [40, 60], [1, 0.5], 1e-7, 12)),
    ],
)
def test_cosine_annealing_restart_is_that_of_basicsr(case: str, arguments: tuple):
    expected = vectors(case)
    found = values(cosine_annealing_restart(*arguments), expected["iteration"] - 1)
    np.testing.assert_allclose(found, expected["lr"], rtol=0, atol=1e-12)


def test_multistep_restart_is_that_of_basicsr():
    expected = vectors("common/multistep_restart")["lr"]
    schedule = multistep_restart(1e-3, [10, 20, 30, 45], 0.5, [0, 25], [1, 0.5])
    np.testing.assert_allclose(values(schedule, range(60)), expected, rtol=0, atol=1e-12)


def test_a_milestone_counts_as_often_as_it_is_listed_and_not_at_a_restart():
    schedule = multistep_restart(1.0, [3, 5, 5], 0.1, [0, 3], [1.0, 2.0])
    np.testing.assert_allclose(values(schedule, [2, 3, 4, 5]), [1.0, 2.0, 2.0, 0.02])


@pytest.mark.parametrize(
    ("schedule", "last"),
    [
        (cosine_restart(1.0, [3, 4], [1, 1], 0.1), 6),
        (cosine_annealing_restart(1.0, [3, 4], [1, 1], 0.1), 7),
    ],
)
def test_restarting_schedules_end_with_their_last_period(schedule, last: int):
    assert schedule(last) > 0
    with pytest.raises(ValueError, match="past the schedule's last period"):
        schedule(last + 1)


def test_cosine_swings_on_after_its_period():
    schedule = cosine(1.0, 10, 0.5)
    np.testing.assert_allclose(values(schedule, [0, 5, 10, 20]), [1.0, 0.75, 0.5, 1.0])


@given(
    periods=st.lists(st.integers(1, 50), min_size=1, max_size=4),
    weight=st.floats(0.1, 1.0),
    data=st.data(),
)
def test_rates_stay_between_the_floor_and_the_weighted_base(periods, weight, data):
    step = data.draw(st.integers(0, sum(periods) - 1))
    weights = [weight] * len(periods)
    assert weight * 1e-5 * (1 - 1e-9) <= cosine_restart(1e-3, periods, weights, 1e-5)(step) <= weight * 1e-3
    assert 1e-5 <= cosine_annealing_restart(1e-3, periods, weights, 1e-5)(step) <= 1e-3


def settings(**changes: object) -> SimpleNamespace:
    defaults = {
        "type": "CosineRestart",
        "base_lr": 1e-3,
        "total_steps": [4, 6],
        "restart_weights": [1.0, 0.5],
        "min_lr": 1e-5,
        "warmup_steps": 0,
        "milestones": [2],
        "gamma": 0.1,
        "step_size": 2,
        "unit": "steps",
        "max_lr": 4e-3,
        "pct_start": 0.3,
        "final_div_factor": 1e4,
        "base_momentum": 0.85,
        "max_momentum": 0.95,
    }
    return SimpleNamespace(**(defaults | changes))


def test_a_configuration_names_its_schedule():
    assert make_schedule(settings())(4) == pytest.approx(0.5e-3)
    assert make_schedule(settings(type="Cosine"))(4) == pytest.approx(1e-5)
    assert make_schedule(settings(type="CosineAnnealingRestart"))(4) == pytest.approx(1e-5)
    multistep = make_schedule(settings(type="MultiStepRestart"))
    np.testing.assert_allclose(values(multistep, [1, 2, 4]), [1e-3, 1e-4, 0.5e-3])
    one = {"total_steps": [10]}
    np.testing.assert_allclose(values(make_schedule(settings(type="MultiStep", **one)), [1, 2]), [1e-3, 1e-4])
    np.testing.assert_allclose(values(make_schedule(settings(type="StepLR", **one)), [1, 2, 4]), [1e-3, 1e-4, 1e-5])
    np.testing.assert_allclose(values(make_schedule(settings(type="LD", **one)), [2, 3]), [1e-3, 1e-4])
    np.testing.assert_allclose(values(make_schedule(settings(type="CA")), [0, 4, 5]), [1e-3, 1e-5, 0.5e-3])
    np.testing.assert_allclose(
        values(make_schedule(settings(type="OneCycle", **one)), [0, 2, 9]), [1e-3, 4e-3, 1e-7]
    )


def test_epochs_are_a_unit():
    """Everything that counts steps counts epochs instead."""
    epochs = settings(type="MultiStep", unit="epochs", total_steps=[10])
    np.testing.assert_allclose(values(make_schedule(epochs, 7), [13, 14]), [1e-3, 1e-4])
    assert total_steps(epochs, 7) == 70
    warm = settings(type="CosineAnnealingRestart", unit="epochs", warmup_steps=2)
    np.testing.assert_allclose(values(make_schedule(warm, 5), [0, 4]), [1e-4, 5e-4])


@pytest.mark.needs("torch")
@hypothesis.settings(deadline=None, max_examples=30)
@given(steps=st.integers(4, 60), pct_start=st.floats(0.05, 0.95))
def test_one_cycle_is_that_of_pytorch(steps: int, pct_start: float):
    import torch

    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    hypothesis.assume(abs(pct_start * steps - 1) > 1e-6)  # where PyTorch divides by zero
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 5e-5, total_steps=steps, pct_start=pct_start, div_factor=6.25, final_div_factor=1e4
    )
    changes = {"base_lr": 8e-6, "max_lr": 5e-5, "total_steps": [steps], "pct_start": pct_start}
    rate = make_schedule(settings(type="OneCycle", **changes))
    momentum = make_momentum_schedule(settings(type="OneCycle", **changes))
    for step in range(steps):
        group = optimizer.param_groups[0]
        assert rate(step) == pytest.approx(group["lr"], rel=1e-9)
        assert momentum(step) == pytest.approx(group["betas"][0], rel=1e-9)
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    with pytest.raises(ValueError, match="past the end of the cycle"):
        rate(steps)


def test_only_one_cycle_moves_the_momentum():
    assert make_momentum_schedule(settings()) is None
    momentum = make_momentum_schedule(settings(type="OneCycle", total_steps=[10]))
    np.testing.assert_allclose(values(momentum, [0, 2, 9]), [0.95, 0.85, 0.95])


def test_a_cycle_whose_rise_is_shorter_than_a_step_begins_at_its_top():
    assert one_cycle(1.0, 5.0, 0.1, 3, 0.1)(0) < 5.0
    assert one_cycle(1.0, 5.0, 0.1, 4, 0.25)(0) == 5.0


def test_total_steps_is_the_sum_of_the_periods_but_the_first_of_a_cosine():
    assert total_steps(settings()) == 10
    assert total_steps(settings(type="Cosine")) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_steps": []}, "`total_steps` should list steps above 0"),
        ({"total_steps": [5, 0]}, "`total_steps` should list steps above 0"),
        ({"restart_weights": [1.0]}, "should be equally long"),
        ({"base_lr": 0.0}, "`base_lr` should be above 0"),
        ({"warmup_steps": 3}, "`warmup_steps` needs the type CosineAnnealingRestart"),
        ({"type": "Exponential"}, "'Exponential' is not known"),
        ({"unit": "hours"}, "`unit` should be steps or epochs"),
        ({"type": "StepLR"}, "StepLR has one period"),
        ({"type": "StepLR", "total_steps": [9], "step_size": 0}, "`step_size` should be above 0"),
        ({"type": "OneCycle", "total_steps": [9], "max_lr": 1e-4}, "`max_lr` 0.0001 is below `base_lr` 0.001"),
        ({"type": "OneCycle", "total_steps": [9], "pct_start": 1.0}, "`pct_start` should be between 0 and 1"),
        ({"type": "OneCycle", "total_steps": [9], "final_div_factor": 0.0}, "`final_div_factor` should be above 0"),
        (
            {"type": "OneCycle", "total_steps": [9], "base_momentum": 0.99},
            "`base_momentum` 0.99 and `max_momentum`",
        ),
    ],
)
def test_impossible_settings_are_named(changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        make_schedule(settings(**changes))
