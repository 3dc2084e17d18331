"""The command `prepare`: from what lies on a disk to a data set that is checked and ready for training.

Nothing is done before all that is needed is there and every file of it decodes. Each file appears when it is
complete, so that a run that was stopped goes on where it was, and a run that is repeated changes nothing.
"""

import argparse
import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from ascendcv.dataloader.degradations import Chain, read_chain
from ascendcv.dataloader.image import check_clip, encode_image, image_header, list_images, natural_order, read_image
from ascendcv.dataloader.layouts import Video
from ascendcv.dataloader.pairing import frame_numbers, gap, pair_frames
from ascendcv.dataloader.stored import entries, in_packed, is_folder, open_frame
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.preparation.archives import is_archive, unpack, unpacked_name
from ascendvsr.preparation.packing import entries_of, write_lmdb, write_tfrecord
from ascendvsr.preparation.sets import DATA_SETS, DEGRADATIONS, DataSet, Found, find_clips, find_list, place_of
from ascendvsr.scaling.parts import read_part
from ascendvsr.scaling.sharing import parts_for, run_parts
from ascendvsr.scaling.tasks import read_engine

SCALE = 4
NOTE = "prepared.json"
_TOLD = 20  # findings that are printed


@dataclass
class Findings:
    """What is wrong with a data set: damage, which must be mended, and what is missing of the published set."""

    damaged: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClipPlan:
    """What becomes of one clip: its frames, their input where there is one, and where they go.

    `cut` is the size (height, width) that the ground truth is cut to.
    """

    name: str
    gt: list[Path]
    lq: list[Path]
    gt_place: Path
    lq_place: Path | None
    size: tuple[int, int]
    cut: tuple[int, int]


def prepare(arguments: argparse.Namespace) -> None:
    """Checks, regroups, degrades and packs a data set as the arguments say; prints what is done.

    Raises `InputError`, before anything is written, for a set that is damaged, or incomplete where that is not
    allowed.
    """
    data_set, source = DATA_SETS[arguments.dataset], Path(arguments.source)
    if arguments.target is None and not arguments.check:
        raise InputError("name a folder for the result, or say --check to look at the set only")
    target = Path(arguments.target) if arguments.target is not None else None
    degradation = _degradation(arguments, data_set)
    source = _unpacked(source, target, arguments)
    found, missing = find_clips(data_set, source)
    findings = Findings(missing=missing)
    plans = _plans(data_set, found, target or Path(), degradation, arguments.lr is not None, findings)
    _check_counts(found, plans, findings)
    part, engine = read_part(arguments.part), read_engine(arguments.cluster)
    if engine:
        run_parts("ascendvsr.preparation.prepare:prepare", arguments, parts_for(engine, len(plans)), engine)
        return
    own = part.of(plans) if part else plans
    _check_frames(own, arguments.jobs, findings)
    _tell(plans, findings, source)
    if findings.damaged:
        raise InputError(_summary(findings.damaged, f"{source} is damaged", ""))
    if findings.missing and not arguments.partial:
        hint = "; --partial takes what is there"
        raise InputError(_summary(findings.missing, f"{source} is not the whole set {arguments.dataset}", hint))
    if target is None or arguments.check:
        return
    options = {"dataset": arguments.dataset, "lr": arguments.lr or data_set.lr, "to": arguments.to}
    chain = read_chain(DEGRADATIONS[degradation].steps) if degradation else None
    _check_target(target, source, options)
    packed = [] if arguments.to == "folders" else _packed_folders(plans, target)
    done = {folder for folder in packed if folder.with_name(f"{folder.name}.{arguments.to}").exists()}
    work = [piece for piece in _work(own, chain, arguments.link) if not done.intersection(piece[0].parents)]
    _tell_work(work, target, arguments.to)
    if arguments.dry_run:
        return
    _run(work, arguments.jobs)
    with FileLock(target.with_name(f".{target.name}.lock")) if part else contextlib.nullcontext():
        done = {folder for folder in packed if folder.with_name(f"{folder.name}.{arguments.to}").exists()}
        all_work = [] if part is None else _work(plans, chain, arguments.link)
        if left := [place for place, _ in all_work if not done.intersection(place.parents)]:
            print(f"{target}: part {part} is done; {len(left)} files are left to other parts")
            return
        _write_lists(data_set, found, plans, target)
        for folder in packed:
            if folder not in done:
                _pack(folder, arguments.to)
        with atomic_path(target / NOTE) as temporary:
            temporary.write_text(json.dumps(options, indent=1) + "\n")
    print(f"{target}: ready; {_how_to_use(arguments.dataset, target)}")


