"""Where restored frames go: a folder of image files, one picture, an animation, a video, a stream, a list.

A sink is a context manager that gives `write(name, pixels, frame=None)`: pixels [H, W, C] uint8 or uint16, and
the `Frame` that they were made of, for its time and tags. Encoding and writing happen on threads beside the
computation. An error there comes out of the next `write`, or of the end of the context at the latest; the context
ends when all that it was given is written, or one of it failed, and leaves complete files only. What the user
should be told stands in the sink's `notes` when it has ended.
"""

import contextlib
import contextvars
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ascendcv.dataloader.animation import ANIMATION_SUFFIXES, ApngWriter, GifWriter, WebpWriter
from ascendcv.dataloader.footage import Footage, Frame, PictureTags
from ascendcv.dataloader.image import WRITTEN_SUFFIXES, holds, natural_order, write_image
from ascendcv.dataloader.video_codecs import CONTAINERS
from ascendcv.dataloader.video_writer import VideoEncoder, check
from ascendcv.dataloader.y4m import Y4mWriter, check_y4m
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

Write = Callable[..., None]
VIDEO_SUFFIXES = tuple(CONTAINERS)
FOLDER_FORMATS = ("png", "tiff", "jpg", "webp")

_ENDING = re.compile(r"\.(?=[a-z0-9]{2,5}$)[a-z0-9]*[a-z][a-z0-9]*$")
_KNOWN_ENDINGS = f"{', '.join(VIDEO_SUFFIXES)}, .y4m, .gif"


