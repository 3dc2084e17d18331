"""Learning-rate schedules against the vectors of the originals, and what a configuration makes of them."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ascendcv.runner.schedules import (
    cosine,
    cosine_annealing_restart,
    cosine_restart,
    make_schedule,
    multistep_restart,
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
    }
    return SimpleNamespace(**(defaults | changes))


def test_a_configuration_names_its_schedule():
    assert make_schedule(settings())(4) == pytest.approx(0.5e-3)
    assert make_schedule(settings(type="Cosine"))(4) == pytest.approx(1e-5)
    assert make_schedule(settings(type="CosineAnnealingRestart"))(4) == pytest.approx(1e-5)
    multistep = make_schedule(settings(type="MultiStepRestart"))
    np.testing.assert_allclose(values(multistep, [1, 2, 4]), [1e-3, 1e-4, 0.5e-3])


def test_total_steps_is_the_sum_of_the_periods_but_the_first_of_a_cosine():
    assert total_steps(settings()) == 10
    assert total_steps(settings(type="Cosine")) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_steps": []}, "total_steps should list steps above 0"),
        ({"total_steps": [5, 0]}, "total_steps should list steps above 0"),
        ({"restart_weights": [1.0]}, "should be equally long"),
        ({"base_lr": 0.0}, "base_lr should be above 0"),
        ({"warmup_steps": 3}, "warmup_steps needs the type CosineAnnealingRestart"),
        ({"type": "Exponential"}, "'Exponential' is not known"),
    ],
)
def test_impossible_settings_are_named(changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        make_schedule(settings(**changes))
