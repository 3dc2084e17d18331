"""Where the frames of a clip come from: image files, animations, a video, an array.

A source is iterated for `Frame`s (which unpack as name, pixels [H, W, C] uint8 or uint16), holds one frame at a
time, and says before that what it is:
    name       for messages
    footage    what a sink needs, to write the same kind of thing: `open_sink(path, like=source.footage)`
    fps        frames a second, None where there is no such thing
    notes      what the user should be told: what is left out or changed. A source may add some while it is read.
    operator.length_hint(source)   the number of frames; of a video, an estimate
"""

import os
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ascendcv.dataloader.animation import AnimationSource, count_frames
from ascendcv.dataloader.clips import folders_of_frames
from ascendcv.dataloader.footage import Footage, Frame
from ascendcv.dataloader.image import (
    IMAGE_SUFFIXES,
    SKIPPED_FOLDERS,
    check_clip,
    convert,
    is_image_name,
    natural_order,
    picture_format,
    read_picture,
    read_turn,
    split_folder,
)
from ascendcv.dataloader.stored import entries, in_packed, is_folder, open_frame
from ascendcv.dataloader.turn import Turn
from ascendcv.dataloader.video_reader import VideoSource, check_range
from ascendcv.utils.errors import InputError

# Streams of pictures, which begin as a picture does.
_PICTURE_STREAMS = (".mjpeg", ".mjpg")
_ANIMATED = (".gif", ".webp", ".apng")
_STRAY_PICTURES = 2  # beside folders of clips: a cover, a thumbnail