class Sink(contextlib.AbstractContextManager):
    """A context that gives `write`, the notes that it gathers, and the seconds that encoding and writing took."""

    def __init__(self, context: contextlib.AbstractContextManager[Write], notes: list[str]):
        self._context, self.notes, self._clock = context, notes, Clock()

    @property
    def seconds(self) -> float:
        return self._clock.seconds

    @property
    def waiting(self) -> int:
        """Frames that were handed over and are not written yet."""
        return sum(not call.done() for call in self._clock.pending)

    def __enter__(self) -> Write:
        token = _CLOCK.set(self._clock)
        try:
            write = self._context.__enter__()
        finally:
            _CLOCK.reset(token)

        def write_frame(name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
            # What waits to be written keeps no pixels of the source.
            write(name, pixels, None if frame is None else replace(frame, pixels=pixels))

        return write_frame

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._context.__exit__(kind, error, trace)


class Clock:
    """Seconds that work on threads took, all together, and the calls that may not have ended."""

    seconds = 0.0

    def __init__(self):
        self.pending: set[Future] = set()

    def timed(self, function: Callable) -> Callable:
        """`function`, whose time counts."""

        def call(*arguments: object) -> object:
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.perf_counter() - start

        return call


# Of the sink that is being opened: what works in its background counts there.
_CLOCK: contextvars.ContextVar[Clock] = contextvars.ContextVar("clock")


def open_sink(
    path: str | os.PathLike,
    *,
    like: Footage | None = None,
    fps: Fraction | float = 24,
    num_threads: int = 8,
    queue_size: int = -1,
    image_format: str | None = None,
    codec: str | None = None,
    crf: int | None = None,
    preset: str | None = None,
    pixel_format: str | None = None,
) -> Sink:
    """What a path names: by its ending a video, an animation or a picture; without one, a folder of images.

    Args:
        path: '-' is a y4m stream on the standard output. A path with an `image_format`, one that ends in a slash
            and a folder that exists are folders whatever their ending.
        like: what the frames come from. Its times, colors, pixel format, sound and so on are kept.
        fps: frames per second, for a video of frames without a rate of their own.
        num_threads: threads that write image files; others have one, because their frames are in order.
        queue_size: frames that may wait for a thread; -1: twice the threads that there are.
        image_format: of a folder: one of `FOLDER_FORMATS`; None: PNG.
        codec, crf, preset, pixel_format: how a video is encoded, as `video_codecs.choose` takes them.
    Raises:
        InputError: another ending; what the target cannot hold; a file where the folder should be; a rate that is
            none; settings of a video for something else.
    """
    text, path = os.fspath(path), Path(path)
    image_queue = 2 * num_threads if queue_size < 0 else queue_size
    queue_size = 2 if queue_size < 0 else queue_size
    notes: list[str] = []
    settings = {"codec": codec, "crf": crf, "preset": preset, "pixel_format": pixel_format}
    if fps <= 0:
        raise InputError(f"{path} needs a frame rate above 0, not {float(fps)}")
    fps = Fraction(fps).limit_denominator(1_000_000)
    suffix = path.suffix.lower()
    is_folder = image_format is not None or path.is_dir() or text.endswith(os.sep)
    if suffix in VIDEO_SUFFIXES and not is_folder:
        _refuse_special(path)
        check(path, like, **settings)
        context = _video(path, notes, queue_size, like=like, fps=fps, **settings)
        return Sink(context, notes)
    if any(value is not None for value in settings.values()):
        named = ", ".join(name for name, value in settings.items() if value is not None)
        raise InputError(f"{path} is no video file, which alone has a {named}: {', '.join(VIDEO_SUFFIXES)}")
    if is_folder and suffix in VIDEO_SUFFIXES and path.is_dir() and image_format is None:
        raise InputError(f"{path} should be a video file; it is a folder")
    if text == "-" or (suffix == ".y4m" and not is_folder):
        check_y4m(text, like is not None and like.has_alpha)
        return Sink(_stream(text, notes, queue_size, like, fps), notes)
    _refuse_special(path)
    if is_folder or not _ENDING.search(suffix):
        if path.is_file():
            raise InputError(f"cannot write to {path}: it is a file; name a folder or a video ({_KNOWN_ENDINGS})")
        return Sink(_folder_of(path, notes, like, image_format or "png", num_threads, image_queue), notes)
    if suffix == ".gif" or (like is not None and like.kind == "animation" and suffix in ANIMATION_SUFFIXES):
        return Sink(_animation(path, notes, queue_size, like, fps), notes)
    if like is not None and like.kind == "picture" and suffix in WRITTEN_SUFFIXES:
        _check_image(path, suffix, like)
        return Sink(_picture(path, queue_size), notes)
    what = "one picture" if suffix in WRITTEN_SUFFIXES else f"{suffix} files"
    hint = f"; these frames are {like.kind}" if like is not None and what == "one picture" else ""
    raise InputError(
        f"cannot write to {path}: {what} cannot hold a clip{hint}; name a folder or a video ({_KNOWN_ENDINGS})"
    )


@contextlib.contextmanager
def folder_sink(
    folder: Path,
    *,
    num_threads: int,
    queue_size: int,
    suffix: str = ".png",
    notes: list[str] | None = None,
    tags: PictureTags | None = None,
) -> Iterator[Write]:
    """Each frame as `folder`/NAME.png; a file of that name is replaced when the new one is complete.

    Images that were there and are none of these frames are named in the notes. `tags` are those of frames that
    have none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stale = {path.name for path in folder.iterdir() if path.suffix.lower() == suffix and path.name[0] != "."}

    def write(name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
        path = folder / f"{name}{suffix}"
        try:
            write_image(path, pixels, (frame.tags if frame is not None else None) or tags)
        except OSError as error:
            raise OSError(error.errno, f"cannot write: {error.strerror or error}", str(path)) from error

    with in_background(write, num_threads, queue_size) as submit:

        def checked(name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
            _check_name(name)
            stale.discard(f"{name}{suffix}")
            submit(name, pixels, frame)

        yield checked
    if stale and notes is not None:
        first = min(stale, key=lambda name: natural_order(Path(name)))
        plural = "s" if len(stale) > 1 else ""
        notes.append(f"{folder}: {len(stale)} older image{plural} beside the new ones ({first} ...)")


@contextlib.contextmanager
def array_sink(frames: list[np.ndarray]) -> Iterator[Write]:
    """Appends each frame to a list."""
    yield lambda _, pixels, frame=None: frames.append(pixels)


@contextlib.contextmanager
def in_background(function: Callable, num_threads: int, queue_size: int) -> Iterator[Callable]:
    """Gives `submit(*arguments)`, which calls `function` on a thread and waits while `queue_size` calls wait.

    All that was submitted is called, also where an exception ends the context: what an interrupted job has restored
    is written. But nothing is called after a call that failed, whose exception the next `submit` or the end raises.
    """
    clock = _CLOCK.get(None) or Clock()
    pending, function = clock.pending, clock.timed(function)
    failed = threading.Event()

    def call(*arguments: object) -> None:
        if failed.is_set():
            return
        try:
            function(*arguments)
        except BaseException:
            failed.set()
            raise

    def collect(**options) -> None:
        done, _ = wait(pending, **options)
        pending.difference_update(done)
        for future in done:
            future.result()

    def submit(*arguments: object) -> None:
        full = len(pending) >= num_threads + queue_size
        collect(timeout=None if full else 0, return_when=FIRST_COMPLETED)
        pending.add(pool.submit(call, *arguments))

    with ThreadPoolExecutor(num_threads, thread_name_prefix="write") as pool:
        yield submit
        while pending:
            collect(return_when=FIRST_COMPLETED)


@contextlib.contextmanager
def _video(path: Path, notes: list[str], queue_size: int, **settings: Any) -> Iterator[Write]:
    """The file appears when it is complete."""
    with atomic_path(path) as temporary:
        encoder = VideoEncoder(temporary, path, notes=notes, **settings)
        try:
            with in_background(encoder.write, 1, queue_size) as submit:
                yield submit
            encoder.finish()
        finally:
            encoder.close()


def _folder_of(
    path: Path, notes: list[str], like: Footage | None, image_format: str, num_threads: int, queue_size: int
) -> contextlib.AbstractContextManager[Write]:
    if image_format not in FOLDER_FORMATS:
        raise InputError(f"images can be written as {', '.join(FOLDER_FORMATS)}, not {image_format!r}")
    suffix = f".{image_format}"
    if like is not None:
        _check_image(path, suffix, like)
    tags = None
    if like is not None and like.color is not None and like.color.is_wide:
        # As the images are RGB of the full range, their matrix is 0.
        tags = PictureTags(cicp=(like.color.primaries, like.color.transfer, 0, 1))
        if suffix != ".png":
            notes.append(f"{path}: only PNG files can tell the colors of {like.name}; these images do not")
    return folder_sink(path, num_threads=num_threads, queue_size=queue_size, suffix=suffix, notes=notes, tags=tags)


@contextlib.contextmanager
def _picture(path: Path, queue_size: int) -> Iterator[Write]:
    names = []

    def write(name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
        names.append(name)
        if len(names) > 1:
            raise InputError(f"{path} is one picture and cannot hold frame {name} too; name a folder")
        write_image(path, pixels, frame.tags if frame is not None else None)

    with in_background(write, 1, queue_size) as submit:
        yield submit


@contextlib.contextmanager
def _stream(target: str, notes: list[str], queue_size: int, like: Footage | None, fps: Fraction) -> Iterator[Write]:
    with contextlib.ExitStack() as stack:
        if target == "-":
            file, name = sys.stdout.buffer, "the standard output"
        else:
            temporary, name = stack.enter_context(atomic_path(target)), target
            file = stack.enter_context(open(temporary, "wb"))
        writer = Y4mWriter(file, name, like, fps, notes)
        with in_background(writer.write, 1, queue_size) as submit:
            yield submit
        writer.finish()


@contextlib.contextmanager
def _animation(
    path: Path, notes: list[str], queue_size: int, like: Footage | None, fps: Fraction
) -> Iterator[Write]:
    suffix = path.suffix.lower()
    rate = like.rate if like is not None and like.rate else fps
    writer: GifWriter | WebpWriter | ApngWriter | None = None
    size: tuple[int, ...] = ()
    # Pixels, tags, time and duration of the frame before: it is shown until the next one comes.
    waiting: tuple[np.ndarray, PictureTags | None, Fraction | None, Fraction] | None = None

    def write(name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
        nonlocal writer, size, waiting
        if writer is None:
            kinds: dict[str, type[GifWriter | WebpWriter]] = {".gif": GifWriter, ".webp": WebpWriter}
            loops = like.loops if like is not None and like.loops is not None else 0
            writer, size = kinds.get(suffix, ApngWriter)(file, loops), pixels.shape
            if pixels.dtype == np.uint16 and suffix in kinds:
                notes.append(f"{path}: {suffix} files have 8 bits; the frames' 16 are reduced")
        if pixels.shape != size:
            raise InputError(f"{path}: frame {name} has another size than the first")
        if pixels.dtype == np.uint16 and suffix in (".gif", ".webp"):
            pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        tags = frame.tags if frame is not None else None
        moment = frame.time if frame is not None else None
        if waiting is not None:
            before, before_tags, begin, duration = waiting
            shown = moment - begin if moment is not None and begin is not None else duration
            writer.write(before, shown, before_tags)
        duration = frame.duration if frame is not None and frame.duration else 1 / rate
        waiting = pixels, tags, moment, duration

    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        with in_background(write, 1, queue_size) as submit:
            yield submit
        if waiting is None or writer is None:
            raise InputError(f"{path}: there are no frames to write")
        pixels, tags, _, duration = waiting
        writer.write(pixels, duration, tags)
        writer.finish()


def _check_image(path: Path, suffix: str, like: Footage) -> None:
    if not holds(suffix, like.channels, like.bits):
        what = "transparency" if like.has_alpha and like.bits == 8 else f"{like.bits}-bit pixels"
        raise InputError(f"{path}: {suffix} images cannot hold {what}; take png or tiff")


def _check_name(name: str) -> None:
    """Raises `InputError` for a frame's name that would leave the folder."""
    if not name or name in (".", "..") or "\0" in name or os.sep in name or (os.altsep or os.sep) in name:
        raise InputError(f"a frame is called {name!r}, which is no name for a file in a folder")


def _refuse_special(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is neither a file nor a folder; a stream is written to the standard output ('-')")