def _degradation(arguments: argparse.Namespace, data_set: DataSet) -> str:
    """Which one makes the input; '': none, or it comes with the set."""
    if arguments.lr is not None and (data_set.lq is None or data_set.own_lq):
        raise InputError(f"--lr is for sets whose input is made: {arguments.dataset} has none of that kind")
    return arguments.lr or data_set.lr


def _unpacked(source: Path, target: Path | None, arguments: argparse.Namespace) -> Path:
    """Where the frames lie: `source`, or what its archives hold, unpacked into the result's folder."""
    if is_archive(source):
        archives = [source]
    elif source.is_dir():
        archives = [path for path in sorted(entries(source)[1]) if is_archive(path)]
    else:
        raise InputError(f"there is no folder or archive {source}")
    if not archives:
        return source
    folders = [path for path in entries(source)[0] if path.name[0] != "."] if source.is_dir() else []
    if {path.name for path in folders} >= {unpacked_name(path) for path in archives}:
        return source  # unpacked by hand
    if target is None or arguments.dry_run:
        names = ", ".join(path.name for path in archives)
        raise InputError(f"{source} holds archives ({names}), which are unpacked only where a result is written")
    place = target / ".unpacked"
    for archive in archives:
        folder = place / unpacked_name(archive)
        if not folder.is_dir():
            print(f"unpacking {archive}", flush=True)
            unpack(archive, folder)
    return place


def _plans(
    data_set: DataSet, found: Iterable[Found], target: Path, degradation: str, makes_anew: bool, findings: Findings
) -> list[ClipPlan]:
    """What is to become of every clip; what is wrong with its files' names and headers goes to the findings."""
    letters = DEGRADATIONS[degradation].letters if degradation else ""
    plans = []
    for part in found:
        for video in sorted(part.videos, key=lambda video: natural_order(Path(video.name))):
            if not is_folder(video.gt or video.lq):
                findings.missing.append(f"clip {video.name}")
                continue
            try:
                plan = _plan(data_set, part, video, target, letters, makes_anew)
            except InputError as error:
                findings.damaged.append(str(error))
                continue
            plans.append(plan)
            if part.part.sizes and plan.size not in part.part.sizes:
                allowed = " or ".join(f"{width}x{height}" for height, width in part.part.sizes)
                findings.damaged.append(
                    f"{plan.gt[0].parent} has frames of {plan.size[1]}x{plan.size[0]} pixels; those of the set "
                    f"have {allowed}"
                )
            if hole := gap(plan.gt):
                findings.missing.append(f"frame {hole} of {plan.gt[0].parent}")
    return plans


