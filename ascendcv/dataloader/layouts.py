"""Data sets in the folders that their authors and the published toolboxes use.

    pairs    SET/blur/VIDEO/*, SET/gt/VIDEO/*; any frame names, equal in both; gt/ may be missing
    davis    SET/VIDEO/*: clean clips, whose input training degrades (noise)
    random   SET/VIDEO/*: frames to restore, without ground truth
    dvd      Su et al.: [quantitative_datasets/]SEQUENCE/{input,GT}/*; PVDNet: {train,test}_DVD/SEQUENCE/...;
             KAIR: {train,test}_GT[_blurred][_with_val]/SEQUENCE/*. SET is train, test or full
    gopro    Nah et al.: {train,test}/SEQUENCE/{blur,blur_gamma,sharp}/*; PVDNet: {train,test}_nah/SEQUENCE/...;
             KAIR: {train,test}_GT[_blurred]/SEQUENCE/*. SET is train, test or full
    vimeo    Vimeo-90K: vimeo_septuplet[/sequences]/00001/0001/im*.png and, for the input,
             vimeo_septuplet_matlabLRx4[/sequences]/...; SET is train or test, which names
             vimeo_septuplet/sep_{train,test}list.txt

In the first three a clip may do without its folder VIDEO/ where it is the only one; it is called SET then. `reds`
(`ascendcv.dataloader.reds`) is the layout of the TensorFlow EDVR release. Clips are sorted by name.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ascendcv.dataloader.clips import Clip, read_clip
from ascendcv.dataloader.image import natural_order
from ascendcv.utils.errors import InputError

# DVD is one folder of 71 sequences. These are the test set, and of their 100 frames these positions in the sorted
# list of files are scored. Source: github.com/shuochsu/DeepVideoDeblurring, issue 2.
DVD_TEST = (
    "IMG_0030", "IMG_0049", "IMG_0021", "720p_240fps_2", "IMG_0032",
    "IMG_0033", "IMG_0031", "IMG_0003", "IMG_0039", "IMG_0037",
)  # fmt: skip
DVD_SCORED = (
    2, 5, 8, 11, 15, 18, 21, 24, 28, 31, 34, 38, 41, 44, 47,
    51, 54, 57, 60, 64, 67, 70, 74, 77, 80, 83, 87, 90, 93, 97,
)  # fmt: skip

SPLITS = ("train", "test", "full")


class Video(NamedTuple):
    """The folders of one clip; `gt` is None where there is none."""

    name: str
    lq: Path
    gt: Path | None


class Listed(NamedTuple):
    """A line of a meta_info file: a clip, and what it says of its frames (None: nothing)."""

    name: str
    frames: int | None = None
    first: int | None = None  # the number in the name of the first frame


def read_layout(
    layout: str,
    data_dir: Path,
    part: str,
    *,
    scale: int = 1,
    lq_folder: str = "",
    gt_folder: str = "",
    gamma: bool = False,
    listed: Sequence[Listed] = (),
    hold_out: Sequence[str] = (),
    training: bool = False,
) -> list[Clip]:
    """The clips of a data set in one of the layouts above, every frame's header checked.

    Args:
        part: SET.
        scale: size of the ground truth over that of the input.
        lq_folder, gt_folder: for pairs and vimeo, other names than the layout's own.
        gamma: of gopro, blur_gamma rather than blur.
        listed: only these clips, which must be there with the frames that they should have; (): all.
        hold_out: clips that are left out for `training`; otherwise, where any of them is there, the only ones.

    Raises `InputError` naming the folder, file or key: nothing there, clips or frames without their partner,
    damaged files, a clip in `listed` that is not there.
    """
    videos = list_videos(
        layout, data_dir, part, lq_folder=lq_folder, gt_folder=gt_folder, gamma=gamma, listed=listed
    )
    videos = _choose(videos, listed, hold_out, training, data_dir)
    if not videos:
        raise InputError(f"{data_dir} has no clips for {part!r} as `layout` {layout} has them{_hint(data_dir)}")
    facts = {line.name: line for line in listed}
    clips = []
    for video in sorted(videos, key=lambda video: video.name):
        clip = read_clip(video.name, video.lq, video.gt, scale, same_names=True)
        _compare(clip, facts.get(video.name))
        clips.append(clip)
    return clips


def list_videos(
    layout: str,
    data_dir: Path,
    part: str,
    *,
    lq_folder: str = "",
    gt_folder: str = "",
    gamma: bool = False,
    listed: Sequence[Listed] = (),
) -> list[Video]:
    """The folders of all clips that a data set has, for the arguments of `read_layout`, whose frames are not read.

    Raises `InputError` as that does, for what is seen in the folders.
    """
    if not data_dir.is_dir():
        raise InputError(f"there is no data set in {data_dir}: give its folder as `data_dir`")
    if layout == "vimeo":
        return list(_vimeo(data_dir, part, lq_folder, gt_folder, listed))
    if layout in ("dvd", "gopro"):
        if part not in SPLITS:
            raise InputError(f"`part` is {part!r}; with `layout` {layout} it should be {', '.join(SPLITS)}")
        return _dvd(data_dir, part) if layout == "dvd" else _gopro(data_dir, part, gamma)
    folder = data_dir / part
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}: `part` should name one in {data_dir}{_hint(data_dir)}")
    if layout == "pairs":
        return _pairs(folder, lq_folder or "blur", gt_folder or "gt")
    folders = _folders_of_clips(folder, folder.resolve().name)
    return [Video(name, path, path if layout == "davis" else None) for name, path in folders.items()]


def read_meta_info(path: Path) -> list[Listed]:
    """The lines of a list of clips: name, frames, shape, number of the first frame, of which only the name must be.

    BasicSR's meta_info files have three fields (`000 100 (720,1280,3)`), KAIR's four, Vimeo-90K's lists one. Raises
    `InputError` for a file that is missing, empty or malformed.
    """
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:
        raise InputError(f"there is no list of clips {path}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable list of clips ({error})") from error
    listed = []
    for number, fields in enumerate(lines, 1):
        numbers = fields[1:2] + fields[3:]
        if len(fields) > 4 or not all(field.isdecimal() for field in numbers):
            raise InputError(f"{path}, line {number}: it should be NAME [FRAMES (H,W,C) [FIRST]]")
        if fields:
            listed.append(Listed(fields[0], *map(int, numbers)))
    if not listed:
        raise InputError(f"{path} lists no clips")
    return listed


def _pairs(folder: Path, lq_folder: str, gt_folder: str) -> list[Video]:
    lq, gt = folder / lq_folder, folder / gt_folder
    only_clip = folder.resolve().name
    lq_folders = _folders_of_clips(lq, only_clip)
    gt_folders = _folders_of_clips(gt, only_clip) if gt.is_dir() else dict.fromkeys(lq_folders)
    _check_partners(set(lq_folders), set(gt_folders), lq, gt)
    return [Video(name, path, gt_folders[name]) for name, path in lq_folders.items()]


def _dvd(data_dir: Path, part: str) -> list[Video]:
    videos = {}  # KAIR's folders exist with and without the test sequences
    for root in ("quantitative_datasets", "train_DVD", "test_DVD", "."):
        for path in _sub_folders(data_dir / root):
            if (path / "input").is_dir():
                videos.setdefault(path.name, Video(path.name, path / "input", _if_there(path / "GT")))
    for split in ("train", "test"):
        for ending in ("", "_with_val"):
            for video in _kair(data_dir, split, ending):
                videos.setdefault(video.name, video)
    wanted = {"train": lambda name: name not in DVD_TEST, "test": DVD_TEST.__contains__, "full": lambda name: True}
    return [video for name, video in videos.items() if wanted[part](name)]


def _gopro(data_dir: Path, part: str, gamma: bool) -> list[Video]:
    videos = []
    for split in ("train", "test") if part == "full" else (part,):
        for root in (split, f"{split}_nah"):
            for path in _sub_folders(data_dir / root):
                blur, other = ("blur_gamma", "blur") if gamma else ("blur", "blur_gamma")
                if (path / other).is_dir() and not (path / blur).is_dir():
                    raise InputError(f"{path} has {other} but not {blur}: set `gamma` {not gamma}")
                videos.append(Video(path.name, path / blur, _if_there(path / "sharp")))
        videos += _kair(data_dir, split, "")
    return videos


def _kair(data_dir: Path, split: str, ending: str) -> list[Video]:
    lq, gt = data_dir / f"{split}_GT_blurred{ending}", data_dir / f"{split}_GT{ending}"
    return [Video(path.name, path, _if_there(gt / path.name)) for path in _sub_folders(lq)]


def _vimeo(data_dir: Path, part: str, lq_folder: str, gt_folder: str, listed: Sequence[Listed]) -> Iterator[Video]:
    gt = data_dir / (gt_folder or "vimeo_septuplet")
    if not listed:
        if part not in ("train", "test"):
            raise InputError(f"Vimeo-90K has the sets train and test, not {part!r} (`part`)")
        listed = read_meta_info(gt / f"sep_{part}list.txt")
    lq, gt = (
        folder / "sequences" if (folder / "sequences").is_dir() else folder
        for folder in (data_dir / (lq_folder or "vimeo_septuplet_matlabLRx4"), gt)
    )
    for line in listed:
        yield Video(line.name, lq / line.name, _if_there(gt / line.name))


def _choose(
    videos: Iterable[Video], listed: Sequence[Listed], hold_out: Sequence[str], training: bool, data_dir: Path
) -> list[Video]:
    videos = {video.name: video for video in videos}
    if missing := [line.name for line in listed if line.name not in videos]:
        raise InputError(f"clip {missing[0]} is in the list but not in {data_dir}")
    names = [line.name for line in listed] or list(videos)
    if training:
        names = [name for name in names if name not in hold_out]
    elif any(name in hold_out for name in names):
        names = [name for name in names if name in hold_out]
    return [videos[name] for name in names]


def _compare(clip: Clip, listed: Listed | None) -> None:
    if listed is None or listed.frames is None:
        return
    folder = clip.lq[0].parent
    if len(clip.lq) != listed.frames:
        raise InputError(f"{folder} has {len(clip.lq)} frames, but the list of clips says {listed.frames}")
    first = clip.lq[0].stem
    if listed.first is not None and first.isdecimal() and int(first) != listed.first:
        raise InputError(f"{folder} begins with frame {first}, but the list of clips says {listed.first}")


def _check_partners(lq_names: set[str], gt_names: set[str], lq: Path, gt: Path) -> None:
    for name in sorted(lq_names ^ gt_names):
        there, missing = (lq, gt) if name in lq_names else (gt, lq)
        raise InputError(f"{there / name} has no partner {missing / name}: both should have the same clips")


def _hint(data_dir: Path) -> str:
    """What to do where frames are there, but in LMDB files."""
    files = sorted(data_dir.glob("*.lmdb"))
    return f"; python scripts/extract_lmdb.py {files[0]} makes folders of such files" if files else ""


def _folders_of_clips(folder: Path, name: str) -> dict[str, Path]:
    """The folders in `folder` by their names, or where there are none, itself as the one clip `name`."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    return {path.name: path for path in _sub_folders(folder)} or {name: folder}


def _sub_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.is_dir() and path.name[0] != "."), key=natural_order)


def _if_there(folder: Path) -> Path | None:
    return folder if folder.is_dir() else None
