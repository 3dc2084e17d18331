"""Clips made of photographs: what moves how far, what covers what, and that a seed makes a clip."""

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.synthetic_clips import Layer, Motion, Scene, draw_scene, render
from ascendcv.metrics.psnr import psnr

SIZE = (96, 80)  # width, height
MIDDLE = (48.0, 40.0)


@pytest.fixture
def photographs(photograph: np.ndarray) -> list[Image.Image]:
    from skimage import data

    return [Image.fromarray(photograph), Image.fromarray(data.chelsea())]


def view(motion: Motion, **changes: object) -> Layer:
    return Layer(**{"picture": 0, "anchor": (250.0, 200.0), "motion": motion, "zoom": 1.0} | changes)


def assert_same_inside(a: np.ndarray, b: np.ndarray) -> None:
    """Equal but for rounding (of the warp and of the reduction) and for the edges, beyond which nothing is seen."""
    difference = np.abs(a[4:-4, 4:-4].astype(float) - b[4:-4, 4:-4])
    assert difference.mean() < 0.5
    assert difference.max() <= 3


def frames(scene: Scene, photographs: list[Image.Image], times: list[float]) -> list[np.ndarray]:
    return [render(scene, photographs, SIZE, [time]) for time in times]


def test_a_still_camera_at_full_size_shows_the_photograph(photographs: list[Image.Image], photograph: np.ndarray):
    (frame,) = frames(Scene((view(Motion(MIDDLE)),)), photographs, [0.0])
    assert psnr(frame, photograph[160:240, 202:298]) > 40


def test_a_pan_moves_the_picture_by_its_velocity(photographs: list[Image.Image]):
    scene = Scene((view(Motion(MIDDLE, velocity=(5.0, -3.0))),))
    first, second = frames(scene, photographs, [0.0, 1.0])
    assert_same_inside(second[:-3, 5:], first[3:, :-5])


def test_motion_may_be_a_fraction_of_a_pixel(photographs: list[Image.Image]):
    scene = Scene((view(Motion(MIDDLE, velocity=(0.5, 0.0))),))
    still, half, whole = frames(scene, photographs, [0.0, 1.0, 2.0])
    between = (still[:, :-1].astype(float) + still[:, 1:]) / 2
    assert psnr(np.rint(between).astype(np.uint8), half[:, 1:]) > 32
    assert_same_inside(whole[:, 1:], still[:, :-1])


def test_zooming_out_shows_more(photographs: list[Image.Image], photograph: np.ndarray):
    (frame,) = frames(Scene((view(Motion(MIDDLE), zoom=2.0),)), photographs, [0.0])
    shown = Image.fromarray(photograph[120:280, 154:346]).resize(SIZE, Image.Resampling.LANCZOS)
    assert psnr(frame, np.asarray(shown)) > 32


def test_a_quarter_turn_turns_the_picture(photographs: list[Image.Image]):
    square = (64, 64)
    layer = view(Motion((32.0, 32.0)), turn_rate=90.0)
    upright, turned = (render(Scene((layer,)), photographs, square, [time]) for time in (0.0, 1.0))
    assert_same_inside(turned, np.rot90(upright))


def test_what_is_in_front_covers_the_rest_inside_its_outline_and_moves_by_itself(photographs: list[Image.Image]):
    square = np.array([(-10.0, -10.0), (10.0, -10.0), (10.0, 10.0), (-10.0, 10.0)])
    front = view(Motion((30.0, 40.0), velocity=(4.0, 0.0)), picture=1, anchor=(200.0, 150.0), outline=square)
    behind, scene = Scene((view(Motion(MIDDLE)),)), Scene((view(Motion(MIDDLE)), front))
    (background,) = frames(behind, photographs, [0.0])
    first, second = frames(scene, photographs, [0.0, 1.0])
    np.testing.assert_array_equal(first[:, 50:], background[:, 50:])
    np.testing.assert_array_equal(first[:25], background[:25])
    np.testing.assert_allclose(second[33:47, 28:40].astype(int), first[33:47, 24:36], atol=2)
    assert np.abs(first[33:47, 24:36].astype(int) - background[33:47, 24:36]).mean() > 10


def test_an_outline_turns_and_grows_with_what_is_in_it(photographs: list[Image.Image]):
    bar = np.array([(-20.0, -3.0), (20.0, -3.0), (20.0, 3.0), (-20.0, 3.0)])
    black = [photographs[0], Image.new("RGB", (300, 300))]
    front = view(Motion(MIDDLE), picture=1, anchor=(150.0, 150.0), outline=bar, turn_rate=90.0, zoom_rate=-0.2)
    scene = Scene((view(Motion(MIDDLE), anchor=(60.0, 60.0)), front))
    lying, standing = (frame.max(axis=2) < 3 for frame in frames(scene, black, [0.0, 1.0]))
    assert lying[40, 30:66].all()
    assert not lying[20:32, 48].any()
    # Nearer by exp(0.2): 49 pixels tall, more than seven wide.
    assert standing[18:62, 48].all()
    assert standing[40, 46:50].all()
    assert not standing[40, 55:75].any()


def test_an_exposure_is_the_mean_of_its_moments(photographs: list[Image.Image]):
    scene = Scene((view(Motion(MIDDLE, velocity=(8.0, 0.0))),))
    moments = [-0.5, -0.25, 0.0, 0.25, 0.5]
    sharp = np.mean(frames(scene, photographs, moments), axis=0)
    assert_same_inside(render(scene, photographs, SIZE, moments), sharp)


@pytest.mark.parametrize("seed", range(40))
def test_drawn_scenes_leave_no_part_of_the_frame_empty(seed: int):
    """The photographs are white here: what lies beyond their edges would be black."""
    sizes = [(640, 480), (300, 451), (1920, 1280)]
    white = [Image.new("RGB", size, "white") for size in sizes]
    scene = draw_scene(np.random.default_rng(seed), sizes, (160, 160), (-2.5, 2.5))
    for time in (-2.5, -1.3, 0.0, 2.0, 2.5):
        assert render(scene, white, (160, 160), [time]).min() > 250


def test_drawn_speeds_reach_from_less_than_a_pixel_to_the_largest():
    scenes = [draw_scene(np.random.default_rng(seed), [(1920, 1280)], (160, 160), (-2, 2)) for seed in range(200)]
    speeds = np.array([np.hypot(*scene.layers[0].motion.velocity) for scene in scenes])
    moving = speeds[speeds > 0]
    assert len(moving) < len(speeds)  # some cameras stand still
    assert moving.min() < 0.5
    assert 15 < moving.max() <= 20
    assert {len(scene.layers) for scene in scenes} == {1, 2, 3, 4}


def test_a_clip_is_a_function_of_its_seed(photographs: list[Image.Image]):
    sizes = [photograph.size for photograph in photographs]

    def clip(seed: int) -> np.ndarray:
        scene = draw_scene(np.random.default_rng(seed), sizes, SIZE, (-1, 1))
        return np.stack(frames(scene, photographs, [-1.0, 0.0, 1.0]))

    first = clip(5)
    clip(6)
    np.testing.assert_array_equal(first, clip(5))
    assert not np.array_equal(first, clip(6))
