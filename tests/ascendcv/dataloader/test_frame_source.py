"""Sources give every frame once, in order, unchanged, and refuse what they cannot give."""

import operator
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.frame_source import clip_folders, open_source, prefetch
from ascendcv.dataloader.image import write_image
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.made_videos import make_video


def noise(shape: tuple[int, ...], dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_folder_gives_its_frames_with_their_names_in_natural_order(tmp_path, dtype, channels):
    frames = noise((3, 6, 7, channels), dtype)
    for number, frame in zip((2, 10, 1), frames, strict=True):
        write_image(tmp_path / f"f{number}.png", frame)
    source = open_source(tmp_path)
    assert operator.length_hint(source) == 3
    names, pixels = zip(*source, strict=True)
    assert names == ("f1", "f2", "f10")
    np.testing.assert_array_equal(np.stack(pixels), frames[[2, 0, 1]])


def test_frames_of_mixed_formats_share_the_one_that_holds_all(tmp_path):
    gray, color = noise((6, 7, 1)), noise((6, 7, 3), np.uint16)
    write_image(tmp_path / "1.png", gray)
    write_image(tmp_path / "2.tif", color)
    (_, first), (_, second) = open_source(tmp_path)
    np.testing.assert_array_equal(first, np.repeat(gray, 3, axis=2).astype(np.uint16) * 257)
    np.testing.assert_array_equal(second, color)


def test_other_files_are_counted_named_and_left_out(tmp_path):
    write_image(tmp_path / "1.png", noise((6, 7, 3)))
    for name in ("notes.txt", "Thumbs.db"):
        (tmp_path / name).write_text("no frame")
    source = open_source(tmp_path)
    assert source.notes == [f"{tmp_path}: took 1 image, ignored 2 other files (Thumbs.db, notes.txt)"]
    assert len(list(source)) == 1


def test_hidden_files_and_folders_called_like_pictures_are_no_frames(tmp_path):
    write_image(tmp_path / "1.png", noise((6, 7, 3)))
    (tmp_path / "._1.png").write_bytes(b"resource fork")
    (tmp_path / "folder.png").mkdir()
    assert [name for name, _ in open_source(tmp_path)] == ["1"]


def test_a_cover_beside_folders_of_clips_does_not_hide_them(tmp_path):
    for name in ("clip10", "clip2", "@eaDir", "__MACOSX", ".hidden"):
        write_image(tmp_path / name / "1.png", noise((6, 7, 3)))
    (tmp_path / "empty").mkdir()
    write_image(tmp_path / "folder.jpg", noise((6, 7, 3)))
    assert [path.name for path in clip_folders(tmp_path)] == ["clip2", "clip10"]
    for number in range(3):
        write_image(tmp_path / f"{number}.png", noise((6, 7, 3)))
    assert clip_folders(tmp_path) == []


def test_an_image_is_a_clip_of_one_frame_whatever_its_name(tmp_path):
    write_image(tmp_path / "photo.png", frame := noise((6, 7, 3)))
    for name in ("photo.png", "photo.jpg", "photo.dat"):
        (tmp_path / name).write_bytes((tmp_path / "photo.png").read_bytes())
        ((stem, pixels),) = open_source(tmp_path / name)
        assert stem == "photo"
        np.testing.assert_array_equal(pixels, frame)


def turned(path: Path, picture: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(path, exif=exif)


def test_a_single_picture_is_turned_as_it_asks(tmp_path):
    turned(tmp_path / "photo.png", picture := noise((6, 7, 3)), 6)
    source = open_source(tmp_path / "photo.png")
    ((_, pixels),) = source
    np.testing.assert_array_equal(pixels, np.rot90(picture, -1))
    assert (source.footage.height, source.footage.width) == (7, 6)


def test_a_folder_is_turned_if_all_its_frames_ask_for_the_same(tmp_path):
    picture = noise((6, 7, 3))
    for number in range(3):
        turned(tmp_path / f"{number}.png", picture, 8)
    for _, pixels in open_source(tmp_path):
        np.testing.assert_array_equal(pixels, np.rot90(picture))
    turned(tmp_path / "1.png", picture, 3)
    source = open_source(tmp_path)
    for _, pixels in source:
        np.testing.assert_array_equal(pixels, picture)
    assert any("3 of 3 frames ask to be turned" in note for note in source.notes)


def test_a_part_of_the_frames_can_be_asked_for(tmp_path):
    for number in range(5):
        write_image(tmp_path / f"{number}.png", noise((6, 7, 3)))
    assert [name for name, _ in open_source(tmp_path, start=1, frames=2)] == ["1", "2"]
    with pytest.raises(InputError, match="has 5 frames; it cannot be restored from frame 5 on"):
        open_source(tmp_path, start=5)
    with pytest.raises(InputError, match="has no times"):
        open_source(tmp_path, start=1.5)
    assert len(list(open_source(noise((6, 4, 4, 3)), start=2))) == 4


def test_of_animated_pictures_in_a_folder_the_first_frames_are_taken(tmp_path):
    frames = [Image.fromarray(noise((6, 7, 3)) // 128 * 128 + step) for step in (0, 20)]
    for name in ("0.webp", "1.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=40, lossless=True)
    source = open_source(tmp_path)
    for _, pixels in source:
        np.testing.assert_array_equal(pixels, np.asarray(frames[0]))
    assert source.notes == [f"{tmp_path}: of 2 animated pictures (0.webp ...) the first frames are taken"]


def test_two_frames_of_one_name_are_refused(tmp_path):
    write_image(tmp_path / "1.png", noise((6, 7, 3)))
    write_image(tmp_path / "1.jpg", noise((6, 7, 3)))
    with pytest.raises(InputError, match="2 frames called 1"):
        open_source(tmp_path)


def test_frames_of_two_sizes_are_refused_when_the_folder_is_opened(tmp_path):
    write_image(tmp_path / "1.png", noise((6, 7, 3)))
    write_image(tmp_path / "2.png", noise((6, 8, 3)))
    with pytest.raises(InputError, match=r"2\.png has 8x6"):
        open_source(tmp_path)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no folder or video .*nowhere"):
        open_source(tmp_path / "nowhere")


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match=r"pipe\.mp4 is neither a file nor a folder"):
        open_source(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="/dev/null is neither"):
        open_source("/dev/null")


def test_a_video_called_like_a_picture_is_a_video(tmp_path):
    make_video(tmp_path / "v.mp4")
    (tmp_path / "v.mp4").rename(tmp_path / "v.png")
    assert open_source(tmp_path / "v.png").footage.kind == "video"


def test_an_array_is_a_source():
    frames = noise((3, 6, 7, 3))
    np.testing.assert_array_equal(np.stack([pixels for _, pixels in open_source(frames)]), frames)


@pytest.mark.parametrize("frames", [np.zeros((2, 6, 7)), np.zeros((2, 6, 7, 5)), np.zeros((0, 6, 7, 3))])
def test_arrays_of_other_shapes_and_types_are_refused(frames):
    with pytest.raises(InputError, match="shape"):
        open_source(frames.astype(np.uint8))
    with pytest.raises(InputError, match="uint8 or uint16"):
        open_source(np.zeros((2, 6, 7, 3), np.float32))


def test_reading_ahead_keeps_the_order_and_ends_its_thread():
    before = threading.active_count()
    assert list(prefetch(range(100))) == list(range(100))
    frames = prefetch(iter(range(100)))
    assert next(frames) == 0
    frames.close()
    assert threading.active_count() == before


def test_reading_ahead_is_bounded():
    taken = []
    frames = prefetch((taken.append(number) or number for number in range(100)), depth=3)
    next(frames)
    frames.close()
    assert len(taken) <= 4


def test_an_error_while_reading_ahead_comes_after_the_frames_before_it():
    def broken():
        yield from (1, 2)
        raise InputError("frame 3 is damaged")

    frames = prefetch(broken())
    assert [next(frames), next(frames)] == [1, 2]
    with pytest.raises(InputError, match="frame 3"):
        next(frames)
