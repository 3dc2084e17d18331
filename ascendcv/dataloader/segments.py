"""A video that is made in segments: each encoded by itself, all joined without encoding again.

Segments stand in a folder beside the target, `.NAME.segments`, with a manifest of those that are complete. A job
that was killed goes on behind the last of them; segments that several machines made are joined in the same way.
"""

import contextlib
import itertools
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np

from ascendcv.dataloader.footage import Footage, Frame
from ascendcv.dataloader.frame_sink import Sink, Write, in_background
from ascendcv.dataloader.streams import OtherStreams
from ascendcv.dataloader.video_codecs import CONTAINERS
from ascendcv.dataloader.video_decoding import reason_of
from ascendcv.dataloader.video_writer import VideoEncoder, carry_aspect, check
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

SEGMENT_FRAMES = 240
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class PartOfVideo:
    """Part `number` (from 1) of the `count` in which processes make a video, each with a manifest of its own.

    `first` is the number of its first frame in the whole, `offset` the time in the source's file that is 0 in the
    whole's times.
    """

    number: int
    count: int
    first: int
    offset: Fraction

    @property
    def label(self) -> str:
        return f"part-{self.number}-of-{self.count}"


@dataclass(frozen=True)
class Segment:
    """A complete part of a video, in a file of its own whose times begin at 0."""

    file: str
    first: int  # frames of the job before it
    count: int
    start: str  # the time of its first frame in seconds, as a fraction


def segment_folder(path: Path) -> Path:
    """Where the segments of a target stand."""
    return path.with_name(f".{path.name}.segments")


def plan_segments(count: int, length: int = SEGMENT_FRAMES, overlap: int = 0) -> list[tuple[range, range]]:
    """How `count` frames are shared: for each segment, the frames that it holds, and those that its making reads.

    A segment reads `overlap` frames more on each side, as far as there are some, so that what a network sees
    around a frame does not depend on where segments meet.
    """
    parts = [range(first, min(first + length, count)) for first in range(0, count, length)]
    return [(part, range(max(part.start - overlap, 0), min(part.stop + overlap, count))) for part in parts]


def frames_done(path: Path, job: Mapping[str, object], part: PartOfVideo | None = None) -> int:
    """How many frames of a job, or of a part of it, an earlier run has completed: 0 where none began.

    `job` is what makes two runs the same: the source, the weights, the settings; anything that JSON holds.
    Raises `InputError` for segments of another job.
    """
    manifest = _read_manifest(segment_folder(path), part)
    if manifest is None:
        return 0
    if manifest["job"] != _normal(job):
        folder = segment_folder(path)
        raise InputError(f"{folder} holds segments made with other settings; remove it, or do not resume")
    segments = manifest["segments"]
    return segments[-1].first + segments[-1].count - segments[0].first if segments else 0


def part_is_complete(path: Path, job: Mapping[str, object], part: PartOfVideo) -> bool:
    """Whether a part of a job has been made. Raises `InputError` for segments of another job."""
    frames_done(path, job, part)
    manifest = _read_manifest(segment_folder(path), part)
    return manifest is not None and manifest["complete"]


def open_segmented(
    path: str | os.PathLike,
    job: Mapping[str, object],
    *,
    like: Footage,
    resume: bool = False,
    part: PartOfVideo | None = None,
    length: int = SEGMENT_FRAMES,
    fps: Fraction | float = 24,
    queue_size: int = 2,
    **settings: Any,
) -> Sink:
    """A sink as `open_sink` gives for a video file, which keeps each `length` frames as they are done.

    Args:
        job: as `frames_done` takes it.
        like: what the frames that will be written come from; of a part of a video that goes on behind what is
            done, the part.
        resume: keep what `frames_done` counts, and expect the frames behind it; otherwise begin anew.
        part: what is written is this part of the whole, which `join_parts` makes of all of them.
        settings: codec, crf, preset, pixel_format.
    Raises:
        InputError: as `open_sink` and `frames_done`.
    """
    path = Path(path)
    notes: list[str] = []
    check(path, like, **{name: settings.get(name) for name in ("codec", "crf", "preset", "pixel_format")})
    done = frames_done(path, job, part) if resume else 0
    context = _segmented(path, _normal(job), like, part, done, length, Fraction(fps), queue_size, notes, settings)
    return Sink(context, notes)


