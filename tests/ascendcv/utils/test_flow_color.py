"""Optical flow in colors."""

import numpy as np
import pytest

from ascendcv.utils.flow_color import flow_to_color


def color_of(x: float, y: float, max_flow: float = 1.0) -> tuple[int, ...]:
    return tuple(flow_to_color(np.array([[[x, y]]]), max_flow)[0, 0].tolist())


def test_no_motion_is_white():
    assert color_of(0, 0) == (255, 255, 255)


@pytest.mark.parametrize(
    ("direction", "strongest"), [((1, 0), "red"), ((-1, 0), "green and blue"), ((0, -1), "blue")]
)
def test_hue_is_direction(direction, strongest):
    red, green, blue = color_of(*direction)
    assert {
        "red": red > max(green, blue) + 100,
        "green and blue": min(green, blue) > red + 100,
        "blue": blue > max(red, green) + 50,
    }[strongest]


def test_saturation_is_speed():
    slow, fast = color_of(0.2, 0), color_of(0.9, 0)
    assert min(slow[0], fast[0]) >= 254
    assert slow[1] > fast[1] + 100


def test_motion_beyond_the_limit_is_darker():
    assert max(color_of(3, 0)) < 0.8 * max(color_of(1, 0))


def test_the_longest_motion_is_the_limit_unless_one_is_given():
    flow = np.array([[[2.0, 0.0], [1.0, 0.0]]])
    np.testing.assert_array_equal(flow_to_color(flow), flow_to_color(flow, 2.0))
    assert (flow_to_color(flow) != flow_to_color(flow, 4.0)).any()


def test_unknown_flow_is_black_and_does_not_count():
    flow = np.array([[[np.nan, 0.0], [1.0, 0.0], [np.inf, 1.0]]])
    colors = flow_to_color(flow)
    np.testing.assert_array_equal(colors[0, [0, 2]], 0)
    np.testing.assert_array_equal(colors[0, 1], flow_to_color(flow[:, 1:2])[0, 0])


def test_a_flow_without_pixels_has_no_colors():
    assert flow_to_color(np.zeros((0, 4, 2))).shape == (0, 4, 3)
