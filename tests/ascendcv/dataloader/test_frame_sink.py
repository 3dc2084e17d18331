"""Sinks hold every frame that they were given, complete, or say at once why they cannot."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.dataloader.footage import Frame, PictureTags
from ascendcv.dataloader.frame_sink import array_sink, in_background, open_sink
from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.image import read_picture
from ascendcv.utils.errors import InputError
from tests.support import PROJECT


def pan(picture: np.ndarray, count: int, height: int, width: int) -> np.ndarray:
    return np.stack([picture[2 * t : 2 * t + height, 3 * t : 3 * t + width] for t in range(count)])


def write_all(path, frames: np.ndarray, **options) -> None:
    with open_sink(path, **options) as write:
        for index, frame in enumerate(frames):
            write(f"{index:08d}", frame)


@pytest.mark.parametrize("num_threads", [1, 8])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_folder_gives_back_what_was_written(tmp_path, dtype, channels, num_threads):
    frames = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (20, 6, 7, channels), dtype)
    write_all(tmp_path / "out", frames, num_threads=num_threads, queue_size=2)
    np.testing.assert_array_equal([pixels for _, pixels in open_source(tmp_path / "out")], frames)


def test_a_list_of_arrays_is_a_sink():
    frames = []
    with array_sink(frames) as write:
        write("0", np.zeros((6, 7, 3), np.uint8))
    assert len(frames) == 1


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_video_gives_back_nearly_what_was_written(tmp_path, photograph, ending):
    frames = pan(photograph, 12, 96, 128)
    write_all(tmp_path / f"v.{ending}", frames, fps=30000 / 1001)
    source = open_source(tmp_path / f"v.{ending}")
    again = np.stack([pixels for _, pixels in source])
    assert again.shape == frames.shape
    assert (source.fps.numerator, source.fps.denominator) == (30000, 1001)
    assert np.square(again.astype(float) - frames).mean() < 65025 / 10**3.5  # 35 dB


@pytest.mark.parametrize(("height", "width"), [(64, 64), (720, 64)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_video_keeps_colors(tmp_path, dtype, height, width):
    """Color bars: a wrong matrix or range would shift saturated colors by 10 levels and more."""
    peak = np.iinfo(dtype).max
    for number, bar in enumerate([(3, 0, 0), (0, 3, 0), (0, 0, 3), (4, 4, 1), (4, 4, 4)]):
        color = np.array(bar) * (peak // 4)
        write_all(tmp_path / f"{number}.mp4", np.full((2, height, width, 3), color, dtype))
        for _, pixels in open_source(tmp_path / f"{number}.mp4"):
            assert pixels.dtype == dtype
            np.testing.assert_allclose(pixels / peak, np.broadcast_to(color / peak, pixels.shape), atol=3 / 255)


def test_a_video_may_have_odd_sizes(tmp_path, photograph):
    write_all(tmp_path / "v.mp4", pan(photograph, 3, 33, 47))
    assert [pixels.shape for _, pixels in open_source(tmp_path / "v.mp4")] == [(33, 47, 3)] * 3


def test_a_gray_clip_becomes_a_gray_video(tmp_path):
    write_all(tmp_path / "v.mp4", np.full((2, 32, 32, 1), 77, np.uint8))
    for _, pixels in open_source(tmp_path / "v.mp4"):
        np.testing.assert_allclose(pixels.astype(int), 77, atol=1)


def test_a_video_refuses_transparency(tmp_path):
    with pytest.raises(InputError, match=r"v\.mp4 cannot hold transparency"):
        write_all(tmp_path / "v.mp4", np.zeros((2, 32, 32, 4), np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["v.avi", "v.ogv", "v.mxf", "frame.png", "x.tif", "file"])
def test_what_cannot_be_written_is_refused_at_once(tmp_path, name):
    (tmp_path / "file").write_text("something")
    with pytest.raises(InputError, match=name):
        open_sink(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["results_v1.2", "clip.000", "take.7", "plain"])
def test_a_dot_in_the_name_of_a_folder_is_no_ending(tmp_path, name):
    write_all(tmp_path / name, np.zeros((2, 4, 4, 3), np.uint8))
    assert len(list((tmp_path / name).iterdir())) == 2


def test_a_slash_or_a_folder_that_exists_makes_a_folder(tmp_path):
    write_all(f"{tmp_path}/out.ogv/", np.zeros((2, 4, 4, 3), np.uint8))
    write_all(tmp_path / "out.ogv", np.zeros((2, 4, 4, 3), np.uint8))
    assert len(list((tmp_path / "out.ogv").iterdir())) == 2


@pytest.mark.parametrize("image_format", ["png", "tiff", "webp", "jpg"])
def test_images_are_written_in_the_format_that_is_asked_for(tmp_path, photograph, image_format):
    frames = pan(photograph, 3, 32, 40)
    write_all(tmp_path / "out", frames, image_format=image_format)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {f".{image_format}"}
    for (_, pixels), frame in zip(open_source(tmp_path / "out"), frames, strict=True):
        assert np.abs(pixels.astype(int) - frame).mean() <= (3 if image_format == "jpg" else 0)


def test_another_image_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="png, tiff, jpg, webp, not 'heic'"):
        open_sink(tmp_path / "out", image_format="heic")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg", ".bmp"])
def test_a_picture_becomes_a_picture(tmp_path, photograph, suffix):
    Image.fromarray(photograph[:20, :30]).save(tmp_path / "in.png", icc_profile=b"a profile" * 20)
    source = open_source(tmp_path / "in.png")
    with open_sink(tmp_path / f"out{suffix}", like=source.footage) as write:
        for frame in source:
            write(frame.name, frame.pixels, frame)
    picture = read_picture(tmp_path / f"out{suffix}")
    assert np.abs(picture.pixels.astype(int) - photograph[:20, :30]).mean() <= (3 if suffix == ".jpg" else 0)
    assert picture.tags.icc_profile == (None if suffix == ".bmp" else b"a profile" * 20)


def test_a_clip_is_no_picture(tmp_path):
    source = open_source(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="one picture cannot hold a clip"):
        open_sink(tmp_path / "out.png", like=source.footage)


def test_tags_of_pictures_go_with_each_of_them(tmp_path):
    tags = [PictureTags(b"profile 1" * 9, 45455, (12, 13, 0, 1)), PictureTags()]
    with open_sink(tmp_path / "out") as write:
        for number, tag in enumerate(tags):
            pixels = np.zeros((4, 4, 3), np.uint16)
            write(str(number), pixels, Frame(str(number), pixels, tags=tag))
    assert [read_picture(tmp_path / "out" / f"{number}.png").tags for number in range(2)] == tags


@pytest.mark.parametrize("name", ["../out", "a/b", "", "..", "a\0b", "/tmp/x"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="no name for a file"), open_sink(tmp_path / "out") as write:
        write(name, np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in tmp_path.rglob("*")] == ["out"]


def test_older_images_beside_the_new_ones_are_named(tmp_path):
    write_all(tmp_path / "out", np.zeros((12, 4, 4, 3), np.uint8))
    sink = open_sink(tmp_path / "out")
    with sink as write:
        write("00000000", np.zeros((4, 4, 3), np.uint8))
    assert sink.notes == [f"{tmp_path / 'out'}: 11 older images beside the new ones (00000001.png ...)"]


def test_settings_of_a_video_are_refused_elsewhere(tmp_path):
    for name in ("out", "out.gif", "out.y4m"):
        with pytest.raises(InputError, match="is no video file, which alone has a codec, crf"):
            open_sink(tmp_path / name, codec="h264", crf=20)


def test_a_device_is_refused(tmp_path):
    with pytest.raises(InputError, match="/dev/null is neither a file nor a folder"):
        open_sink("/dev/null")
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(InputError, match="neither"):
        open_sink(tmp_path / "pipe.mp4")


def test_a_name_with_a_byte_that_is_not_utf_8(tmp_path):
    """In a process whose locale is strict about it."""
    script = r"""
        import os, sys
        import numpy as np
        from ascendcv.dataloader.frame_sink import open_sink
        from ascendcv.dataloader.frame_source import open_source
        for name in (b"out\xe9", b"v\xe9.mp4"):
            path = os.path.join(sys.argv[1], os.fsdecode(name))
            with open_sink(path) as write:
                for index in range(3):
                    write(str(index), np.zeros((32, 32, 3), np.uint8))
            assert len(list(open_source(path))) == 3
    """
    environment = os.environ | {"PYTHONUTF8": "1", "LC_ALL": "C.UTF-8", "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert result.returncode == 0, result.stderr
    assert sorted(os.listdir(os.fsencode(tmp_path))) == [b"out\xe9", b"v\xe9.mp4"]


def test_a_rate_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"v\.mp4 needs a frame rate above 0"):
        open_sink(tmp_path / "v.mp4", fps=0.0)


def test_an_interrupted_video_leaves_the_one_that_was_there(tmp_path, photograph):
    path = tmp_path / "v.mp4"
    write_all(path, pan(photograph, 3, 32, 32))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), open_sink(path) as write:
        write("0", photograph[:32, :32])
        raise KeyboardInterrupt
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_more_calls_wait_than_asked():
    release, begun = threading.Event(), []

    def work(number: int) -> None:
        begun.append(number)
        release.wait(30)

    with in_background(work, 2, 3) as submit:
        for number in range(5):
            submit(number)
        sixth = threading.Thread(target=submit, args=(5,))
        sixth.start()
        sixth.join(0.3)
        assert sixth.is_alive()
        release.set()
        sixth.join()
    assert sorted(begun) == list(range(6))


def test_an_error_comes_out_of_the_next_call_and_ends_the_threads():
    before, failed = threading.active_count(), threading.Event()

    def work(number: int) -> None:
        if number == 3:
            failed.set()
            raise OSError("disk full")

    done = []
    with pytest.raises(OSError, match="disk full"), in_background(work, 2, 100) as submit:
        for number in range(1000):
            submit(number)
            done.append(number)
            if number == 3:
                failed.wait(10)
                time.sleep(0.5)  # until the call has ended, too
    assert len(done) == 4
    assert threading.active_count() == before


def test_an_error_of_the_last_call_is_not_swallowed():
    def work() -> None:
        time.sleep(0.1)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), in_background(work, 2, 4) as submit:
        submit()


def test_an_interrupted_context_finishes_what_it_was_given():
    begun, release, done = threading.Event(), threading.Event(), []

    def work(number: int) -> None:
        begun.set()
        release.wait(30)
        done.append(number)

    with pytest.raises(KeyboardInterrupt), in_background(work, 1, 3) as submit:
        for number in range(4):
            submit(number)
        begun.wait(30)
        threading.Timer(0.2, release.set).start()
        raise KeyboardInterrupt
    assert done == [0, 1, 2, 3]


def test_nothing_is_called_after_a_failure():
    """A disk that is full for a moment would leave a frame out of the middle of a video."""
    called = []

    def work(number: int) -> None:
        called.append(number)
        if number == 1:
            raise OSError("disk full")

    release = threading.Event()
    with pytest.raises(OSError, match="disk full"), in_background(lambda job: job(), 1, 3) as submit:
        submit(lambda: release.wait(30))
        for number in range(1, 4):
            submit(lambda number=number: work(number))
        release.set()
    assert called == [1]


@pytest.mark.parametrize("name", ["frames", "v.mp4"])
def test_a_full_disk_is_reported_and_leaves_whole_files_only(tmp_path, name):
    """A limit on the size of files stands for the disk; noise does not compress."""
    script = f"""
        import numpy as np
        from ascendcv.dataloader.frame_sink import open_sink
        with open_sink({str(tmp_path / name)!r}, num_threads=4) as write:
            for index in range(200):
                height = 32 if index < 3 or {name!r} == "v.mp4" else 256
                write(str(index), np.random.default_rng(index).integers(0, 255, (height, 256, 3), np.uint8))
    """

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    command = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, preexec_fn=limit)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("OSError")
    assert "File too large" in last
    assert str(tmp_path / name) in last
    whole = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert whole == (["0.png", "1.png", "2.png"] if name == "frames" else [])


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("something")
    with pytest.raises(NotADirectoryError), open_sink(Path(tmp_path / "file" / "out")):
        pass
