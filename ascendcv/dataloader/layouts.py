"""Data sets in the folders that their authors and the published toolboxes use.

    pairs    SET/blur/VIDEO/*, SET/gt/VIDEO/*; frames of equal names or numbers; gt/ may be missing
    davis    SET/VIDEO/*: clean clips, whose input training degrades (noise); also DAVIS-2017 as published,
             JPEGImages/480p/VIDEO/*.jpg with ImageSets/2017/SET.txt
    set8     VIDEO/*: clean clips, in Set8 or in the data set's folder itself
    random   SET/VIDEO/*: frames to restore, without ground truth
    reds     as published: {train,val}_sharp/NNN, {train,val}_sharp_bicubic/X4/NNN (scale 1: {train,val}_blur), the
             validation clips left where they are or regrouped as 240-269; or the test set's REDS4/GT/NNN and
             REDS4/sharp_bicubic/NNN (blur). SET is train (266 clips, without REDS4), train_official (000-239), val,
             reds4 or full
    vid4     GT/VIDEO/*, BIx4/VIDEO/* (BDx4: `lq_folder`), in Vid4 or in the data set's folder itself
    udm10    GT/VIDEO/*, BDx4/VIDEO/*, or as published VIDEO/{truth,blur4}/*
    dvd      Su et al.: [quantitative_datasets/]SEQUENCE/{input,GT}/*; PVDNet: {train,test}_DVD/SEQUENCE/...;
             KAIR: {train,test}_GT[_blurred][_with_val]/SEQUENCE/*. SET is train, test or full
    gopro    Nah et al.: {train,test}/SEQUENCE/{blur,blur_gamma,sharp}/*; PVDNet: {train,test}_nah/SEQUENCE/...;
             KAIR: {train,test}_GT[_blurred]/SEQUENCE/*. SET is train, test or full
    vimeo    Vimeo-90K: vimeo_septuplet[/sequences]/00001/0001/im*.png and, for the input,
             vimeo_septuplet_matlabLRx4[/sequences]/...; SET is train, test, fast, medium or slow, of which
             sep_SETlist.txt, SET_testset.txt or KAIR's and BasicSR's meta_info_Vimeo90K_..._GT.txt lists the clips

A clip may do without its folder VIDEO/ where it is the only one. Each of these folders, and the data set itself,
may be an LMDB of BasicSR or KAIR or a TFRecord file, with or without .lmdb or .tfrecord in what names it
(`ascendcv.dataloader.stored`); where an LMDB has a meta_info.txt, its frames should be as that says. Clips are
sorted by name. A set file of the TensorFlow EDVR release is read by `ascendcv.dataloader.reds`.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ascendcv.dataloader.clips import Clip, folders_of_frames, read_clip
from ascendcv.dataloader.image import SKIPPED_FOLDERS, image_header, natural_order
from ascendcv.dataloader.meta_info import Listed, read_frame_list, read_meta_info
from ascendcv.dataloader.pairing import frame_numbers
from ascendcv.dataloader.reds import REDS4
from ascendcv.dataloader.stored import entries, folder_or_packed, in_packed, is_folder, is_packed, keys_of
from ascendcv.utils.errors import InputError

__all__ = [
    "DVD_SCORED",
    "DVD_TEST",
    "LAYOUTS",
    "Layout",
    "Listed",
    "Video",
    "list_videos",
    "read_layout",
    "read_meta_info",
]

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

REDS_FIRST_VALIDATION = 240  # what the first of the official validation clips becomes when they are regrouped


class Video(NamedTuple):
    """The folders of one clip; `gt` is None where there is none. `listed` is what the set's own list says of it."""

    name: str
    lq: Path
    gt: Path | None
    listed: Listed | None = None


@dataclass(frozen=True)
class Where:
    """What a layout is asked for; see `read_layout`."""

    data_dir: Path
    part: str
    scale: int = 1
    lq_folder: str = ""
    gt_folder: str = ""
    gamma: bool = False
    listed: Sequence[Listed] = ()


