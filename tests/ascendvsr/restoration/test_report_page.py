"""The report in a real browser: the slider moves by mouse, finger and keys, both pictures zoom together."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendvsr.restoration.report import Report
from tests.browser import Browser

pytestmark = pytest.mark.needs("chromium")

SIZE = 256  # of the frames
NAMES = ["first", "<i>second</i>", "third"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def frames(photograph: np.ndarray) -> list[dict[str, np.ndarray]]:
    """The input is the negative of the restored frame: no one takes them for each other."""
    crops = [photograph[top : top + SIZE, 128 : 128 + SIZE] for top in (0, 100, 200)]
    return [{"before": 255 - crop, "after": crop, "truth": crop[:, ::-1]} for crop in crops]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, frames: list[dict[str, np.ndarray]]) -> Path:
    report = Report()
    for name, images in zip(NAMES, frames, strict=True):
        report.add(name, images["before"], images["after"], images["truth"])
    path = tmp_path_factory.mktemp("report") / "clip_restored.html"
    report.write(path, {"Network": "EDVR-M", "Computing": "3.1 frames/s"})
    return path


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Browser]:
    """The report on a desk's screen; whatever a test did, the page must not have complained or loaded anything."""
    browser.emulate(width=1000, height=1000)
    browser.requests.clear()
    browser.problems.clear()
    browser.open(path)
    browser.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    yield browser
    assert browser.problems == []
    assert {address.split(":")[0] for address in browser.requests} <= {"file", "data"}
    assert sum(address.startswith("file:") for address in browser.requests) == 1


