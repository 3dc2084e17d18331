"""Frames are paired by name or number, never by position."""

from pathlib import Path

import pytest

from ascendcv.dataloader.pairing import frame_numbers, gap, pair_frames
from ascendcv.utils.errors import InputError


def files(folder: str, *names: str) -> list[Path]:
    return [Path(folder, f"{name}.png") for name in names]


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("00000007", "00000012"), [7, 12]),
        (("im1", "im2"), [1, 2]),
        (("clip2_x4_0001", "clip2_x4_0010"), [1, 10]),
        (("0001x4", "0002x4"), [1, 2]),
        (("Frame 001", "Frame 002"), [1, 2]),
        (("scene3_0007",), [7]),
        (("a", "b"), None),
        (("s1_f1", "s2_f2"), None),
        (("a1", "b2"), None),
    ],
)
def test_the_number_of_a_frame_is_what_differs_in_its_name(names: tuple[str, ...], numbers: list[int] | None):
    assert frame_numbers(files("f", *names)) == numbers


@pytest.mark.parametrize(
    ("lq", "gt"),
    [
        (("000", "001"), ("000", "001")),
        (("000", "001"), ("00000000", "00000001")),
        (("0001x4", "0002x4"), ("0001", "0002")),
        (("blur_3", "blur_4"), ("sharp_3", "sharp_4")),
        (("x", "y"), ("x", "y")),
    ],
)
def test_partners_have_the_same_name_or_number(lq: tuple[str, ...], gt: tuple[str, ...]):
    pairs = pair_frames(files("lq", *lq), files("gt", *reversed(gt)))
    assert [(frame.stem, truth.stem) for frame, truth in pairs] == list(zip(lq, gt, strict=True))


@pytest.mark.parametrize(
    ("lq", "gt", "message"),
    [
        (
            ("0", "1", "2"),
            ("0", "2"),
            r"gt has 2 frames, but lq has 3: they should be pairs; gt lacks 1\.png: copy",
        ),
        (("0", "2"), ("0", "1", "2"), r"; lq lacks 1\.png"),
        (("0", "1", "3"), ("0", "2", "3"), r"other names or numbers: .*; gt lacks 1\.png; lq lacks 2\.png"),
        (("1", "2", "3"), ("0", "1", "2"), r"gt lacks 3\.png; lq lacks 0\.png"),
        (("a", "b"), ("c", "d"), r"gt lacks a\.png, b\.png; lq lacks c\.png, d\.png"),
        (tuple("01234567"), ("0", "1"), r"gt lacks 2\.png, 3\.png, 4\.png and 3 more"),
    ],
)
def test_frames_without_a_partner_are_named(lq: tuple[str, ...], gt: tuple[str, ...], message: str):
    with pytest.raises(InputError, match=message):
        pair_frames(files("lq", *lq), files("gt", *gt))


def test_two_frames_of_one_number_are_refused():
    with pytest.raises(InputError, match=r"lq has 2 frames 1, 1\.png and 01\.png: keep one of them"):
        pair_frames(files("lq", "1", "01", "2"), files("gt", "001", "002"))


def test_ground_truth_of_some_frames_only():
    pairs = pair_frames(files("lq", "im1", "im2", "im3"), files("gt", "im2"), gt_may_lack=True)
    assert [truth and truth.stem for _, truth in pairs] == [None, "im2", None]
    with pytest.raises(InputError, match=r"lq lacks im9\.png"):
        pair_frames(files("lq", "im1", "im2"), files("gt", "im9"), gt_may_lack=True)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ((0, 1, 2, 3), None),
        ((30, 31, 32), None),
        ((0, 2, 4, 6), None),
        ((0, 1, 3, 4), "2"),
        ((0, 1, 2, 6, 7), "3 and 2 more"),
        ((0, 5), None),
    ],
)
def test_a_hole_in_the_numbers_is_noticed(numbers: tuple[int, ...], missing: str | None):
    assert gap(files("f", *(f"{number:08d}" for number in numbers))) == missing