@dataclass(frozen=True)
class Layout:
    """How a published set lies in folders.

    Attributes:
        find: the folders of all its clips, whose frames are not read; raises `InputError` for what is not there.
        parts: what SET may be; (): any folder in the data set's, or '.'.
        gt_may_lack: whether a clip may have ground truth of some frames only.
    """

    find: Callable[[Where], list[Video]]
    parts: tuple[str, ...] = ()
    gt_may_lack: bool = False


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
        lq_folder, gt_folder: for pairs, reds, vid4, udm10 and vimeo, other names than the layout's own.
        gamma: of gopro, blur_gamma rather than blur.
        listed: only these clips, which must be there with the frames that they should have; (): all.
        hold_out: clips that are left out for `training`; otherwise, where any of them is there, the only ones.

    Raises `InputError` naming the folder, file or key: nothing there, clips or frames without their partner,
    damaged files, a clip in `listed` that is not there.
    """
    options: dict[str, Any] = {
        "scale": scale,
        "lq_folder": lq_folder,
        "gt_folder": gt_folder,
        "gamma": gamma,
        "listed": listed,
    }
    videos = _choose(list_videos(layout, data_dir, part, **options), listed, hold_out, training, data_dir)
    if not videos:
        raise InputError(f"{data_dir} has no clips for {part!r} as `layout` {layout} has them{_hint(data_dir)}")
    facts = {line.name: line for line in listed}
    clips = []
    for video in sorted(videos, key=lambda video: video.name):
        clip = read_clip(video.name, video.lq, video.gt, scale, gt_may_lack=LAYOUTS[layout].gt_may_lack)
        _compare(clip, facts.get(video.name, video.listed))
        clips.append(clip)
    _compare_with_frame_lists(clips)
    return clips


def list_videos(
    layout: str,
    data_dir: Path,
    part: str,
    *,
    scale: int = 1,
    lq_folder: str = "",
    gt_folder: str = "",
    gamma: bool = False,
    listed: Sequence[Listed] = (),
) -> list[Video]:
    """The folders of all clips that a data set has, for the arguments of `read_layout`, whose frames are not read.

    Raises `InputError` as that does, for what is seen in the folders.
    """
    data_dir = folder_or_packed(data_dir)
    if not is_folder(data_dir):
        raise InputError(f"there is no data set in {data_dir}: give its folder as `data_dir`")
    parts = LAYOUTS[layout].parts
    if parts and not (listed and layout == "vimeo") and part not in parts:
        raise InputError(f"`part` is {part!r}; with `layout` {layout} it should be {', '.join(parts)}")
    return LAYOUTS[layout].find(Where(data_dir, part, scale, lq_folder, gt_folder, gamma, listed))


def _pairs(where: Where) -> list[Video]:
    folder = _part(where)
    lq = folder_or_packed(folder / (where.lq_folder or "blur"))
    gt = folder_or_packed(folder / (where.gt_folder or "gt"))
    return _paired(lq, gt, _name(folder))


def _clean(where: Where) -> list[Video]:
    return _videos(_part(where), has_truth=True)


def _random(where: Where) -> list[Video]:
    return _videos(_part(where), has_truth=False)


def _davis(where: Where) -> list[Video]:
    frames = where.data_dir / "JPEGImages" / "480p"
    listing = where.data_dir / "ImageSets" / "2017" / f"{where.part}.txt"
    if frames.is_dir() and listing.is_file():
        return [Video(line.name, frames / line.name, frames / line.name) for line in read_meta_info(listing)]
    return _clean(where)


def _set8(where: Where) -> list[Video]:
    return _videos(_root(where, "Set8", "set8"), has_truth=True)


def _vid4(where: Where) -> list[Video]:
    root = _root(where, "Vid4")
    lq = folder_or_packed(root / (where.lq_folder or "BIx4"))
    return _paired(lq, folder_or_packed(root / (where.gt_folder or "GT")), root.name)


def _udm10(where: Where) -> list[Video]:
    root = _root(where, "UDM10", "udm10")
    published = [path for path in _sub_folders(root) if is_folder(path / "truth")]
    if published:
        return [Video(path.name, path / (where.lq_folder or "blur4"), path / "truth") for path in published]
    lq = folder_or_packed(root / (where.lq_folder or "BDx4"))
    return _paired(lq, folder_or_packed(root / (where.gt_folder or "GT")), root.name)


def _reds(where: Where) -> list[Video]:
    kind = "sharp_bicubic" if where.scale > 1 else "blur"
    tested = _first(where.data_dir, "GT", "REDS4/GT")
    if tested and where.part == "reds4":
        degraded = folder_or_packed(tested.parent / (where.lq_folder or kind))
        return _chosen(_paired(degraded, tested, ""), REDS4, where)
    videos: dict[str, Video] = {}
    for split in ("train", "val"):
        for ending in ("", "_with_val"):
            gt = _first(where.data_dir, _of_split(where.gt_folder, split) or f"{split}_sharp{ending}")
            lq = _first(where.data_dir, _of_split(where.lq_folder, split) or f"{split}_{kind}{ending}")
            if lq is None or (split == "val" and str(REDS_FIRST_VALIDATION) in videos):
                continue
            for video in _paired(lq, gt, ""):
                if not video.name.isdecimal():
                    raise InputError(f"{video.lq} is no clip of REDS, which are called 000, 001, ...")
                number = int(video.name) + (REDS_FIRST_VALIDATION if split == "val" else 0)
                videos.setdefault(f"{number:03d}", Video(f"{number:03d}", video.lq, video.gt))
    if not videos:
        raise InputError(
            f"{where.data_dir} has no {where.lq_folder or f'train_{kind}'}, as REDS has it{_hint(where.data_dir)}"
        )
    official = [name for name in videos if int(name) < REDS_FIRST_VALIDATION]
    names = {
        "train": [name for name in videos if name not in REDS4],
        "train_official": official,
        "val": [name for name in videos if name not in official],
        "reds4": REDS4,
        "full": list(videos),
    }[where.part]
    return _chosen(list(videos.values()), names, where)


def _dvd(where: Where) -> list[Video]:
    videos: dict[str, Video] = {}  # KAIR's folders exist with and without the test sequences
    for root in ("quantitative_datasets", "train_DVD", "test_DVD", "."):
        for path in _sub_folders(where.data_dir / root):
            if (path / "input").is_dir():
                videos.setdefault(path.name, Video(path.name, path / "input", _if_there(path / "GT")))
    for split in ("train", "test"):
        for ending in ("", "_with_val"):
            for video in _kair(where.data_dir, split, ending):
                videos.setdefault(video.name, video)
    wanted = {"train": lambda name: name not in DVD_TEST, "test": DVD_TEST.__contains__, "full": lambda name: True}
    return [video for name, video in videos.items() if wanted[where.part](name)]


def _gopro(where: Where) -> list[Video]:
    videos = []
    for split in ("train", "test") if where.part == "full" else (where.part,):
        for root in (split, f"{split}_nah"):
            for path in _sub_folders(where.data_dir / root):
                blur, other = ("blur_gamma", "blur") if where.gamma else ("blur", "blur_gamma")
                if (path / other).is_dir() and not (path / blur).is_dir():
                    raise InputError(f"{path} has {other} but not {blur}: set `gamma` {not where.gamma}")
                if (path / blur).is_dir():
                    videos.append(Video(path.name, path / blur, _if_there(path / "sharp")))
        videos += _kair(where.data_dir, split, "")
    return videos


def _kair(data_dir: Path, split: str, ending: str) -> list[Video]:
    lq = folder_or_packed(data_dir / f"{split}_GT_blurred{ending}")
    gt = folder_or_packed(data_dir / f"{split}_GT{ending}")
    if not is_folder(lq):
        return []
    return [Video(name, path, _if_there(gt / name)) for name, path in folders_of_frames(lq, "").items() if name]


def _vimeo(where: Where) -> list[Video]:
    gt = folder_or_packed(where.data_dir / (where.gt_folder or "vimeo_septuplet"))
    lq = folder_or_packed(where.data_dir / (where.lq_folder or "vimeo_septuplet_matlabLRx4"))
    lq, gt = (path / "sequences" if is_folder(path / "sequences") else path for path in (lq, gt))
    return [
        Video(line.name, lq / line.name, _if_there(gt / line.name), line)
        for line in where.listed or _vimeo_list(where, gt)
    ]


def _vimeo_list(where: Where, gt: Path) -> list[Listed]:
    part = where.part
    tested = part if part in ("train", "test") else f"test_{part}"
    names = (f"sep_{part}list.txt", f"{part}_testset.txt", f"meta_info_Vimeo90K_{tested}_GT.txt")
    published = gt.parent if gt.name == "sequences" else gt
    places = [folder / name for folder in (published, where.data_dir) for name in names]
    found = next(
        (place for place in places if place.is_file()), places[0] if part in ("train", "test") else places[1]
    )
    return read_meta_info(found)


LAYOUTS = {
    "reds": Layout(_reds, ("train", "train_official", "val", "reds4", "full")),
    "pairs": Layout(_pairs),
    "dvd": Layout(_dvd, ("train", "test", "full")),
    "gopro": Layout(_gopro, ("train", "test", "full")),
    "davis": Layout(_davis),
    "set8": Layout(_set8),
    "vid4": Layout(_vid4),
    "udm10": Layout(_udm10),
    # BasicSR's LMDB has ground truth of the middle frame only.
    "vimeo": Layout(_vimeo, ("train", "test", "fast", "medium", "slow"), gt_may_lack=True),
    "random": Layout(_random),
}


def _part(where: Where) -> Path:
    """The folder that SET names."""
    folder = folder_or_packed(where.data_dir / where.part)
    if not is_folder(folder):
        hint = _hint(where.data_dir)
        if is_packed(where.data_dir):
            hint = ", which is an LMDB: say '.' for all that it holds"
        raise InputError(f"there is no folder {folder}: `part` should name one in {where.data_dir}{hint}")
    return folder


def _root(where: Where, *names: str) -> Path:
    """The folder of a test set that may be the data set itself."""
    if where.part in (".", "", "test", "full", *names):
        return _first(where.data_dir, *names) or where.data_dir
    return _part(where)


def _videos(folder: Path, *, has_truth: bool) -> list[Video]:
    found = folders_of_frames(folder, _name(folder))
    return [Video(name, path, path if has_truth else None) for name, path in found.items()]


def _paired(lq: Path, gt: Path | None, only_clip: str) -> list[Video]:
    """The clips of two folders, which should be the same; without ground truth where that folder is missing."""
    if not is_folder(lq):
        raise InputError(f"there is no folder {lq}{_hint(lq.parent)}")
    lq_folders = folders_of_frames(lq, only_clip)
    if gt is None or not is_folder(gt):
        return [Video(name, path, None) for name, path in lq_folders.items()]
    gt_folders = folders_of_frames(gt, only_clip)
    for name in sorted(lq_folders.keys() ^ gt_folders.keys()):
        there, missing = (lq, gt) if name in lq_folders else (gt, lq)
        raise InputError(f"{there / name} has no partner {missing / name}: both should have the same clips")
    return [Video(name, path, gt_folders[name]) for name, path in lq_folders.items()]


def _chosen(videos: Sequence[Video], names: Iterable[str], where: Where) -> list[Video]:
    """The clips of these names. Raises `InputError` naming those that are missing."""
    there = {video.name: video for video in videos}
    missing = [name for name in names if name not in there]
    if missing:
        raise InputError(f"{where.data_dir} lacks the clips {', '.join(missing)} of {where.part}")
    return [there[name] for name in names]


def _of_split(folder: str, split: str) -> str:
    """`train_blur` of the split val is `val_blur`."""
    return folder.replace("train_", f"{split}_") if folder else ""


def _first(data_dir: Path, *names: str) -> Path | None:
    """The first of these folders or LMDBs that is there."""
    paths = (folder_or_packed(data_dir / name) for name in names)
    return next((path for path in paths if is_folder(path)), None)


def _choose(
    videos: Iterable[Video], listed: Sequence[Listed], hold_out: Sequence[str], training: bool, data_dir: Path
) -> list[Video]:
    """Each clip once, however often it is listed."""
    there = {video.name: video for video in videos}
    if missing := [line.name for line in listed if line.name not in there]:
        raise InputError(f"clip {missing[0]} is in the list but not in {data_dir}")
    names = list(dict.fromkeys(line.name for line in listed)) or list(there)
    if training:
        names = [name for name in names if name not in hold_out]
    elif any(name in hold_out for name in names):
        names = [name for name in names if name in hold_out]
    return [there[name] for name in names]


def _compare(clip: Clip, listed: Listed | None) -> None:
    if listed is None or listed.frames is None:
        return
    folder = clip.lq[0].parent
    if len(clip.lq) != listed.frames:
        raise InputError(f"{folder} has {len(clip.lq)} frames, but the list of clips says {listed.frames}")
    first = frame_numbers(clip.lq)
    if listed.first is not None and first is not None and first[0] != listed.first:
        raise InputError(f"{folder} begins with frame {clip.lq[0].stem}, but the list of clips says {listed.first}")
    if listed.shape is not None and listed.shape[:2] not in (clip.gt_size, clip.lq_size):
        height, width = clip.gt_size
        raise InputError(
            f"clip {clip.name} has frames of {width}x{height} pixels, but the list of clips says "
            f"{listed.shape[1]}x{listed.shape[0]}"
        )


def _compare_with_frame_lists(clips: Sequence[Clip]) -> None:
    """Raises `InputError` where the meta_info.txt of an LMDB says another thing than its pictures."""
    shapes: dict[Path, dict[str, tuple[int, ...]]] = {}
    for clip in clips:
        for frames, size in ((clip.lq, clip.lq_size), (clip.gt, clip.gt_size)):
            frames = [path for path in frames if path is not None]
            root = in_packed(frames[0]) if frames else None
            if root is None or not (root / "meta_info.txt").is_file():
                continue
            if root not in shapes:
                shapes[root] = read_frame_list(root / "meta_info.txt")
                lost = [key for key in shapes[root] if key not in keys_of(root)]
                if lost:
                    raise InputError(
                        f"{root / 'meta_info.txt'} lists {lost[0]}, and {len(lost)} in all, that data.mdb does not "
                        "have: copy the LMDB again"
                    )
            found = (*size, image_header(frames[0]).channels)
            for path in frames:
                said = shapes[root].get(path.relative_to(root).with_suffix("").as_posix(), found)
                if said != found[: len(said)]:
                    raise InputError(
                        f"{root / 'meta_info.txt'} says {_shape(said)} of {path.stem} in clip {clip.name}, whose "
                        f"picture has {_shape(found)}: make the LMDB again"
                    )


def _shape(shape: Sequence[int]) -> str:
    return f"({','.join(map(str, shape))})"


def _hint(data_dir: Path) -> str:
    """What to say where a folder has the name of an LMDB and is none."""
    empty = [path for path in data_dir.glob("*.lmdb") if not is_packed(path)]
    return f"; {empty[0]} is no LMDB: it has no data.mdb" if empty else ""


def _name(folder: Path) -> str:
    """What a clip is called that lies in its set's folder itself."""
    name = folder.resolve().name
    return Path(name).stem if is_packed(folder) else name


def _sub_folders(folder: Path) -> Iterator[Path]:
    if not is_folder(folder):
        return
    for path in sorted(entries(folder)[0], key=natural_order):
        if path.name[0] != "." and path.name not in SKIPPED_FOLDERS:
            yield path


def _if_there(folder: Path) -> Path | None:
    return folder if is_folder(folder) else None
