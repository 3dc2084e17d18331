"""The command `verify`: a published number beside the one that is measured here."""

import argparse
import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ascendcv.dataloader.degrade import blur_downsample, imresize
from ascendcv.dataloader.image import read_image, to_rgb, write_image
from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import literal_path
from ascendvsr.evaluation.evaluate import evaluate
from ascendvsr.evaluation.testsets import PublishedSet, find_test_set, set_named
from ascendvsr.models.zoo import Record, Result, record_named

if TYPE_CHECKING:
    from ascendvsr.commands import Trained

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_DEGRADATIONS = {"bicubic x4": lambda image: imresize(image, 0.25), "blurred x4": blur_downsample}


def verify(arguments: argparse.Namespace, trained: Callable[[argparse.Namespace], "Trained"]) -> list[dict]:
    """Measures each published result of `arguments.name` on `arguments.data`, and prints both numbers.

    Args:
        arguments: of the command; `data` is the folder of a test set or its name, which is downloaded.
        trained: the network of a command's arguments.

    Returns for each result what `evaluate` gives. Raises `InputError` where the record has no such result, and for
    what cannot be measured.
    """
    record = record_named(arguments.name)
    published, folder = _find(record, arguments.data, arguments.test_set)
    results = [result for result in record.results if result.test_set == published.name]
    found = []
    with _with_input(published, folder) as (data, lq, gt):
        for result in results:
            network = trained(
                argparse.Namespace(
                    config_file=record.config or None,
                    settings=_settings(record, result, published, data, lq, gt) + arguments.settings,
                    yes=arguments.yes,
                )
            )
            measured = evaluate(network.cfg, network.card, network.runner)
            print("\n".join(table(record, result, measured)), flush=True)
            found.append(measured)
    return found


def _find(record: Record, data: str, name: str | None) -> tuple[PublishedSet, Path]:
    """Which test set `data` is, and its folder."""
    sets = list(dict.fromkeys(result.test_set for result in record.results))
    if not sets:
        raise InputError(f"no number was published for {record.name}: nothing to verify")
    if not Path(data).is_dir():
        published = find_test_set(data)
        if published is None:
            raise InputError(f"there is no folder {data}, and no test set of this name")
        _require(published, sets, record)
        from ascendvsr.weights.download import get_test_set

        return published, get_test_set(published)
    if name is not None:
        published = set_named(name)
        _require(published, sets, record)
        return published, Path(data)
    folder = Path(data).resolve().name.lower()
    near = [known for known in map(set_named, sets) if folder in (known.name.lower(), known.folder.lower())]
    if len(sets) == 1 or len(near) == 1:
        return near[0] if near else set_named(sets[0]), Path(data)
    raise InputError(f"which test set is {data}? Say --test-set {' or '.join(sets)}")


def _require(published: PublishedSet, sets: Sequence[str], record: Record) -> None:
    if published.name not in sets:
        raise InputError(f"no number of {record.name} was published on {published.name}, but on {', '.join(sets)}")


@contextlib.contextmanager
def _with_input(published: PublishedSet, folder: Path) -> Iterator[tuple[Path, str, str]]:
    """The data set's folder and those of its input and ground truth; the input is made where it is missing."""
    degrade = _DEGRADATIONS.get(published.made_by)
    if degrade is None or (folder / published.lq).is_dir():
        yield folder, published.lq, published.gt
        return
    truth = folder / published.gt
    if not truth.is_dir():
        raise InputError(f"{folder} has neither {published.lq}/ nor {published.gt}/: it is not {published.name}")
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary, folder.resolve().name)  # which is what a single clip is called
        print(f"{folder} has no {published.lq}: it is made of {published.gt}, {published.made_by}", flush=True)
        for path in sorted(truth.rglob("*")):
            if path.suffix.lower() in _IMAGES:
                target = made / published.lq / path.relative_to(truth).with_suffix(".png")
                target.parent.mkdir(parents=True, exist_ok=True)
                write_image(target, degrade(to_rgb(read_image(path))))
        (made / published.gt).symlink_to(truth.resolve())
        yield made, published.lq, published.gt


def _settings(record: Record, result: Result, published: PublishedSet, data: Path, lq: str, gt: str) -> list[str]:
    layout = {"data.layout": published.layout, "data.data_dir": literal_path(data), "data.lq_folder": lq}
    if published.layout == "vimeo":
        layout["data.eval_set"] = "test"
    else:
        layout |= {"data.eval_set": ".", "data.gt_folder": gt}
    others = {
        "data.hold_out": "[]",
        "eval.protocol": result.protocol,
        "inference.sigma": str(result.sigma or ""),
        "checkpoint": record.name,
        "output_dir": f"outputs/verify/{record.name}",
        "mode": "verify",
    }
    return [word for pair in (layout | others).items() for word in pair]


def table(record: Record, result: Result, measured: dict) -> list[str]:
    """Lines that tell a published result, what `evaluate` found, and the difference."""
    videos = measured["videos"]
    numbers = measured["mean_of_videos"] if measured.get("mean_of_videos") else measured["total"]
    suffix = "_y" if result.channels == "Y" and "psnr_y" in numbers else ""
    noise = f", sigma {result.sigma}" if result.sigma else ""
    frames = measured["total"]["frames"]
    lines = [
        f"{record.name} on {result.test_set} ({result.channels}{noise}), protocol {result.protocol}: "
        f"{len(videos)} clip{'s' if len(videos) > 1 else ''}, {frames} frames",
        f"{'':10}{'published':>11}{'measured':>11}{'difference':>12}",
    ]
    for label, name, value, digits in (("PSNR (dB)", "psnr", result.psnr, 3), ("SSIM", "ssim", result.ssim, 4)):
        if value is not None and name + suffix in numbers:
            found = numbers[name + suffix]
            told = f"{value:.2f}" if name == "psnr" else f"{value:.4f}"
            lines.append(f"{label:10}{told:>11}{found:11.{digits}f}{found - value:+12.{digits}f}")
    return lines