def read_parts(folder: Path) -> Mapping[str, Any]:
    """The job of which a folder holds the parts. Raises `InputError` where one is missing or not complete."""
    files = list(folder.glob(f"*-{_MANIFEST}")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} holds no parts of a video: make them by `ascendvsr restore --part K/N`")
    found = {file: _read_manifest_file(file) for file in files}
    newest = max(files, key=lambda file: file.stat().st_mtime_ns)
    count = int(newest.name.split("-")[3])
    there = {int(file.name.split("-")[1]): found[file] for file in files if int(file.name.split("-")[3]) == count}
    missing = [str(number) for number in range(1, count + 1) if not there.get(number, {}).get("complete")]
    if missing:
        raise InputError(f"{folder}: of {count} parts these are not there or not complete: {', '.join(missing)}")
    jobs = [there[number]["job"] for number in range(1, count + 1)]
    if any(job != jobs[0] for job in jobs):
        raise InputError(f"{folder} holds parts that were made with different settings; make them again")
    segments = [segment for number in range(1, count + 1) for segment in there[number]["segments"]]
    return {"job": jobs[0], "offset": there[1]["offset"], "segments": segments}


def join_parts(path: Path, like: Footage, notes: list[str]) -> int:
    """Joins the parts of a video into its file with all that belongs to `like`, the footage of the whole source.

    Returns how many frames it has. Raises `InputError` as `read_parts` and `join_segments` do.
    """
    folder = segment_folder(path)
    segments = read_parts(folder)["segments"]
    _join_into(path, folder, segments, like, notes)
    shutil.rmtree(folder, ignore_errors=True)
    return segments[-1].first + segments[-1].count


def join_segments(folder: Path, path: Path, like: Footage, notes: list[str]) -> None:
    """Joins the segments of a folder's manifest into a video file with all that belongs to `like`.

    Raises `InputError` where they are not one after the other, or were not encoded alike.
    """
    manifest = _read_manifest(folder)
    if manifest is None or not manifest["segments"]:
        raise InputError(f"{folder} has no complete segments")
    _join_into(path, folder, manifest["segments"], like, notes)


def _join_into(path: Path, folder: Path, segments: list[Segment], like: Footage, notes: list[str]) -> None:
    for before, after in itertools.pairwise(segments):
        if after.first != before.first + before.count:
            raise InputError(f"{folder}: frames {before.first + before.count} to {after.first - 1} are missing")
    format_name = CONTAINERS[path.suffix.lower()][0]
    others = OtherStreams(like, format_name, notes)
    options = {"movflags": "+faststart"} if format_name in ("mp4", "mov") else {}
    for key, value in others.options.items():
        options[key] = options.get(key, "") + value
    try:
        with atomic_path(path) as temporary:
            with av.open(
                os.fspath(temporary),
                "w",
                format=format_name,
                metadata_errors="surrogateescape",
                container_options=options,
            ) as output:
                _join(output, [(folder / segment.file, Fraction(segment.start)) for segment in segments], others)
            carry_aspect(temporary, path, like.aspect, notes)
    except (av.FFmpegError, OSError) as error:
        raise OSError(getattr(error, "errno", None), f"cannot write: {reason_of(error)}", str(path)) from error
    finally:
        others.close()


def _join(output: av.container.OutputContainer, files: list[tuple[Path, Fraction]], others: OtherStreams) -> None:
    stream: av.VideoStream | None = None
    # Not all containers store when a packet is to be decoded: this many packets before the one shown then.
    delay = max(_reordering(file) for file, _ in files)
    before: list[int] = []
    for file, start in files:
        with av.open(os.fspath(file)) as container:
            given = container.streams.video[0]
            if stream is None:
                stream = output.add_stream_from_template(given, opaque=True)
                stream.time_base = given.time_base
                extradata, tick = given.codec_context.extradata, cast(Fraction, given.time_base)
                others.add_to(output, stream)
            elif given.codec_context.extradata != extradata or given.time_base != tick:
                raise InputError(f"{file} was encoded unlike the segments before it; they cannot be joined")
            offset = round(start / tick)
            shown = sorted(time + offset for time in _shown_times(file))
            if not before:
                step = max(shown[1] - shown[0], 1) if len(shown) > 1 else 1
                before = [shown[0] - step * (delay - index) for index in range(delay)]
            decoded = before + shown
            for dts, (packet, time) in zip(decoded, _packets(container, file), strict=False):
                packet.pts, packet.dts = time + offset, dts
                others.write_until(dts * tick)
                packet.stream = stream
                output.mux(packet)
            before = decoded[len(shown) :]
    others.write_until(None)


def _shown_times(file: Path) -> list[int]:
    with av.open(os.fspath(file)) as container:
        return [time for _, time in _packets(container, file)]


def _packets(container: av.container.InputContainer, file: Path) -> Iterator[tuple[av.Packet, int]]:
    """The packets of a segment's frames, and when each frame is shown."""
    for packet in container.demux(video=0):
        if packet.size and packet.pts is None:
            raise InputError(f"{file} has a frame without a time; it cannot be joined")
        if packet.size and packet.pts is not None:
            yield packet, packet.pts


def _reordering(file: Path) -> int:
    """How many packets later than in the order of showing the latest comes."""
    times = _shown_times(file)
    place = {time: rank for rank, time in enumerate(sorted(times))}
    return max(index - place[time] for index, time in enumerate(times))


