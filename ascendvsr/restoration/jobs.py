"""Which clips a command line names, and where each result goes."""

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ascendcv.dataloader.clips import folders_of_frames
from ascendcv.dataloader.footage import Footage
from ascendcv.dataloader.frame_sink import VIDEO_SUFFIXES
from ascendcv.dataloader.frame_source import clip_folders
from ascendcv.dataloader.image import WRITTEN_SUFFIXES, is_image_name, natural_order
from ascendcv.dataloader.stored import in_packed, is_folder
from ascendcv.utils.errors import InputError

STREAM = "-"
# What is looked for in a folder of videos; a file that is named by itself may have any name.
_READ_VIDEO_SUFFIXES = {
    *VIDEO_SUFFIXES,
    *(".avi", ".flv", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob", ".wmv", ".3gp", ".ogv", ".mxf", ".asf"),
    *(".h264", ".264", ".hevc", ".h265", ".265", ".m2v", ".y4m"),
}
_STRAY_PICTURES = 2  # beside videos: a cover, a thumbnail


@dataclass(frozen=True)
class Job:
    """One clip to restore: a file, a folder of frames or '-', and the place that was named for it, if any.

    `place` is a target, or with `inside` the folder that the result goes into.
    """

    source: str
    place: str | None = None
    inside: bool = False


def find_jobs(names: Sequence[str], output: str | None) -> tuple[list[Job], list[str]]:
    """The clips that `names` mean, and notes on what is left out.

    A name is a file, a folder of frames, a folder of such folders or of videos, a pattern, or '-'. Of exactly two
    names the second is the output if it does not exist or is a folder. Raises `InputError` for a name that means
    nothing, and for one output of several clips that is a file.
    """
    names = list(names)
    if output is None and len(names) == 2 and _is_output(names[1]):
        output = names.pop()
    sources, notes = [], []
    for name in names:
        found, said = _clips(name)
        sources += found
        notes += said
    if output is None:
        if STREAM in sources:
            raise InputError(
                "frames of the standard input go nowhere by themselves: name an output, or - for a stream"
            )
        return [_beside(source) for source in sources], notes
    if len(sources) == 1 and sources[0] == names[0]:
        return [Job(sources[0], output)], notes
    if Path(output).suffix.lower() in VIDEO_SUFFIXES or Path(output).is_file() or output == STREAM:
        raise InputError(f"{len(sources)} clips cannot go into {output}: name a folder")
    return [Job(source, output, inside=True) for source in sources], notes


def truths_of(jobs: Sequence[Job], truth: str) -> list[str]:
    """The ground truth of each clip: of a single one `truth` itself, of several the clip of the same name in it.

    Raises `InputError` for a clip that has none.
    """
    held = _clips(truth)[0]
    if len(jobs) == 1 and len(held) == 1:
        return held
    by_name = {_stem(source): source for source in held}
    for job in jobs:
        if _stem(job.source) not in by_name:
            raise InputError(f"{truth} holds no clip {_stem(job.source)}, the ground truth of {job.source}")
    return [by_name[_stem(job.source)] for job in jobs]


def _stem(source: str) -> str:
    """The name of a clip, without the ending of a file."""
    path = Path(source)
    return _name(path) if is_folder(path) else path.stem


def _beside(source: str) -> Job:
    """A clip whose result goes beside it; of one in an LMDB into a folder beside that, by its name there."""
    root = in_packed(source)
    if root is None:
        return Job(source)
    inside = Path(source).relative_to(root)
    return Job(source, str(root.with_name(f"{root.stem}_restored") / inside))


def _is_output(name: str) -> bool:
    path = Path(name)
    return name == STREAM or path.is_dir() or not (path.exists() or glob.glob(name))


def _clips(name: str) -> tuple[list[str], list[str]]:
    """The clips that one name means."""
    path = Path(name)
    if name == STREAM:
        return [name], []
    if in_packed(path):
        return [str(folder) for folder in folders_of_frames(path, path.name).values()], []
    if path.is_file():
        return [name], []
    if path.is_dir():
        return _clips_in(path)
    if path.exists():
        raise InputError(f"{name} is neither a file nor a folder; a stream is read from the standard input (-)")
    matching = sorted(glob.glob(name), key=lambda found: natural_order(Path(found)))
    if not matching:
        raise InputError(f"there is no file or folder {name}")
    found = [_clips(match) for match in matching]
    return [clip for clips, _ in found for clip in clips], [note for _, notes in found for note in notes]


def _clips_in(folder: Path) -> tuple[list[str], list[str]]:
    """The clips in a folder: the folder itself where it holds frames, else its folders of frames and its videos."""
    files = sorted((path for path in folder.iterdir() if _is_seen(path)), key=natural_order)
    pictures = [path for path in files if is_image_name(path)]
    videos = [path for path in files if is_video_name(path)]
    folders = clip_folders(folder)
    if not folders and len(pictures) > (_STRAY_PICTURES if videos else 0):
        left = f"{folder}: its {len(pictures)} pictures are taken as one clip; {_counted(videos, 'video')} left out"
        return [str(folder)], [left] if videos else []
    if not folders and not videos:
        raise InputError(f"{folder} holds no frames, no folders of frames and no videos")
    left = (
        f"{folder}: {_counted(pictures, 'picture')} beside the clips left out ({pictures[0].name} ...)"
        if pictures
        else ""
    )
    return [str(path) for path in [*folders, *videos]], [left] if left else []


def is_video_name(path: Path) -> bool:
    """Whether a file is a video by the ending of its name."""
    return path.suffix.lower() in _READ_VIDEO_SUFFIXES


def _is_seen(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _counted(paths: Sequence[Path], noun: str) -> str:
    return f"{len(paths)} {noun} is" if len(paths) == 1 else f"{len(paths)} {noun}s are"


def target_of(job: Job, footage: Footage, image_format: str | None, ending: str = "_restored") -> str:
    """Where the result of a job goes: beside its input as NAME_restored, or where its place says.

    Where nothing else is said, a video keeps its container if that can be written and becomes a .mkv if not; a
    picture stays one, and so does a folder of frames.
    """
    source = Path(job.source)
    suffix = "" if image_format else _suffix_for(source, footage)
    if job.place is None:
        return str(source.with_name((source.name if source.is_dir() else source.stem) + ending + suffix))
    if job.inside:
        return str(Path(job.place, _stem(job.source) + suffix))
    return job.place


def _name(folder: Path) -> str:
    """Of a folder its name; of one in an LMDB its place there, which tells 00001/0001 from 00002/0001."""
    root = in_packed(folder)
    if root is None:
        return folder.name
    return str(folder.relative_to(root)) if root != folder else folder.stem


def _suffix_for(source: Path, footage: Footage) -> str:
    suffix = source.suffix.lower()
    if footage.kind == "video":
        return suffix if suffix in (*VIDEO_SUFFIXES, ".y4m") else ".mkv"
    if footage.kind == "animation":
        return suffix
    if footage.kind == "picture":
        return suffix if suffix in WRITTEN_SUFFIXES else ".png"
    return ""


def check_target(target: str, sources: Sequence[str], *, overwrite: bool) -> None:
    """Raises `InputError` where a result would replace a file without `overwrite`, or an input in any case."""
    if target == STREAM:
        return
    path = Path(target)
    for source in sources:
        if source != STREAM and path.resolve() == Path(source).resolve():
            raise InputError(f"{target} is an input, which is never replaced: name another output")
    if overwrite:
        return
    if path.is_file():
        raise InputError(f"{target} exists: say --overwrite to replace it, or name another output")
    if path.is_dir() and (held := next((entry for entry in path.iterdir() if is_image_name(entry)), None)):
        raise InputError(
            f"{target} holds frames ({held.name} ...): say --overwrite to replace those of the same names, "
            "--resume to go on where a restoration was stopped, or name another output"
        )
