"""The page on a restoration: right numbers, right pictures, nothing from outside, nothing that a name can break."""

import base64
import configparser
import io
import json
import os
import re
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.footage import Color, Footage
from ascendcv.dataloader.image import read_image
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendvsr.restoration.quality import MEASURES, MOST_POINTS
from ascendvsr.restoration.report import MOST_SHOWN, Report
from ascendvsr.restoration.showing import for_showing
from tests.support import PROJECT

REDS = PROJECT.parent / "shared/data/reds_7f"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\"'{{data}}"


class Page(HTMLParser):
    """What a browser makes of the page's text."""

    def __init__(self, path: Path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.shown: list[str] = []
        self._inside = ""
        self.scripts: dict[str | None, str] = {}
        self.feed(self.text)
        self.data = json.loads(self.scripts["data"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[self.elements[-1][1].get("id")] = data
            self._inside = ""
        elif data.strip() and self._inside != "style":
            self.shown.append(data.strip())


def picture(address: str) -> tuple[str, np.ndarray]:
    """The format and pixels of a `data:` address."""
    kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)", address).groups()
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        return kind, np.asarray(image)


def pan(photograph: np.ndarray, count: int, size: int = 64) -> Iterator[np.ndarray]:
    """Ground truth: crops that move over the photograph."""
    for index in range(count):
        left = 150 + index % 200
        yield photograph[100 : 100 + size, left : left + size]


def restored(truth: np.ndarray, seed: int) -> np.ndarray:
    """The ground truth with some noise, which differs from frame to frame."""
    noise = np.random.default_rng(seed).normal(0, 3 + seed % 3, truth.shape)
    return np.clip(truth + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def page_of(tmp_path: Path):
    """Writes a report and reads the page."""

    def write(report: Report, facts: dict | None = None, name: str = "page.html") -> Page:
        report.write(tmp_path / name, facts or {})
        return Page(tmp_path / name)

    return write


# Numbers


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_each_frame_is_measured_as_the_metrics_do(photograph: np.ndarray, page_of, dtype: type):
    report, expected = Report(), []
    for index, truth in enumerate(pan(photograph, 4)):
        before, after = imresize(truth, 0.25), restored(truth, index)
        report.add(f"{index:08d}", before, after, truth if dtype == np.uint8 else truth.astype(np.uint16) * 257)
        for image in (imresize(before, 4), after):
            y = luma(image), luma(truth)
            expected.append([psnr(image, truth), ssim(image, truth), psnr(*y), ssim(*y)])
    page = page_of(report)
    found = [values for point in page.data["points"] for values in point[3:]]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert [(point[0], point[1], point[2]) for point in page.data["points"]] == [
        (index, f"{index:08d}", 1) for index in range(4)
    ]
    shown = [
        [frame["scores"][image][measure] for measure in MEASURES]
        for frame in page.data["frames"]
        for image in ("before", "after")
    ]
    np.testing.assert_allclose(shown, expected, rtol=0, atol=1e-6)

    before, after = np.mean(expected[::2], axis=0), np.mean(expected[1::2], axis=0)
    worst = min(range(4), key=lambda index: expected[2 * index + 1][0])
    table = page.shown[page.shown.index("Mean of 4 frames with ground truth") :]
    for row, values in (("Input", before), ("Restored", after)):
        at = table.index(row) + 1
        texts = [f"{value:.{digits}f}" for value, digits in zip(values, (2, 4, 2, 4), strict=True)]
        assert table[at : at + 4] == texts
    assert table[table.index("Gain") + 1] == f"{after[0] - before[0]:+.2f}"
    at = table.index("Lowest") + 1
    assert table[at : at + 2] == [f"{expected[2 * worst + 1][0]:.2f}", f"{worst:08d}"]


@pytest.mark.skipif(not REDS.is_dir(), reason="the REDS frames are not here")
def test_frames_of_reds(page_of):
    """Real frames, enlarged four times; their pictures are large enough for JPEG."""
    report = Report()
    for index in range(2):
        before, truth = (read_image(REDS / kind / f"{index:08d}.png") for kind in ("BIx4", "GT"))
        report.add(f"{index:08d}", before, imresize(before, 4), truth)
    page = page_of(report)
    for point in page.data["points"]:
        assert point[3] == point[4]
        assert 25 < point[4][0] < 27
    kind, shown = picture(page.data["frames"][0]["images"]["truth"])
    assert kind == "jpeg"
    assert psnr(shown, read_image(REDS / "GT/00000000.png")) > 36


def test_without_ground_truth_there_is_no_quality(photograph: np.ndarray, page_of):
    report = Report()
    report.add("a", photograph[:64, :64], photograph[:64, :64])
    page = page_of(report)
    assert page.data["points"] == []
    assert set(page.data["frames"][0]["images"]) == {"before", "after"}
    assert not any(text.startswith("Mean of") for text in page.shown)


def test_ground_truth_of_some_frames(photograph: np.ndarray, page_of):
    report = Report()
    for index, truth in enumerate(pan(photograph, 6)):
        report.add(str(index), truth, restored(truth, index), truth if index % 2 else None)
    page = page_of(report)
    assert [point[0] for point in page.data["points"]] == [1, 3, 5]
    assert "Mean of 3 frames with ground truth" in page.shown


def test_identical_frames_are_infinitely_good(photograph: np.ndarray, page_of):
    report = Report()
    report.add("a", photograph, photograph, photograph)
    page = page_of(report)
    assert page.data["points"][0][4] == ["Infinity", 1.0, "Infinity", 1.0]
    assert page.shown[page.shown.index("Restored") + 1 :][:2] == ["∞", "1.0000"]


def test_frames_too_small_for_ssim_have_a_psnr(photograph: np.ndarray, page_of):
    report = Report()
    truth = photograph[:10, :40]
    report.add("a", truth, 255 - truth, truth)
    point = page_of(report).data["points"][0]
    assert point[4][0] == pytest.approx(psnr(255 - truth, truth))
    assert point[4][1] is point[4][3] is None


def test_gray_frames_with_alpha_against_color(photograph: np.ndarray, page_of):
    gray = photograph[:32, :32, :1]
    report = Report()
    report.add(
        "a", np.concatenate([gray, gray], axis=-1), np.concatenate([gray, gray], axis=-1), photograph[:32, :32]
    )
    assert page_of(report).data["points"][0][4][0] == pytest.approx(
        psnr(np.repeat(gray, 3, axis=-1), photograph[:32, :32]), abs=1e-6
    )


def test_where_the_network_cut_frames_so_is_the_ground_truth(photograph: np.ndarray, page_of):
    truth = photograph[: 4 * 21, : 4 * 23]
    before, after = imresize(truth, 0.25), photograph[: 4 * 20, : 4 * 20]
    report = Report()
    report.add("a", before, after, truth)
    assert page_of(report).data["points"][0][4][0] == "Infinity"


@pytest.mark.parametrize("size", [(32, 32), (64, 128), (16, 16), (128, 128)])
def test_a_ground_truth_of_another_size_is_refused(photograph: np.ndarray, size: tuple[int, int]):
    with pytest.raises(InputError, match=f"frame 00000007 has {size[1]}x{size[0]} pixels.* 64x64"):
        Report().add("00000007", photograph[:16, :16], photograph[:64, :64], photograph[: size[0], : size[1]])


# Pictures


def test_small_pictures_are_without_loss(photograph: np.ndarray, page_of):
    before, after, truth = photograph[:32, :48], photograph[64 : 64 + 128, : 4 * 48], photograph[: 4 * 32, : 4 * 48]
    report = Report()
    report.add("a", before, after, truth)
    (frame,) = page_of(report).data["frames"]
    assert (frame["height"], frame["width"]) == (128, 192)
    for key, expected in (("before", imresize(before, 4)), ("after", after), ("truth", truth)):
        kind, shown = picture(frame["images"][key])
        assert kind == "png"
        np.testing.assert_array_equal(shown, expected)


def test_large_pictures_keep_the_page_small(photograph: np.ndarray, page_of):
    large = np.tile(photograph, (2, 4, 1))
    report = Report()
    for index in range(12):
        report.add(str(index), large, large)
    page = page_of(report)
    kind, shown = picture(page.data["frames"][0]["images"]["after"])
    assert kind == "jpeg"
    assert psnr(shown, large) > 36
    assert len(page.text) < 2 * MOST_SHOWN * 0.4 * large.size


def test_deep_and_hdr_frames_are_shown_with_eight_bits(photograph: np.ndarray, page_of):
    deep = photograph[:64, :64].astype(np.uint16) * 257
    footage = Footage(
        "x", "video", 64, 64, 3, 16, aspect=Fraction(4, 3), color=Color(9, False, transfer=16, primaries=9)
    )
    reports = Report(), Report(footage)
    for report in reports:
        report.add("a", deep, deep)
    plain, hdr = (page_of(report) for report in reports)
    np.testing.assert_array_equal(picture(plain.data["frames"][0]["images"]["after"])[1], photograph[:64, :64])
    np.testing.assert_array_equal(
        picture(hdr.data["frames"][0]["images"]["after"])[1], for_showing(deep, footage.color)
    )
    assert (plain.data["aspect"], hdr.data["aspect"]) == (1, pytest.approx(4 / 3))


# Any length


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17, 31, 100, 1000])
def test_a_handful_of_frames_is_shown_at_equal_distances(photograph: np.ndarray, page_of, count: int):
    report, frame = Report(), photograph[:12, :12]
    for index in range(count):
        report.add(f"frame {index}", frame, frame)
    page = page_of(report)
    indices = [frame["index"] for frame in page.data["frames"]]
    assert min(count, MOST_SHOWN // 2 + 1) <= len(indices) <= MOST_SHOWN
    assert indices[0] == 0
    assert len(set(np.diff(indices))) <= 1
    assert count - indices[-1] <= (indices[1] if len(indices) > 1 else 1)  # the last is near the end
    assert [frame["name"] for frame in page.data["frames"]] == [f"frame {index}" for index in indices]
    assert page.data["count"] == count


def test_memory_does_not_grow_with_the_clip(photograph: np.ndarray):
    """8 frames are shown of 64 and of 4096."""
    frame, held = photograph[:48, :48].copy(), {}
    report = Report()
    tracemalloc.start()
    try:
        for index in range(4096):
            report.add(f"{index:08d}", frame, frame)
            if index + 1 in (64, 4096):
                held[index + 1] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held[4096] < 1.05 * held[64] + 4096


def test_numbers_of_long_clips_are_means_of_neighbors(photograph: np.ndarray, page_of):
    count, report, values = MOST_POINTS + 101, Report(), []
    truth = photograph[100:112, 180:192]
    for index in range(count):
        after = restored(truth, index)
        values.append(psnr(after, truth))
        report.add(str(index), truth, after, truth)
    page = page_of(report)
    points = page.data["points"]
    assert page.data["frames_per_point"] == 2
    assert len(points) == -(-count // 2)
    for point in points:
        assert point[4][0] == pytest.approx(np.mean(values[point[0] : point[0] + point[2]]), abs=1e-6)
    assert sum(point[2] for point in points) == count
    at = page.shown.index("Restored") + 1
    assert page.shown[at] == f"{np.mean(values):.2f}"
    assert f"{min(values):.2f}" in page.shown
    assert str(int(np.argmin(values))) in page.shown


# The page


def test_the_page_asks_for_nothing_from_outside(photograph: np.ndarray, page_of):
    report = Report()
    report.add("a", photograph[:64, :64], photograph[:64, :64], photograph[:64, :64])
    page = page_of(report, {"Network": "EDVR"})
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", page.text)
    assert not re.search(r"https?:|[\"'(]//|url\(|@import|<(iframe|object|embed|base)\b|\bfetch\(|\bimport\b", text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:"), f"{tag} {name}"
    policy = next(each for _, each in page.elements if each.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; img-src data:;")


def test_facts_are_shown_in_their_order(photograph: np.ndarray, page_of):
    report = Report()
    report.add("a", photograph, photograph)
    facts = {"Network": "EDVR-M", "Settings": "window 5\ntile auto", "License": "", "Frames per second": 3.25}
    page = page_of(report, facts, name="clip_restored.html")
    at = page.shown.index("How it was made") + 1
    assert page.shown[at : at + 6] == [
        *("Network", "EDVR-M", "Settings", "window 5\ntile auto", "Frames per second", "3.25")
    ]
    assert "License" not in page.shown
    assert "clip_restored" in page.shown


def test_names_and_facts_stay_text(photograph: np.ndarray, page_of):
    pages = []
    for name in ("plain", HOSTILE):
        report = Report()
        report.add(name, photograph[:16, :16], 255 - photograph[:16, :16], photograph[:16, :16])
        pages.append(page_of(report, {name: name}, name="<b>&amp;.html" if name == HOSTILE else "plain.html"))
    plain, hostile = pages
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert [set(attributes) for _, attributes in hostile.elements] == [set(each) for _, each in plain.elements]
    assert hostile.data["frames"][0]["name"] == hostile.data["points"][0][1] == HOSTILE
    # As the name of the key, as its value, and once under each lowest number.
    assert hostile.shown.count(HOSTILE) == 2 + len(MEASURES)
    assert "<b>&amp;" in hostile.shown


def test_names_that_are_not_utf_8(photograph: np.ndarray, tmp_path: Path):
    name = os.fsdecode(b"caf\xe9")
    report = Report()
    report.add(name, photograph[:16, :16], photograph[:16, :16], photograph[:16, :16])
    report.add("lone \ud800", photograph[:16, :16], photograph[:16, :16], photograph[:16, :16])
    report.write(tmp_path / f"{name}.html", {f"Input {name}": f"/clips/{name}.mp4"})
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9.html"]
    page = Page(tmp_path / f"{name}.html")
    assert [frame["name"] for frame in page.data["frames"]] == ["caf\\udce9", "lone \\ud800"]
    assert "/clips/caf\\udce9.mp4" in page.shown


def test_a_report_of_nothing_is_a_page(page_of):
    page = page_of(Report(), {"Input": "empty"})
    assert page.data["frames"] == page.data["points"] == []
    assert "Restoration report, 0 frames" in page.shown


def test_the_page_appears_whole_or_not_at_all(photograph: np.ndarray, tmp_path: Path):
    class Broken:
        def __str__(self) -> str:
            raise OSError("the disk is full")

    path = tmp_path / "page.html"
    path.write_text("of yesterday")
    report = Report()
    report.add("a", photograph, photograph)
    with pytest.raises(OSError, match="disk is full"):
        report.write(path, {"Input": Broken()})
    assert path.read_text() == "of yesterday"
    assert os.listdir(tmp_path) == ["page.html"]
    report.write(path, {})
    assert Page(path).data["count"] == 1
    assert os.listdir(tmp_path) == ["page.html"]


def test_it_can_be_written_more_than_once(photograph: np.ndarray, page_of):
    report, frame = Report(), photograph[:16, :16]
    report.add("a", frame, frame, frame)
    assert page_of(report).data["count"] == 1
    report.add("b", frame, frame, frame)
    assert page_of(report).data["count"] == 2


def test_the_template_is_part_of_the_package():
    setup = configparser.ConfigParser()
    setup.read(PROJECT / "setup.cfg")
    assert setup["options.package_data"]["ascendvsr.restoration"] == "report.html"
