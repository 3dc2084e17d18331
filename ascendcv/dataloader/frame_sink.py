"""Where restored frames go: a folder of PNG files, a video file, a list of arrays.

A sink is a context manager that gives `write(name, pixels [H, W, C] uint8 or uint16)`. Encoding and writing
happen on threads beside the computation. An error there comes out of the next `write`, or of the end of the
context at the latest; the context ends when all that was begun is finished, and leaves complete files only.
"""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from fractions import Fraction
from pathlib import Path

import numpy as np

from ascendcv.dataloader.image import IMAGE_SUFFIXES, to_rgb, write_image
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

Write = Callable[[str, np.ndarray], None]
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
_OTHER_SUFFIXES = (*IMAGE_SUFFIXES, ".avi", ".webm", ".gif", ".wmv", ".flv", ".ts", ".mpg", ".mpeg")


def open_sink(
    path: str | os.PathLike, *, fps: Fraction | float = 24, num_threads: int = 8, queue_size: int = -1
) -> contextlib.AbstractContextManager[Write]:
    """A folder of PNG files, or by its ending a video file (H.264) with `fps` frames a second.

    Args:
        num_threads: threads that write image files; a video has one, because its frames are in order.
        queue_size: frames that may wait for a thread; -1: twice the threads.
    Raises:
        InputError: another ending; a file where the folder should be; a rate that is none.
    """
    path = Path(path)
    queue_size = 2 * num_threads if queue_size < 0 else queue_size
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        if path.is_dir():
            raise InputError(f"{path} should be a video file; it is a folder")
        if fps <= 0:
            raise InputError(f"{path} needs a frame rate above 0, not {float(fps)}")
        return video_sink(path, fps=fps, queue_size=queue_size)
    if suffix in _OTHER_SUFFIXES or path.is_file():
        raise InputError(f"cannot write to {path}: name a folder or a video ({', '.join(VIDEO_SUFFIXES)})")
    return folder_sink(path, num_threads=num_threads, queue_size=queue_size)


@contextlib.contextmanager
def folder_sink(folder: Path, *, num_threads: int, queue_size: int) -> Iterator[Write]:
    """Each frame as `folder`/NAME.png; a file of that name is replaced when the new one is complete."""
    folder.mkdir(parents=True, exist_ok=True)

    def write(name: str, pixels: np.ndarray) -> None:
        path = folder / f"{name}.png"
        try:
            write_image(path, pixels)
        except OSError as error:
            raise OSError(error.errno, f"cannot write: {error.strerror or error}", str(path)) from error

    with in_background(write, num_threads, queue_size) as submit:
        yield submit


@contextlib.contextmanager
def video_sink(path: Path, *, fps: Fraction | float, queue_size: int) -> Iterator[Write]:
    """H.264 in BT.709 colour, of 10 bits for uint16 frames. The file appears when it is complete."""
    with (
        atomic_path(path) as temporary,
        _encoder(temporary, path, Fraction(fps).limit_denominator(1_000_000)) as write,
        in_background(write, 1, queue_size) as submit,
    ):
        yield submit


@contextlib.contextmanager
def array_sink(frames: list[np.ndarray]) -> Iterator[Write]:
    """Appends each frame to a list."""
    yield lambda _, pixels: frames.append(pixels)


@contextlib.contextmanager
def in_background(function: Callable, num_threads: int, queue_size: int) -> Iterator[Callable]:
    """Gives `submit(*arguments)`, which calls `function` on a thread and waits while `queue_size` calls wait.

    The first exception of a call is raised by the next `submit` or at the end; then, as after any exception
    inside the context, calls that have not begun are dropped and those that have are finished.
    """
    pending = set()

    def collect(**options) -> None:
        done, _ = wait(pending, **options)
        pending.difference_update(done)
        for future in done:
            future.result()

    def submit(*arguments: object) -> None:
        full = len(pending) >= num_threads + queue_size
        collect(timeout=None if full else 0, return_when=FIRST_COMPLETED)
        pending.add(pool.submit(function, *arguments))

    with ThreadPoolExecutor(num_threads, thread_name_prefix="write") as pool:
        try:
            yield submit
            while pending:
                collect(return_when=FIRST_COMPLETED)
        finally:
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _encoder(file: Path, path: Path, fps: Fraction) -> Iterator[Write]:
    """Gives a function that feeds frames to ffmpeg, which writes `file`; errors speak of `path`."""
    encoder = None
    with tempfile.TemporaryFile() as log:

        def failure() -> OSError:
            encoder.wait()
            log.seek(0)
            reason, *_ = log.read().decode(errors="replace").splitlines() or ["ffmpeg ended"]
            return OSError(f"cannot write {path}: {reason}")

        def write(_: str, pixels: np.ndarray) -> None:
            nonlocal encoder
            if encoder is None:
                command = _encoding_command(file, path, pixels, fps)
                # Ignored signals stay ignored, so that ffmpeg tells of a limit instead of dying of it.
                encoder = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stderr=log, process_group=0, restore_signals=False
                )
            try:
                encoder.stdin.write(np.ascontiguousarray(to_rgb(pixels)).data)
            except BrokenPipeError:
                raise failure() from None

        try:
            yield write
            try:
                encoder.stdin.close()
            except BrokenPipeError:
                raise failure() from None
            if encoder.wait():
                raise failure()
        finally:
            if encoder is not None:
                encoder.kill()
                encoder.wait()


def _encoding_command(file: Path, path: Path, pixels: np.ndarray, fps: Fraction) -> list[str]:
    from imageio_ffmpeg import get_ffmpeg_exe

    height, width, channels = pixels.shape
    if channels in (2, 4):
        raise InputError(f"{path} cannot hold transparency; name a folder, for PNG files")
    deep = pixels.dtype == np.uint16
    # Half-size chroma, which all players take, needs even sizes.
    chroma = "yuv420p" if height % 2 == width % 2 == 0 else "yuv444p"
    tags = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}
    return [
        *[get_ffmpeg_exe(), "-hide_banner", "-v", "error", "-y"],
        *["-f", "rawvideo", "-pix_fmt", "rgb48le" if deep else "rgb24", "-s", f"{width}x{height}"],
        *["-framerate", str(fps), "-i", "-"],
        *["-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"],
        *["-c:v", "libx264", "-crf", "16", "-pix_fmt", chroma + ("10le" if deep else "")],
        *[word for name, value in tags.items() for word in (f"-{name}", value)],
        *["-movflags", "+faststart", f"file:{file}"],
    ]
