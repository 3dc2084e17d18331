"""The published data sets: what belongs to each, where its clips go, how its input is made."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ascendcv.dataloader.layouts import DVD_TEST, Video, list_videos
from ascendcv.dataloader.stored import entries, is_folder
from ascendcv.utils.errors import InputError

_SEARCHED = 3  # levels of folders in which a set may lie in its archives


class Degradation(NamedTuple):
    """How low-quality frames are made: the steps, and what folders of them are called."""

    steps: tuple[str, ...]
    letters: str


# Names of `--lr`.
DEGRADATIONS = {
    "bicubic": Degradation(("bicubic scale=4 rounding=each",), "BI"),
    "bicubic-end": Degradation(("bicubic scale=4 rounding=end",), "BI"),
    "bd": Degradation(("bd scale=4",), "BD"),
    "duf": Degradation(("duf scale=4",), "BD"),
}


@dataclass(frozen=True)
class Part:
    """A part of a set.

    Attributes:
        name: what the layout calls it.
        clips: how many clips it has; None: not known.
        frames: how many frames in all.
        lengths: frames of each clip by its name, where they are known.
        sizes: (height, width) that its frames may have; (): any.
    """

    name: str
    clips: int | None = None
    frames: int | None = None
    lengths: Mapping[str, int] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A published set, or clips of one's own.

    Attributes:
        layout: its layout (`ascendcv.dataloader.layouts`).
        parts: what it is made up of.
        gt, lq: (part, letters of the degradation) -> the folder in the result that the clips go into; `lq` None:
            there is no input.
        own_lq: whether its input comes with it (blurred frames) rather than being made.
        lr: how its input is made where nothing else is said; '': it is not.
        truth_folder: what the layout calls the ground truth's folder, for sets that come without input.
        lists: files that belong to it.
    """

    layout: str
    parts: tuple[Part, ...]
    gt: Callable[[str, str], str]
    lq: Callable[[str, str], str] | None = None
    own_lq: bool = False
    lr: str = ""
    truth_folder: str = ""
    lists: tuple[str, ...] = ()


_HD = ((720, 1280),)

DATA_SETS: Mapping[str, DataSet] = {
    "reds": DataSet(
        "reds",
        (Part("full", 270, 27000, {f"{number:03d}": 100 for number in range(270)}, _HD),),
        gt=lambda part, letters: "train_sharp",
        lq=lambda part, letters: "train_sharp_bicubic/X4" if letters == "BI" else f"train_sharp_{letters}x4",
        lr="bicubic",
        truth_folder="train_sharp",
    ),
    "vimeo90k": DataSet(
        "vimeo",
        (
            Part("train", 64612, 7 * 64612, sizes=((256, 448),)),
            Part("test", 7824, 7 * 7824, sizes=((256, 448),)),
        ),
        gt=lambda part, letters: "vimeo_septuplet/sequences",
        lq=lambda part, letters: f"vimeo_septuplet_{'matlab' if letters == 'BI' else letters}LRx4/sequences",
        lr="bicubic",
        truth_folder="vimeo_septuplet",
        lists=("sep_trainlist.txt", "sep_testlist.txt"),
    ),
    "vid4": DataSet(
        "vid4",
        (
            Part(
                ".",
                4,
                171,
                {"calendar": 41, "city": 34, "foliage": 49, "walk": 47},
                ((576, 720), (576, 704), (480, 720)),
            ),
        ),
        gt=lambda part, letters: "GT",
        lq=lambda part, letters: f"{letters}x4",
        lr="bicubic",
        truth_folder="GT",
    ),
    "udm10": DataSet(
        "udm10",
        (Part(".", 10),),
        gt=lambda part, letters: "GT",
        lq=lambda part, letters: f"{letters}x4",
        lr="bd",
        truth_folder="GT",
    ),
    "gopro": DataSet(
        "gopro",
        (Part("train", 22, 2103, sizes=_HD), Part("test", 11, 1111, sizes=_HD)),
        gt=lambda part, letters: f"{part}_GT",
        lq=lambda part, letters: f"{part}_GT_blurred",
        own_lq=True,
    ),
    "dvd": DataSet(
        "dvd",
        (Part("train", 61, 5708), Part("test", 10, 1000, dict.fromkeys(DVD_TEST, 100))),
        gt=lambda part, letters: f"{part}_GT",
        lq=lambda part, letters: f"{part}_GT_blurred",
        own_lq=True,
    ),
    "davis": DataSet("davis", (Part("train", 90, 6208),), gt=lambda part, letters: f"{part}_GT"),
    "set8": DataSet(
        "set8",
        (
            Part(
                ".",
                8,
                lengths=dict.fromkeys(
                    (
                        *("tractor", "touchdown", "park_joy", "sunflower"),
                        *("hypersmooth", "motorbike", "rafting", "snowboard"),
                    ),
                    0,
                ),
            ),
        ),
        gt=lambda part, letters: "Set8",
    ),
    "pairs": DataSet(
        "pairs",
        (Part("."),),
        gt=lambda part, letters: "gt",
        lq=lambda part, letters: "blur",
        own_lq=True,
    ),
    "clips": DataSet(
        "davis",
        (Part("."),),
        gt=lambda part, letters: "GT",
        lq=lambda part, letters: f"{letters}x4",
        lr="bicubic",
    ),
}


