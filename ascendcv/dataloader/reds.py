"""Data sets in the layout of the TensorFlow EDVR release: `sets/*.json` and `images/`.

A set file names its clips:

    {"prefix": false, "gt_folder": "truth", "x4_folder": "blur4",
     "videos": [{"name": "000", "gt_shape": [720, 1280], "x4_shape": [180, 320], "nframes": 100}]}

The frames of clip NAME are the images in `images/NAME/FOLDER`, or in `images/FOLDER/NAME` where `prefix` is
true. A set for networks whose input has the size of their output (deblurring) says `x1_folder` and
`x1_shape`.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ascendcv.dataloader.clips import Clip, read_clip
from ascendcv.dataloader.image import SKIPPED_FOLDERS, natural_order
from ascendcv.dataloader.stored import entries, folder_or_packed, is_folder
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

REDS4 = ("000", "011", "015", "020")


def read_set(data_dir: str | os.PathLike, set_file: str, scale: int = 4) -> list[Clip]:
    """The clips of `data_dir`/sets/`set_file`, every frame's header checked. `scale` is 1 for deblurring.

    A clip whose folder of ground truth is absent has `gt` = []. Raises `InputError` naming the file for a set
    file that is missing or malformed, a folder without frames, a frame that is unreadable or of another size,
    and for clips that are not as the set file says.
    """
    data_dir = Path(data_dir)
    if not data_dir.is_dir():
        raise InputError(f"there is no data set in {data_dir}: give its folder as `data_dir`")
    path = data_dir / "sets" / set_file
    description = _read_json(path, data_dir)
    try:
        folders = description[f"x{scale}_folder"], description.get("gt_folder")
        videos = [(str(video["name"]), video) for video in description["videos"]]
        prefix = description["prefix"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} lacks {error}; {_remake(data_dir)}") from error
    if not videos:
        raise InputError(f"{path} names no clips; {_remake(data_dir)}")
    clips = []
    for name, video in dict(videos).items():  # a clip that is listed twice is one clip
        clip = _read_clip(data_dir, name, *folders, prefix, scale)
        _compare(clip, video, scale, path, data_dir)
        clips.append(clip)
    return clips


def write_sets(
    data_dir: str | os.PathLike,
    *,
    scale: int = 4,
    lq_folder: str = "blur4",
    gt_folder: str = "truth",
    val_names: Iterable[str] = REDS4,
) -> dict[str, int]:
    """Writes `data_dir`/sets/train.json and val.json from what is in `data_dir`/images.

    Every clip with a low-quality folder is listed, with its real size and number of frames; `val_names` go to
    val.json. Returns how many clips each file lists. Raises `InputError` as `read_set` does, and for a clip
    without ground truth; files that exist are only replaced after all clips were checked.
    """
    data_dir, images = Path(data_dir), Path(data_dir) / "images"
    if not images.is_dir():
        raise InputError(f"{data_dir} has no folder images: it should hold NAME/{lq_folder} or {lq_folder}/NAME")
    place = folder_or_packed(images / lq_folder)
    prefix = is_folder(place)
    parents = entries(place if prefix else images)[0]
    names = [path for path in parents if _is_clip(path if prefix else path / lq_folder)]
    sets: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
    for name in (path.name for path in sorted(names, key=natural_order)):
        clip = _read_clip(data_dir, name, lq_folder, gt_folder, prefix, scale)
        if not clip.gt:
            raise InputError(f"{_folder(data_dir, name, gt_folder, prefix)} is missing: clip {name}'s ground truth")
        sets["val" if name in set(val_names) else "train"].append(
            {"name": name, "gt_shape": clip.gt_size, f"x{scale}_shape": clip.lq_size, "nframes": len(clip.lq)}
        )
    if not names:
        raise InputError(f"{images} has no clips: it should hold NAME/{lq_folder} or {lq_folder}/NAME")
    folders = {"prefix": prefix, "gt_folder": gt_folder, f"x{scale}_folder": lq_folder}
    for which, videos in sets.items():
        with atomic_path(data_dir / "sets" / f"{which}.json") as temporary:
            temporary.write_text(json.dumps(folders | {"videos": videos}, indent=1) + "\n")
    return {which: len(videos) for which, videos in sets.items()}


def _is_clip(folder: Path) -> bool:
    """Whether it is a folder, and none that is hidden or that other programs make."""
    return is_folder(folder) and folder.name[0] != "." and folder.name not in SKIPPED_FOLDERS


def _read_json(path: Path, data_dir: Path) -> dict:
    try:
        description = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"there is no set file {path}; {_remake(data_dir)}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no readable JSON ({error}); {_remake(data_dir)}") from error
    if not isinstance(description, dict):
        raise InputError(f"{path} should hold a JSON object; {_remake(data_dir)}")
    return description


def _remake(data_dir: Path) -> str:
    return f"python scripts/make_reds_dataset.py {data_dir} writes the set files"


def _folder(data_dir: Path, name: str, folder: str, prefix: bool) -> Path:
    images = data_dir / "images"
    return folder_or_packed(images / folder) / name if prefix else images / name / folder


def _read_clip(data_dir: Path, name: str, lq_folder: str, gt_folder: str | None, prefix: bool, scale: int) -> Clip:
    truth = _folder(data_dir, name, gt_folder, prefix) if gt_folder else None
    return read_clip(name, _folder(data_dir, name, lq_folder, prefix), truth, scale)


def _compare(clip: Clip, video: dict, scale: int, path: Path, data_dir: Path) -> None:
    facts = {"nframes": len(clip.lq), f"x{scale}_shape": list(clip.lq_size), "gt_shape": list(clip.gt_size)}
    for key, found in facts.items():
        if video.get(key, found) != found:
            raise InputError(
                f"{path} says {key} {video[key]} of clip {clip.name}, but its frames say {found}; "
                f"{_remake(data_dir)}"
            )
