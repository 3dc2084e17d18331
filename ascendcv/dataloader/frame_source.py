"""Where the frames of a clip come from: image files, a video file, an array.

A source is iterated for pairs (name, pixels [H, W, C] uint8 or uint16), holds one frame at a time, and says
before that what it is:
    name       for messages
    fps        frames a second, None where there is no such thing
    notes      what the user should be told: files that are ignored, sound that is not carried over
    operator.length_hint(source)   the number of frames; of a video, an estimate
"""

import os
import re
import subprocess
import tempfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import numpy as np

from ascendcv.dataloader.image import IMAGE_SUFFIXES, check_clip, convert, list_images, read_image
from ascendcv.utils.errors import InputError

Frame = tuple[str, np.ndarray]


class ImageSource:
    """Image files as one clip. All frames get the channels and bits that hold every one of them."""

    fps = None

    def __init__(self, paths: Sequence[Path], name: str, ignored: int = 0):
        """Reads all headers. Raises `InputError` naming the first file that is unreadable or of another size,
        and for two frames of one name (1.png beside 1.jpg)."""
        self.paths, self.name = paths, name
        self._header = check_clip(paths)
        stem, count = Counter(path.stem for path in paths).most_common(1)[0]
        if count > 1:
            raise InputError(f"{paths[0].parent} has {count} frames called {stem}: keep one of them")
        plural = "s" if ignored > 1 else ""
        self.notes = [f"{name}: ignored {ignored} other file{plural}"] if ignored else []

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            yield path.stem, convert(read_image(path), self._header.channels, self._header.bits)


class ArraySource:
    """The frames of an array [T, H, W, C], uint8 or uint16, C = 1, 2, 3 or 4."""

    name, fps, notes = "array", None, ()

    def __init__(self, frames: np.ndarray):
        if frames.ndim != 4 or frames.shape[-1] not in (1, 2, 3, 4) or 0 in frames.shape:
            raise InputError(f"frames should have the shape [T, H, W, C], C 1 to 4, not {list(frames.shape)}")
        if frames.dtype not in (np.uint8, np.uint16):
            raise InputError(f"frames should be uint8 or uint16, not {frames.dtype}")
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return ((f"{index:08d}", frame) for index, frame in enumerate(self._frames))


# What ffmpeg says of a stream -> why its frames cannot be restored as they are, and what helps.
_REFUSED = {
    r"smpte2084|arib-std-b67|bt2020": "has HDR or BT.2020 colour; convert it to BT.709 first",
    r"(top|bottom) (coded )?first": "is interlaced; deinterlace it first (ffmpeg's filter bwdif)",
    r"yuva|rgba|argb|bgra|abgr|gbrap|\bya8|\bya16|pal8": "has transparency; extract its frames as PNG first",
}