def _plan(data_set: DataSet, found: Found, video: Video, target: Path, letters: str, makes_anew: bool) -> ClipPlan:
    """Input that is there is checked and taken, unless another is asked for (`makes_anew`)."""
    gt_folder = video.gt or video.lq
    gt, _ = list_images(gt_folder)
    header = check_clip(gt)
    size = header.height, header.width
    makes = bool(letters) and data_set.lq is not None
    cut = (size[0] - size[0] % SCALE, size[1] - size[1] % SCALE) if makes else size
    if 0 in cut:
        raise InputError(f"{gt_folder} has frames of {size[1]}x{size[0]} pixels: too small for a scale of {SCALE}")
    lq: list[Path] = []
    if data_set.own_lq and video.gt is None:
        raise InputError(f"{video.lq} has no ground truth")
    if data_set.own_lq or (makes and not makes_anew and video.lq != gt_folder and is_folder(video.lq)):
        lq, _ = list_images(video.lq)
        lq_header = check_clip(lq)
        pairs = pair_frames(lq, gt)
        lq, gt = [frame for frame, _ in pairs], [truth for _, truth in pairs if truth is not None]
        wanted = (cut[0] // SCALE, cut[1] // SCALE) if makes else size
        if lq_header[:2] != wanted:
            raise InputError(
                f"{video.lq} has frames of {lq_header.width}x{lq_header.height} pixels; those of {gt_folder}, of "
                f"{size[1]}x{size[0]}, call for {wanted[1]}x{wanted[0]}"
            )

    def place(kind: str) -> Path:
        return target / place_of(data_set, found.part, kind, letters, video.name)

    return ClipPlan(
        name=video.name,
        gt=gt,
        lq=lq,
        gt_place=place("gt"),
        lq_place=place("lq") if makes or data_set.own_lq else None,
        size=size,
        cut=cut,
    )


def _check_counts(found: Iterable[Found], plans: Iterable[ClipPlan], findings: Findings) -> None:
    lengths = {plan.name: len(plan.gt) for plan in plans}
    for part in found:
        wanted, there = part.part, {video.name for video in part.videos}
        lost = [name for name in wanted.lengths if name not in there]
        if lost:
            named = ", ".join(lost[:5]) + (f" and {len(lost) - 5} more" if len(lost) > 5 else "")
            findings.missing.append(f"{len(lost)} of {len(wanted.lengths)} clips: {named}")
        elif wanted.clips is not None and len(there) != wanted.clips:
            findings.missing.append(f"{wanted.clips} clips in {wanted.name}, of which {len(there)} are there")
        short = [name for name in there if 0 < lengths.get(name, 0) != wanted.lengths.get(name, 0) > 0]
        for name in sorted(short):
            findings.missing.append(f"{wanted.lengths[name]} frames in clip {name}, which has {lengths[name]}")
        frames = sum(lengths.get(name, 0) for name in there)
        if wanted.frames is not None and not lost and not short and frames != wanted.frames:
            findings.missing.append(f"{wanted.frames} frames in {wanted.name}, of which {frames} are there")


def _check_frames(plans: Iterable[ClipPlan], jobs: int, findings: Findings) -> None:
    """Decodes every file."""
    files = [path for plan in plans for path in (*plan.gt, *plan.lq)]

    def error_in(path: Path) -> str | None:
        try:
            read_image(path)
        except InputError as error:
            return str(error)
        return None

    findings.damaged += [error for error in _in_parallel(error_in, files, jobs, "checking") if error]


def _tell(plans: list[ClipPlan], findings: Findings, source: Path) -> None:
    frames = sum(len(plan.gt) for plan in plans)
    print(f"{source}: {len(plans)} clips, {frames} frames, {len(findings.damaged)} of them or their clips damaged")
    for heading, lines in (("damaged", findings.damaged), ("missing", findings.missing)):
        for line in lines[:_TOLD]:
            print(f"  {heading}: {line}")
        if len(lines) > _TOLD:
            print(f"  and {len(lines) - _TOLD} more")


def _summary(lines: list[str], what: str, hint: str) -> str:
    more = f" and {len(lines) - 1} more, listed above" if len(lines) > 1 else ""
    return f"{what}: {lines[0]}{more}{hint}"


def _check_target(target: Path, source: Path, options: dict[str, str]) -> None:
    """Raises `InputError` for a result that would be mixed with what it is made of, or with another result."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{target} is a file: name a folder for the result")
    if target.resolve() == source.resolve():
        raise InputError(f"{target} is what is to be prepared: name another folder for the result")
    note = target / NOTE
    try:
        before = json.loads(note.read_text())
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise InputError(f"{note} cannot be read ({error}): name another folder for the result") from error
    if before != options:
        raise InputError(f"{target} was prepared otherwise ({before}): name another folder for the result")


def _work(plans: Iterable[ClipPlan], chain: Chain | None, links: bool) -> list[tuple[Path, Callable[[], None]]]:
    """The files that are still to be made, and what makes each."""
    work = []

    def add(place: Path, size: tuple[int, int], made: Callable[[], None]) -> None:
        if not _is_done(place, size):
            work.append((place, made))

    for plan in plans:
        small = plan.cut if chain is None else (plan.cut[0] // SCALE, plan.cut[1] // SCALE)
        for index, path in enumerate(plan.gt):
            if plan.size == plan.cut:
                place = plan.gt_place / path.name
                add(place, plan.size, _copier(path, place, links))
            else:
                place = plan.gt_place / f"{path.stem}.png"
                add(place, plan.cut, _cutter(path, place, plan.cut))
            if plan.lq_place is None:
                continue
            if plan.lq and plan.lq_place is not None:
                place = plan.lq_place / plan.lq[index].name
                add(place, small, _copier(plan.lq[index], place, links))
            elif chain is not None:
                place = plan.lq_place / f"{path.stem}.png"
                add(place, small, _degrader(path, place, plan.cut, chain))
    return work


def _is_done(place: Path, size: tuple[int, int]) -> bool:
    """Whether this file is there, whole and of this size."""
    if not place.is_file():
        return False
    try:
        return check_clip([place])[:2] == size
    except InputError:
        return False


def _copier(path: Path, place: Path, links: bool) -> Callable[[], None]:
    """Copies a frame, or makes a hard link to its file where that can be."""

    def work() -> None:
        if links and in_packed(path) is None:
            place.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another disk
                os.link(os.path.realpath(path), place)
                return
        with open_frame(path) as source:
            _write(place, source.read())

    return work


def _cutter(path: Path, place: Path, cut: tuple[int, int]) -> Callable[[], None]:
    return lambda: _write(place, encode_image(read_image(path)[: cut[0], : cut[1]], ".png"))


def _degrader(path: Path, place: Path, cut: tuple[int, int], chain: Chain) -> Callable[[], None]:
    def work() -> None:
        image = read_image(path)[: cut[0], : cut[1]]
        (small,), _ = chain.apply([image], np.random.default_rng(0))
        _write(place, encode_image(small, ".png"))

    return work


def _write(place: Path, data: bytes) -> None:
    """Without waiting for the disk, as a run that is repeated looks at every file."""
    unfinished = place.with_name(f".{place.name}.part")
    unfinished.write_bytes(data)
    unfinished.replace(place)


def _tell_work(work: list[tuple[Path, Callable[[], None]]], target: Path, to: str) -> None:
    folders: dict[Path, int] = {}
    for place, _ in work:
        folder = target / place.relative_to(target).parts[0]
        folders[folder] = folders.get(folder, 0) + 1
    for folder, count in folders.items():
        print(f"{folder}: {count} frames to be made")
    if not work:
        print(f"{target}: no frames to be made")
    if to != "folders":
        print(f"{target}: to be packed as {to}")


def _run(work: list[tuple[Path, Callable[[], None]]], jobs: int) -> None:
    for folder in {place.parent for place, _ in work}:
        folder.mkdir(parents=True, exist_ok=True)
    list(_in_parallel(lambda piece: piece[1](), work, jobs, "preparing"))


def _in_parallel(work: Callable, pieces: list, jobs: int, what: str) -> Iterator:
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        try:
            remaining, waiting = iter(pieces), []
            with tqdm(total=len(pieces), desc=what, unit=" files", leave=False, disable=None) as bar:
                waiting = [pool.submit(work, piece) for piece in itertools.islice(remaining, 4 * max(jobs, 1))]
                while waiting:
                    yield waiting.pop(0).result()
                    bar.update()
                    waiting += [pool.submit(work, piece) for piece in itertools.islice(remaining, 1)]
        finally:
            pool.shutdown(cancel_futures=True)


def _write_lists(data_set: DataSet, found: Iterable[Found], plans: Iterable[ClipPlan], target: Path) -> None:
    """The index: a line for each clip of the ground truth, and the lists that belong to the set."""
    for part in found:
        for name in data_set.lists:
            if (path := find_list(part, name)) is not None:
                with atomic_path(target / name) as temporary:
                    shutil.copyfile(path, temporary)
    by_folder: dict[Path, list[ClipPlan]] = {}
    for plan in plans:
        folder = plan.gt_place
        for _ in Path(plan.name).parts:
            folder = folder.parent
        by_folder.setdefault(folder, []).append(plan)
    for folder, clips in by_folder.items():
        channels = image_header(clips[0].gt[0]).channels
        lines = []
        for plan in clips:
            numbers = frame_numbers(plan.gt)
            first = f" {plan.gt[0].stem}" if numbers and numbers[0] > 1 and plan.gt[0].stem.isdecimal() else ""
            lines.append(f"{plan.name} {len(plan.gt)} ({plan.cut[0]},{plan.cut[1]},{channels}){first}\n")
        name = "_".join(folder.relative_to(target).parts)
        with atomic_path(target / f"meta_info_{name}.txt") as temporary:
            temporary.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")


def _packed_folders(plans: Iterable[ClipPlan], target: Path) -> list[Path]:
    """The top folders of the result, each of which becomes one file."""
    places = [place for plan in plans for place in (plan.gt_place, plan.lq_place) if place is not None]
    return sorted({target / place.relative_to(target).parts[0] for place in places})


def _pack(folder: Path, to: str) -> None:
    """One LMDB or TFRecord file of a folder of clips, beside it; the folder is removed when it is complete."""
    packed = folder.with_name(f"{folder.name}.{to}")
    root = folder / "sequences" if (folder / "sequences").is_dir() else folder
    count = {"lmdb": write_lmdb, "tfrecord": write_tfrecord}[to](packed, entries_of(root))
    print(f"{packed}: {count} frames")
    shutil.rmtree(folder)


def _how_to_use(dataset: str, target: Path) -> str:
    layout = DATA_SETS[dataset].layout if dataset != "clips" else "vid4"
    part = {"reds": "train", "vimeo": "train", "gopro": "train", "dvd": "train", "davis": "train_GT"}.get(
        layout, "."
    )
    return f"train with data.layout {layout} data.data_dir {target} data.train_set {part}"