def box(page: Browser, selector: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of an element, in the window."""
    return tuple(
        page.evaluate(
            f"(({{x, y, width, height}}) => [x, y, width, height])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
    )


def center(page: Browser, selector: str) -> tuple[float, float]:
    left, top, width, height = box(page, selector)
    return left + width / 2, top + height / 2


def at_stage(page: Browser, x: float, y: float) -> tuple[float, float]:
    """A point of the stage, by parts of its size."""
    left, top, width, height = box(page, "#stage")
    return left + x * width, top + y * height


def click(page: Browser, selector: str) -> None:
    page.evaluate(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
    point = center(page, selector)
    page.drag(point, point, steps=1)


def divider(page: Browser) -> int:
    return int(page.evaluate("document.querySelector('#divider').ariaValueNow"))


def text(page: Browser, selector: str) -> str:
    return page.evaluate(f"document.querySelector({selector!r}).textContent")


def shown(page: Browser, side: str) -> np.ndarray:
    """The pixels of the screen where the picture of one side ('left', 'right') is, at its own size."""
    click(page, "#zoom-pixels")
    left, top, width, height = box(page, f"#{side} img")
    assert (width, height) == (SIZE, SIZE)
    with Image.open(io.BytesIO(page.screenshot())) as screen:
        pixels = np.asarray(screen.convert("RGB"))
    return pixels[round(top) : round(top) + SIZE, round(left) : round(left) + SIZE]


def differences(pixels: np.ndarray, image: np.ndarray, columns: slice) -> float:
    """The median difference: labels and the handle lie on the pictures."""
    return float(np.median(np.abs(pixels[:, columns].astype(int) - image[:, columns].astype(int))))


def test_dragging_shows_more_of_the_input(page: Browser, frames: list[dict[str, np.ndarray]]):
    assert divider(page) == 50
    pixels = shown(page, "left")
    assert differences(pixels, frames[0]["before"], slice(0, 110)) <= 2
    assert differences(pixels, frames[0]["after"], slice(146, SIZE)) <= 2

    page.drag(center(page, "#divider"), at_stage(page, 0.8, 0.5))
    assert divider(page) == 80
    assert differences(shown(page, "left"), frames[0]["before"], slice(0, SIZE)) <= 2

    page.drag(center(page, "#divider"), at_stage(page, 0.1, 0.5))
    assert divider(page) == 10
    assert differences(shown(page, "left"), frames[0]["after"], slice(0, SIZE)) <= 2


def test_a_press_anywhere_takes_the_divider_along(page: Browser):
    page.drag(at_stage(page, 0.2, 0.3), at_stage(page, 0.3, 0.6))
    assert divider(page) == 30


def test_it_stops_at_the_edges(page: Browser):
    page.drag(center(page, "#divider"), at_stage(page, 1.02, 0.5))
    assert divider(page) == 100
    page.drag(at_stage(page, 0.99, 0.5), at_stage(page, -0.02, 0.5))
    assert divider(page) == 0


def test_the_keyboard_moves_it(page: Browser):
    page.evaluate("document.querySelector('#divider').focus()")
    for key, expected in [
        *(("ArrowRight", 51), ("ArrowLeft", 50), ("ArrowUp", 51), ("ArrowDown", 50)),
        *(("PageUp", 60), ("PageDown", 50), ("End", 100), ("ArrowRight", 100), ("Home", 0), ("ArrowLeft", 0)),
    ]:
        page.press(key)
        assert divider(page) == expected, key
    spoken = page.evaluate("document.querySelector('#divider').ariaValueText")
    assert spoken == "Input 0 %, Restored 100 %"


def test_a_finger_moves_it_on_a_phone(page: Browser):
    page.emulate(width=390, height=844, touch=True)
    page.swipe([center(page, "#divider")], [at_stage(page, 0.75, 0.5)])
    assert divider(page) == 75
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_tap_takes_it_along_and_scrolling_does_not(page: Browser):
    page.emulate(width=390, height=844, touch=True)
    page.swipe([at_stage(page, 0.3, 0.5)], [at_stage(page, 0.3, 0.5)])
    assert divider(page) == 30
    page.swipe([at_stage(page, 0.7, 0.9)], [at_stage(page, 0.7, 0.1)], steps=20)
    page.settle()
    assert page.evaluate("window.scrollY") > 50
    assert divider(page) == 30


def test_two_fingers_zoom_both_pictures(page: Browser):
    page.emulate(width=390, height=844, touch=True)
    before = box(page, "#left img")
    page.swipe(
        [at_stage(page, 0.4, 0.5), at_stage(page, 0.6, 0.5)], [at_stage(page, 0.2, 0.5), at_stage(page, 0.8, 0.5)]
    )
    assert box(page, "#left img")[2] == pytest.approx(3 * before[2], rel=0.15)
    assert box(page, "#left img") == box(page, "#right img")
    assert divider(page) == 50


def test_the_wheel_zooms_at_the_pointer_and_dragging_moves_both_pictures(page: Browser):
    point = at_stage(page, 0.3, 0.4)
    before = box(page, "#left img")
    for _ in range(6):
        page.wheel(point, -100)
    enlarged = box(page, "#left img")
    assert enlarged[2] > 2 * before[2]
    # What is under the pointer stays there.
    parts = [(point[0] - image[0]) / image[2] for image in (before, enlarged)]
    assert parts[0] == pytest.approx(parts[1], abs=0.01)
    page.drag(at_stage(page, 0.3, 0.4), at_stage(page, 0.35, 0.5))
    moved = box(page, "#left img")
    width, height = box(page, "#stage")[2:]
    assert moved[0] - enlarged[0] == pytest.approx(0.05 * width, abs=2)
    assert moved[1] - enlarged[1] == pytest.approx(0.1 * height, abs=2)
    assert moved == box(page, "#right img")
    assert divider(page) == 50

    for _ in range(30):
        page.wheel(point, 100)
    left, top, width, height = box(page, "#left img")
    assert (width, height) == pytest.approx(before[2:], abs=1)
    assert (left + width / 2, top + height / 2) == pytest.approx(center(page, "#stage"), abs=1)


def test_buttons_and_keys_zoom(page: Browser):
    whole = box(page, "#left img")
    for begin, end in [("#zoom-in", "#zoom-out"), ("#zoom-in", "#zoom-fit")]:
        click(page, begin)
        assert box(page, "#right img")[2] == pytest.approx(1.5 * whole[2], rel=0.01)
        click(page, end)
        assert box(page, "#right img")[2] == pytest.approx(whole[2], rel=0.01)
    click(page, "#zoom-pixels")
    assert box(page, "#left img")[2:] == (SIZE, SIZE)
    assert text(page, "#zoom") == "100 %"

    page.evaluate("document.querySelector('#stage').focus()")
    page.press("0")
    page.press("+")
    page.press("+")
    left, top, width, _ = box(page, "#left img")
    assert width == pytest.approx(2.25 * whole[2], rel=0.01)
    page.press("ArrowRight")
    page.press("ArrowDown")
    assert box(page, "#left img")[:2] == pytest.approx((left - 60, top - 60), abs=1)
    assert divider(page) == 50
    page.press("1")
    assert box(page, "#left img")[2] == SIZE


def test_other_frames_are_chosen_below(page: Browser, frames: list[dict[str, np.ndarray]]):
    page.drag(center(page, "#divider"), at_stage(page, 0.9, 0.5))
    for at in (1, 2):
        click(page, f"#strip button:nth-child({at + 1})")
        assert text(page, "#frame-name") == NAMES[at]
        assert divider(page) == 90
        pressed = page.evaluate("[...document.querySelector('#strip').children].map((each) => each.ariaPressed)")
        assert [each == "true" for each in pressed] == [index == at for index in range(3)]
        assert differences(shown(page, "left"), frames[at]["before"], slice(0, SIZE)) <= 2


def test_the_ground_truth_can_be_one_side(page: Browser, frames: list[dict[str, np.ndarray]]):
    page.evaluate(
        "(choice => { choice.value = 'truth'; choice.dispatchEvent(new Event('change')); })"
        "(document.querySelector('#left-choice'))"
    )
    page.drag(center(page, "#divider"), at_stage(page, 1, 0.5))
    assert text(page, "#left .label") == "Ground truth"
    assert differences(shown(page, "left"), frames[0]["truth"], slice(0, SIZE)) <= 2


def test_curves_show_numbers_and_choose_frames(page: Browser):
    points = page.evaluate("DATA.points")
    for name, column in (("psnr", 0), ("ssim", 1)):
        page.evaluate(f"document.querySelector('#{name}').scrollIntoView({{block: 'center'}})")
        left, top, width, height = box(page, f"#{name}")
        last = left + width - 12, top + height / 2
        page.hover(last)
        numbers = text(page, f"figure:has(#{name}) figcaption")
        assert numbers.startswith(f"2, {NAMES[2]}: ")
        assert f"{points[2][4][column]:.{2 + 2 * column}f}" in numbers
        page.drag(last, last, steps=1)
        assert text(page, "#frame-name") == NAMES[2]
        click(page, "#strip button")
        assert page.evaluate(f"document.querySelectorAll('#{name} circle').length") == 6
    click(page, "#numbers summary")
    cells = "[...document.querySelectorAll('#numbers tbody tr')].map((row) => row.cells.length)"
    assert page.evaluate(f"new Promise((done) => setTimeout(() => done({cells}), 200))") == [9, 9, 9]


def test_what_names_say_is_text(page: Browser):
    assert page.evaluate("document.querySelectorAll('i').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_color_schemes_can_be_read(page: Browser, scheme: str):
    page.emulate(width=1000, height=1000, scheme=scheme)
    styles = "(element => [getComputedStyle(element).color, getComputedStyle(element).backgroundColor])"
    color = page.evaluate(f"{styles}(document.querySelector('#facts'))")
    quiet = page.evaluate(f"{styles}(document.querySelector('dt'))")[0]
    background = luminance(color[1])
    assert (background > 0.5) == (scheme == "light")
    for text_color in (color[0], quiet):
        lighter, darker = sorted([luminance(text_color), background], reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, level AA


def luminance(color: str) -> float:
    """The relative luminance that WCAG 2 defines, of 'rgb(r, g, b)'."""
    values = np.array([int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(("width", "height", "touch"), [(1000, 1000, False), (390, 844, True), (320, 568, True)])
def test_nothing_is_wider_than_the_screen(page: Browser, width: int, height: int, touch: bool):
    page.emulate(width=width, height=height, touch=touch)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert box(page, "#left img")[2] <= width