class VideoSource:
    """The frames of a video file, decoded by ffmpeg to RGB of 8 bits, or 16 where the video has more than 8.

    Every stored frame comes once, whatever its time stamp. Colours are converted by the matrix and range that
    the file names; where it names none, by BT.709 from 720 lines on and by BT.601 below, as players do.
    """

    def __init__(self, path: Path):
        """Decodes the first frame. Raises `InputError` for a file that is no video, and for HDR, interlaced
        frames, transparency and pixels that are not square."""
        self.name, self._path = str(path), path
        result = _run_ffmpeg(path, "-frames:v", "1", "-c:v", "rawvideo", "-f", "framecrc")
        said, facts = result.stderr.decode(errors="replace"), result.stdout.decode()
        if result.returncode or not re.search(r"^0,", facts, re.MULTILINE):
            raise InputError(f"{path} is no readable video ({_message(said.strip().splitlines()[-1])})")
        stream = next(line for line in said.splitlines() if " Video: " in line).partition(" Video: ")[2]
        for pattern, reason in _REFUSED.items():
            if re.search(pattern, stream):
                raise InputError(f"{path} {reason}")
        aspect = re.search(r"#sar 0: (\d+)/(\d+)", facts)
        if aspect[1] not in ("0", aspect[2]):
            raise InputError(f"{path} has pixels that are not square ({aspect[1]}:{aspect[2]}); scale it first")
        self._width, self._height = map(int, re.search(r"#dimensions 0: (\d+)x(\d+)", facts).groups())
        self._dtype = np.dtype(np.uint16 if re.search(r"(9|10|12|14|16|48)(le|be)\b", stream) else np.uint8)
        self._has_matrix = re.search(r"bt709|bt470bg|smpte170m|smpte240m|fcc|gbr", stream) is not None
        self.notes = [f"{path}: the sound is not carried over"] if " Audio: " in said else []
        self._set_rate(stream, facts)
        duration = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
        hours, minutes, seconds = map(float, duration.groups()) if duration else (0, 0, 0)
        self._estimate = round((3600 * hours + 60 * minutes + seconds) * self.fps)

    def _set_rate(self, stream: str, facts: str) -> None:
        """The exact rate; of a variable one, the average."""
        seconds, ticks = map(int, re.search(r"#tb 0: (\d+)/(\d+)", facts).groups())
        self.fps = Fraction(ticks, seconds)
        average = re.search(r"([\d.]+) fps", stream)
        if average and abs(float(average[1]) / float(self.fps) - 1) > 0.01:
            self.fps = Fraction(average[1])
            self.notes.append(f"{self.name}: its frame rate varies; the frames are given the average, {average[1]}")

    def __length_hint__(self) -> int:
        return self._estimate

    def __iter__(self) -> Iterator[Frame]:
        shape = (self._height, self._width, 3)
        size = self._height * self._width * 3 * self._dtype.itemsize
        scale = "scale=flags=bicubic+accurate_rnd+full_chroma_int"
        if self._height >= 720 and not self._has_matrix:
            scale += ":in_color_matrix=bt709"
        pixel_format = "rgb24" if self._dtype == np.uint8 else "rgb48le"
        options = ["-vf", scale, "-pix_fmt", pixel_format, "-f", "rawvideo", "-fps_mode", "passthrough"]
        with tempfile.TemporaryFile() as log:
            decoder = _start_ffmpeg(self._path, "-v", "error", *options, stdout=subprocess.PIPE, stderr=log)
            try:
                count = 0
                while len(data := decoder.stdout.read(size)) == size:
                    yield f"{count:08d}", np.frombuffer(data, self._dtype).reshape(shape)
                    count += 1
                status = decoder.wait()
            finally:
                decoder.kill()
                decoder.wait()
                decoder.stdout.close()
            log.seek(0)
            complaint = log.read().decode(errors="replace")
        if status or data or complaint:  # ffmpeg goes on, and reports success, when it has skipped damaged frames
            reason = _message(complaint.partition("\n")[0])
            raise InputError(f"{self._path} is damaged after {count} frames ({reason}); repair it first")


def open_source(source: str | os.PathLike | np.ndarray) -> ImageSource | ArraySource | VideoSource:
    """A folder of frames, one image, a video file or an array [T, H, W, C] as a source of frames.

    Raises `InputError`, before any frame is decoded, for what is missing or cannot be read.
    """
    if isinstance(source, np.ndarray):
        return ArraySource(source)
    path = Path(source)
    if path.is_dir():
        images, ignored = list_images(path)
        return ImageSource(images, str(path), ignored)
    if not path.exists():
        raise InputError(f"there is no folder or video {path}")
    return ImageSource([path], str(path)) if path.suffix.lower() in IMAGE_SUFFIXES else VideoSource(path)


def prefetch(frames: Iterable[Frame], depth: int = 4) -> Iterator[Frame]:
    """The same frames, up to `depth` of them read ahead by a thread of its own, which ends with the iterator.

    An error of the reader comes out in the place of the frame that it happened at.
    """
    iterator, end = iter(frames), object()
    with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
        try:
            waiting = deque(pool.submit(next, iterator, end) for _ in range(depth))
            while (frame := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, iterator, end))
                yield frame
        finally:
            pool.shutdown(cancel_futures=True)
            if hasattr(iterator, "close"):
                iterator.close()


def _run_ffmpeg(path: Path, *options: str) -> subprocess.CompletedProcess:
    process = _start_ffmpeg(path, *options, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def _start_ffmpeg(path: Path, *options: str, **pipes) -> subprocess.Popen:
    """ffmpeg, writing the first video stream of a file to its standard output."""
    from imageio_ffmpeg import get_ffmpeg_exe

    # `file:` keeps names with a colon from being taken for a protocol.
    source = ["-i", f"file:{path}", "-map", "0:V:0"]
    command = [get_ffmpeg_exe(), "-hide_banner", "-nostdin", *source, *options, "-"]
    # Ctrl-C goes to a whole process group: in one of its own, ffmpeg ends when this program says so.
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, **pipes)


def _message(line: str) -> str:
    """A line of ffmpeg's without the part of it that speaks."""
    return re.sub(r"^(\[[^]]*\] )+", "", line) or "ffmpeg says no more"