@contextlib.contextmanager
def _segmented(
    path: Path,
    job: object,
    like: Footage,
    part: PartOfVideo | None,
    done: int,
    length: int,
    fps: Fraction,
    queue_size: int,
    notes: list[str],
    settings: Mapping[str, object],
) -> Iterator[Write]:
    folder = segment_folder(path)
    if not done and part is None:
        shutil.rmtree(folder, ignore_errors=True)
    elif not done:
        (folder / _manifest_name(part)).unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    offset = like.offset if part is None else part.offset
    manifest = _read_manifest(folder, part) or {
        "job": job,
        "offset": str(offset),
        "segments": [],
        "complete": False,
    }
    # Frames of a part count their time from its own beginning.
    shift = like.offset - Fraction(manifest["offset"])
    writer = _SegmentWriter(folder, path, manifest, part, done, shift, length, like, fps, notes, settings)
    try:
        with in_background(writer.write, 1, queue_size) as submit:
            yield submit
        writer.finish_segment()
    finally:
        writer.close()
    if part is not None:
        _write_manifest(folder, manifest | {"complete": True}, part)
        return
    end = None if like.end is None else like.end + shift
    whole = replace(like, offset=Fraction(manifest["offset"]), begin=like.begin - shift, end=end)
    join_segments(folder, path, whole, notes)
    shutil.rmtree(folder, ignore_errors=True)


class _SegmentWriter:
    def __init__(self, folder, path, manifest, part, done, shift, length, like, fps, notes, settings):
        self._folder, self._path, self._manifest, self._shift = folder, path, manifest, shift
        self._part, self._done = part, done + (part.first if part else 0)
        self._length, self._like, self._fps, self._notes, self._settings = length, like, fps, notes, settings
        self._encoder: VideoEncoder | None = None
        self._count = 0

    def write(self, name: str, pixels: np.ndarray, frame: Frame | None = None) -> None:
        if self._encoder is None:
            self._encoder = self._begin(frame)
        time = self._time(frame) - self._start
        duration = frame.duration if frame is not None else None
        self._encoder.write(name, pixels, Frame(name, pixels, time, duration))
        self._count += 1
        if self._count == self._length:
            self.finish_segment()

    def finish_segment(self) -> None:
        """Completes the file, and then the manifest."""
        if self._encoder is None:
            return
        self._encoder.finish()
        self._encoder = None
        name = f"{self._done:08d}{self._path.suffix.lower()}"
        os.replace(self._temporary, self._folder / name)
        self._manifest["segments"].append(Segment(name, self._done, self._count, str(self._start)))
        _write_manifest(self._folder, self._manifest, self._part)
        self._done, self._count = self._done + self._count, 0

    def close(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._temporary.unlink(missing_ok=True)

    def _begin(self, frame: Frame | None) -> VideoEncoder:
        self._start = self._time(frame)
        self._temporary = self._folder / f"incomplete{_label(self._part)}{self._path.suffix.lower()}"
        notes = self._notes if not self._manifest["segments"] else []  # each segment would say the same
        return VideoEncoder(
            self._temporary,
            self._path,
            like=self._like,
            fps=self._fps,
            notes=notes,
            with_streams=False,
            **self._settings,
        )

    def _time(self, frame: Frame | None) -> Fraction:
        if frame is not None and frame.time is not None:
            return frame.time + self._shift
        return (self._done + self._count) / Fraction(self._like.rate or self._fps)


def _label(part: PartOfVideo | None) -> str:
    """Of a file that is being written: a part may be made by two processes, of which one is thought to be dead."""
    return "" if part is None else f"-{part.label}-{uuid.uuid4().hex[:8]}"


def _manifest_name(part: PartOfVideo | None) -> str:
    return _MANIFEST if part is None else f"{part.label}-{_MANIFEST}"


def _read_manifest(folder: Path, part: PartOfVideo | None = None) -> dict | None:
    file = folder / _manifest_name(part)
    return _read_manifest_file(file) if file.exists() else None


def _read_manifest_file(file: Path) -> dict:
    folder = file.parent
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read ({error}); remove {folder}") from error
    try:
        segments = [Segment(**segment) for segment in content["segments"]]
        complete = [segment for segment in segments if (folder / segment.file).is_file()]
        whole = bool(content.get("complete")) and complete == segments
        return {"job": content["job"], "offset": content["offset"], "segments": complete, "complete": whole}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is no manifest of segments; remove {folder}") from error


def _write_manifest(folder: Path, manifest: dict, part: PartOfVideo | None = None) -> None:
    segments = [asdict(segment) for segment in manifest["segments"]]
    with atomic_path(folder / _manifest_name(part)) as temporary:
        temporary.write_text(json.dumps({**manifest, "segments": segments}, indent=1) + "\n")


def _normal(job: Mapping[str, object]) -> object:
    """As JSON gives it back."""
    return json.loads(json.dumps(job, default=str, sort_keys=True))