class ImageSource:
    """Image files as one clip. All frames get the channels and bits that hold every one of them."""

    fps = None

    def __init__(
        self, paths: Sequence[Path], name: str, ignored: Sequence[Path] | int = 0, *, turned: bool = False
    ):
        """Reads all headers.

        Args:
            ignored: other files in the folder, or how many.
            turned: whether to turn the frames as their EXIF data ask, if all ask for the same.
        Raises:
            InputError: names the first file that is unreadable or of another size; two frames of one name
                (1.png beside 1.jpg).
        """
        self.paths, self.name = list(paths), name
        self._header = check_clip(paths)
        stem, count = Counter(path.stem for path in paths).most_common(1)[0]
        if count > 1:
            raise InputError(f"{paths[0].parent} has {count} frames called {stem}: keep one of them")
        self.notes = _ignored_note(name, len(self.paths), ignored)
        animated = [path for path in paths if path.suffix.lower() in _ANIMATED and count_frames(path) > 1]
        if animated:
            self.notes.append(
                f"{name}: of {len(animated)} animated pictures ({animated[0].name} ...) the first frames are taken"
            )
        self._turn = self._common_turn() if turned else Turn()
        height, width = self._header[:2]
        self.footage = Footage(
            name=name,
            kind="picture" if len(self.paths) == 1 else "pictures",
            height=width if self._turn.transpose else height,
            width=height if self._turn.transpose else width,
            channels=self._header.channels,
            bits=self._header.bits,
            suffix=self.paths[0].suffix.lower(),
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            picture = read_picture(path)
            pixels = self._turn(convert(picture.pixels, self._header.channels, self._header.bits))
            yield Frame(path.stem, pixels, tags=picture.tags)

    def _common_turn(self) -> Turn:
        turns = Counter(read_turn(path) for path in self.paths)
        if len(turns) > 1:
            count = sum(number for turn, number in turns.items() if turn != Turn())
            self.notes.append(
                f"{self.name}: {count} of {len(self.paths)} frames ask to be turned (EXIF), each its own way; "
                "none is"
            )
            return Turn()
        return next(iter(turns))


class ArraySource:
    """The frames of an array [T, H, W, C], uint8 or uint16, C = 1, 2, 3 or 4."""

    name, fps, notes = "array", None, ()

    def __init__(self, frames: np.ndarray):
        if frames.ndim != 4 or frames.shape[-1] not in (1, 2, 3, 4) or 0 in frames.shape:
            raise InputError(f"frames should have the shape [T, H, W, C], C 1 to 4, not {list(frames.shape)}")
        if frames.dtype not in (np.uint8, np.uint16):
            raise InputError(f"frames should be uint8 or uint16, not {frames.dtype}")
        self._frames = frames
        height, width, channels = frames.shape[1:]
        self.footage = Footage(self.name, "array", height, width, channels, 8 * frames.dtype.itemsize)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return (Frame(f"{index:08d}", frame) for index, frame in enumerate(self._frames))


_Frames = TypeVar("_Frames", np.ndarray, list[Path])
Source = ImageSource | ArraySource | VideoSource | AnimationSource


def open_source(
    source: str | os.PathLike | np.ndarray,
    *,
    stream: int | None = None,
    start: int | float | Fraction = 0,
    frames: int | None = None,
    deinterlace: bool = False,
    on_error: str = "skip",
    hdr: str = "keep",
) -> Source:
    """A folder of frames, one image, an animation, a video or an array [T, H, W, C] as a source of frames.

    '-' is a y4m stream on the standard input. What a file is, its content tells. `start` (a number of frames, or
    seconds as a float or Fraction) and `frames` choose a part; the other options are `VideoSource`'s.
    Raises `InputError`, before more than a few frames are decoded, for what is missing or cannot be read.
    """
    if isinstance(source, np.ndarray):
        check_range("the array", start, frames)
        whole = ArraySource(source)
        return ArraySource(_part(source, whole.name, start, frames))
    check_range(str(source), start, frames)
    path = Path(source)
    options: dict[str, Any] = {"stream": stream, "start": start, "frames": frames, "deinterlace": deinterlace}
    options |= {"on_error": on_error, "hdr": hdr}
    if str(source) == "-":
        return VideoSource(source, **options)
    if is_folder(path):
        images, ignored = split_folder(path)
        return ImageSource(_part(images, str(path), start, frames), str(path), ignored, turned=True)
    inside = in_packed(path) is not None
    if not inside and not path.exists():
        raise InputError(f"there is no folder or video {path}")
    if not inside and not path.is_file():
        raise InputError(f"{path} is neither a file nor a folder; a stream is read from the standard input ('-')")
    if is_picture(path):
        if count_frames(path) > 1:
            return AnimationSource(path, start=start, frames=frames)
        return ImageSource(_part([path], str(path), start, frames), str(path), turned=True)
    return VideoSource(path, **options)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture or an animation, by its content; a damaged one, by its name."""
    if path.suffix.lower() in _PICTURE_STREAMS:
        return False
    try:
        with open_frame(path) as file:
            start = file.read(16)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if picture_format(start) is not None:
        return True
    is_video = start[4:8] in (b"ftyp", b"moov", b"mdat") or start[:4] in (
        b"\x1aE\xdf\xa3",
        b"RIFF",
        b"OggS",
        b"FLV\1",
    )
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_video


def clip_folders(folder: Path) -> list[Path]:
    """The folders of frames in a folder that is no clip itself, in natural order; of an LMDB, at any depth.

    A picture or two beside them (folder.jpg) do not make it one.
    """
    if not is_folder(folder):
        return []
    if in_packed(folder):
        return [path for path in folders_of_frames(folder, "").values() if path != folder]
    inside, files = entries(folder)
    own = [path for path in files if is_image_name(path)]
    folders = [path for path in sorted(inside, key=natural_order) if is_folder_of_frames(path)]
    return folders if folders and len(own) <= _STRAY_PICTURES else []


def is_folder_of_frames(path: Path) -> bool:
    """Whether it is a folder with images, and none that is hidden or made by another program."""
    if not is_folder(path) or path.name.startswith(".") or path.name in SKIPPED_FOLDERS:
        return False
    return any(is_image_name(file) for file in entries(path)[1])


def prefetch(frames: Iterable[Frame], depth: int = 4) -> Generator[Frame, None, None]:
    """The same frames, up to `depth` of them read ahead by a thread of its own, which ends with the iterator.

    An error of the reader comes out in the place of the frame that it happened at.
    """
    iterator, end = iter(frames), object()
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        try:
            waiting: deque[Future] = deque(pool.submit(next, iterator, end) for _ in range(depth))
            while (frame := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, iterator, end))
                yield frame
        finally:
            pool.shutdown(cancel_futures=True)
            if hasattr(iterator, "close"):
                iterator.close()


def _part(frames: _Frames, name: str, start: int | float | Fraction, count: int | None) -> _Frames:
    """`count` frames from `start` on, of what has no times."""
    if not isinstance(start, int):
        raise InputError(f"{name} has no times: begin it at a number of frames, not at {float(start):g} s")
    if start >= len(frames):
        raise InputError(f"{name} has {len(frames)} frames; it cannot be restored from frame {start} on")
    return frames[start:] if count is None else frames[start : start + count]


def _ignored_note(name: str, taken: int, ignored: Sequence[Path] | int) -> list[str]:
    if not ignored:
        return []
    count = ignored if isinstance(ignored, int) else len(ignored)
    named = "" if isinstance(ignored, int) else f" ({', '.join(path.name for path in ignored[:3])}"
    named += "" if isinstance(ignored, int) else ", ...)" if count > 3 else ")"
    took = f"took {taken} image{'s' if taken > 1 else ''}"
    return [f"{name}: {took}, ignored {count} other file{'s' if count > 1 else ''}{named}"]
