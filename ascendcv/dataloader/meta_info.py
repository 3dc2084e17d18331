"""Lists of clips and of frames, as BasicSR and KAIR write them: meta_info_*.txt and an LMDB's meta_info.txt."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ascendcv.dataloader.image import IMAGE_SUFFIXES
from ascendcv.utils.errors import InputError

_SHAPE = r"\((?P<shape>\d+, ?\d+(?:, ?\d+)?)\)"
_CLIP = re.compile(rf"(?P<name>.+?)(?: (?P<frames>\d+)(?: {_SHAPE}(?: (?P<first>\d+))?)?)?")
_FRAME = re.compile(rf"(?P<name>.+?) {_SHAPE}(?: \d+)?")
_MAX_LINE = 4096  # characters
_MAX_DIGITS = 9


@dataclass(frozen=True)
class Listed:
    """A line of a list: a clip, and what it says of its frames (None: nothing)."""

    name: str
    frames: int | None = None
    first: int | None = None  # the number in the name of the first frame
    shape: tuple[int, ...] | None = field(default=None, compare=False)  # height, width, channels


def read_meta_info(path: Path) -> list[Listed]:
    """The clips of a list, each once: name, frames, shape, number of the first frame; only the name must be there.

    BasicSR's files have three fields (`000 100 (720,1280,3)`), KAIR's four, Vimeo-90K's lists one; those in the
    meta_info.txt of an LMDB are frames (`000/00000000.png (720,1280,3) 1`), which are gathered into clips. A
    byte-order mark and any ends of lines are accepted. Raises `InputError` for a file that is missing, empty or
    malformed, and for a clip of which two lines say different things.
    """
    listed: dict[str, Listed] = {}
    lines = _lines(path)
    stored = [_FRAME.fullmatch(line) for _, line in lines]
    if lines and all(found and _is_image(found["name"]) for found in stored):
        return _gathered(lines, path)
    for number, line in lines:
        found = _CLIP.fullmatch(line)
        if not found or (" " in found["name"] and found["shape"] is None):  # names may have spaces, if rarely
            raise InputError(f"{path}, line {number}: it should be NAME [FRAMES (H,W,C) [FIRST]]")
        frames, first = (
            None if found[key] is None else _integer(found[key], path, number) for key in ("frames", "first")
        )
        shape = None if found["shape"] is None else _shape(found["shape"], path, number)
        clip = Listed(found["name"], frames, first, shape)
        known = listed.setdefault(clip.name, clip)
        if known != clip or known.shape != clip.shape:
            raise InputError(f"{path}, line {number}: clip {clip.name} is listed before with other numbers")
    if not listed:
        raise InputError(f"{path} lists no clips")
    return list(listed.values())


def read_frame_list(path: Path) -> dict[str, tuple[int, ...]]:
    """The meta_info.txt of an LMDB: key of every frame -> (height, width, channels).

    Raises `InputError` as `read_meta_info` does.
    """
    shapes = {}
    for number, line in _lines(path):
        found = _FRAME.fullmatch(line)
        if not found:
            raise InputError(f"{path}, line {number}: it should be KEY.png (H,W,C) LEVEL")
        name = PurePosixPath(found["name"])
        key = found["name"].removesuffix(name.suffix) if _is_image(found["name"]) else found["name"]
        shapes[key] = _shape(found["shape"], path, number)
    return shapes


def _gathered(lines: list[tuple[int, str]], path: Path) -> list[Listed]:
    frames: dict[str, list[tuple[int, ...]]] = {}
    for key, shape in read_frame_list(path).items():
        frames.setdefault(key.rpartition("/")[0] or ".", []).append(shape)
    for name, shapes in frames.items():
        if len(set(shapes)) > 1:
            raise InputError(f"{path}: the frames of clip {name} have different sizes")
    return [Listed(name, len(shapes), None, shapes[0]) for name, shapes in frames.items()]


def _lines(path: Path) -> list[tuple[int, str]]:
    """Lines that are not empty, with their numbers; their fields are one space apart."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no list of clips {path}") from None
    except OSError as error:
        raise InputError(f"{path} is no readable list of clips ({error.strerror})") from error
    text = os.fsdecode(data.removeprefix(b"\xef\xbb\xbf"))
    if "\0" in text:
        raise InputError(f"{path} is no readable list of clips (it is no text, or not in UTF-8)")
    lines = [(number, " ".join(line.split())) for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1)]
    lines = [(number, line) for number, line in lines if line]
    for number, line in lines:
        if len(line) > _MAX_LINE:
            raise InputError(f"{path}, line {number}: it is {len(line)} characters long; is this a list of clips?")
    return lines


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def _shape(text: str, path: Path, number: int) -> tuple[int, ...]:
    return tuple(_integer(part.strip(), path, number) for part in text.split(","))


def _integer(digits: str, path: Path, number: int) -> int:
    if len(digits) > _MAX_DIGITS:
        raise InputError(f"{path}, line {number}: {digits[:20]}... is too large a number")
    return int(digits)