@dataclass(frozen=True)
class Found:
    """Clips of a part, and where their folder is."""

    root: Path
    part: Part
    videos: list[Video]


def find_clips(data_set: DataSet, source: Path) -> tuple[list[Found], list[str]]:
    """The clips that lie in `source`, at most three folders deeper, and what parts of the set are missing.

    Raises `InputError` where there is nothing of it.
    """
    found, missing, first = [], [], None
    for part in data_set.parts:
        for root in _roots(source, 0 if data_set.layout == "davis" else _SEARCHED):
            try:
                videos = _videos(data_set, root, part)
            except InputError as error:
                first = first or error
                continue
            if videos:
                found.append(Found(root, part, videos))
                break
        else:
            missing.append(f"the part {part.name}")
    if not found:
        raise first or InputError(f"{source} has no clips as {data_set.layout} has them")
    return found, missing


def find_list(found: Found, name: str) -> Path | None:
    """A file that belongs to a set, beside its clips."""
    places = [found.root / name, *(found.root / folder / name for folder in ("vimeo_septuplet", "sequences"))]
    return next((place for place in places if place.is_file()), None)


def place_of(data_set: DataSet, part: Part, kind: str, letters: str, name: str) -> PurePosixPath:
    """Where the frames of a clip go in the result; `kind` is 'gt' or 'lq'."""
    folder_of = data_set.lq if kind == "lq" and data_set.lq is not None else data_set.gt
    return PurePosixPath(folder_of(part.name, letters), name)


def _videos(data_set: DataSet, root: Path, part: Part) -> list[Video]:
    """With the input where it is there, else without."""
    scale = 1 if data_set.own_lq or data_set.lq is None else 4
    wanted = _name_of(part, root) if data_set.layout == "davis" else part.name
    try:
        videos = list_videos(data_set.layout, root, wanted, scale=scale)
    except InputError:
        if not data_set.truth_folder:
            raise
        videos = list_videos(data_set.layout, root, wanted, scale=scale, lq_folder=data_set.truth_folder)
    if data_set.truth_folder:
        videos = [
            video._replace(lq=video.gt) if video.gt and not is_folder(video.lq) else video for video in videos
        ]
    return videos


def _name_of(part: Part, root: Path) -> str:
    """What the layout of clean clips calls a part: DAVIS's own list, KAIR's folder, its name, or all there is."""
    if part.name == "." or (root / "JPEGImages").is_dir():
        return part.name
    return next((name for name in (f"{part.name}_GT", part.name) if is_folder(root / name)), ".")


def _roots(folder: Path, depth: int) -> list[Path]:
    """The folder, and those in it, level by level."""
    level, found = [folder], [folder]
    for _ in range(depth):
        level = [path for above in level for path in sorted(entries(above)[0]) if path.name[0] != "."][:50]
        found += level
    return found
