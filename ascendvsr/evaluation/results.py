"""Numbers of frames, clips and sets: means, sums and counts, merged and written.

Means are of what was counted, and sums are rounded once (`math.fsum`), so that a set measured in parts and merged
has the numbers of the set measured at once, to the last bit.
"""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ascendcv.dataloader.image import natural_order
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path

Row = Mapping[str, Any]  # of a frame: its name under 'frame', and numbers

_NO_MEASURE = ("frame",)
_LABELS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "psnr_y": "PSNR Y",
    "ssim_y": "SSIM Y",
    "ms_ssim_y": "MS-SSIM Y",
    "psnr_aligned": "PSNR aligned",
    "ssim_aligned": "SSIM aligned",
    "tof": "tOF",
    "warping_error": "warping error",
    "vmaf": "VMAF",
    "lpips": "LPIPS",
    "niqe": "NIQE",
}


def measures_of(rows: Sequence[Row]) -> list[str]:
    """The names of the numbers that any of the rows has, in order."""
    return [name for name in dict.fromkeys(name for row in rows for name in row) if name not in _NO_MEASURE]


def sums_of(rows: Sequence[Row]) -> tuple[dict[str, float], dict[str, int]]:
    """The sum of each measure over the rows that have it, and how many these are."""
    values = {name: [row[name] for row in rows if name in row] for name in measures_of(rows)}
    return {name: math.fsum(each) for name, each in values.items()}, {
        name: len(each) for name, each in values.items()
    }


def means_of(rows: Sequence[Row]) -> dict[str, float]:
    """The mean of each measure over the rows that have it."""
    sums, counts = sums_of(rows)
    return {name: total / counts[name] for name, total in sums.items()}


def summarized(videos: Sequence[dict]) -> dict:
    """Clips with 'name', 'per_frame' (rows) and, where it was measured, 'ms_per_frame' -> all numbers of a set.

    {'total': means over all frames, 'mean_of_videos': means of the clips' means, 'videos': the clips with their
    means, 'sums' and 'counts': over all frames}.
    """
    videos = [
        {"name": video["name"], **means_of(video["per_frame"]), "frames": len(video["per_frame"])}
        | {key: video[key] for key in ("ms_per_frame", "per_frame") if key in video}
        for video in videos
    ]
    rows = [row for video in videos for row in video["per_frame"]]
    sums, counts = sums_of(rows)
    names = measures_of(rows)
    means = [{name: video[name] for name in names if name in video} for video in videos]
    total = means_of(rows) | {"frames": len(rows)}
    if all("ms_per_frame" in video for video in videos):
        total["ms_per_frame"] = math.fsum(video["ms_per_frame"] * video["frames"] for video in videos) / len(rows)
    return {
        "total": total,
        "mean_of_videos": means_of(means) | {"frames": len(rows)},
        "videos": videos,
        "sums": sums,
        "counts": counts,
    }


def merged(results: Sequence[dict]) -> dict:
    """The results of parts of a set as those of the whole; parts are clips, or frames of clips.

    Raises `InputError` where they were measured by different protocols, or a frame twice.
    """
    first = results[0]
    for other in results[1:]:
        for key in ("name", "facts", "checkpoint"):
            before, now = (result["protocol"].get(key) for result in (first, other))
            if before != now:
                raise InputError(
                    f"these results cannot be merged: {key} is {before!r} of one and {now!r} of another"
                )
    clips: dict[str, list[dict]] = {}
    for result in results:
        for video in result["videos"]:
            clips.setdefault(video["name"], []).append(video)
    videos = []
    for name, parts in clips.items():
        rows = sorted(
            (row for part in parts for row in part["per_frame"]), key=lambda row: natural_order(Path(row["frame"]))
        )
        frames = [row["frame"] for row in rows]
        if len(set(frames)) < len(frames):
            twice = next(frame for frame in frames if frames.count(frame) > 1)
            raise InputError(f"these results cannot be merged: frame {twice} of clip {name} was measured twice")
        video = {"name": name, "per_frame": rows}
        if all("ms_per_frame" in part for part in parts):
            total = math.fsum(part["ms_per_frame"] * part["frames"] for part in parts)
            video["ms_per_frame"] = total / len(rows)
        videos.append(video)
    numbers = summarized(sorted(videos, key=lambda video: natural_order(Path(video["name"]))))
    counted = {"videos": len(videos), "frames": numbers["total"]["frames"]}
    return first | {"protocol": first["protocol"] | counted} | numbers


def read(path: Path) -> dict:
    """What `write` wrote as JSON. Raises `InputError` for a file that is none of these."""
    try:
        result = _read_numbers(json.loads(path.read_text(encoding="utf-8")))
        for video in result["videos"]:
            if not isinstance(video["name"], str) or not all(
                isinstance(row["frame"], str) for row in video["per_frame"]
            ):
                raise TypeError
        if not isinstance(result["protocol"], dict) or not result["videos"]:
            raise TypeError
    except OSError as error:
        raise InputError(f"cannot read the results {path}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise InputError(f"{path} holds no results of an evaluation: name a metrics.json") from None
    return result


def write(folder: Path, result: dict) -> list[Path]:
    """Writes metrics.json, .csv and .md, and where matplotlib is installed metrics.png; returns their paths."""
    table, curves = folder / "metrics.md", folder / "metrics.png"
    with atomic_path(table) as temporary:
        temporary.write_text(markdown(result), encoding="utf-8")
    drawn = [curves] if plot(curves, result) else []
    return [*write_numbers(folder, result), table, *drawn]


def write_numbers(folder: Path, result: dict) -> list[Path]:
    """Writes metrics.json and metrics.csv; returns their paths.

    JSON is strict: an infinite PSNR, of identical images, is the word "inf", and what is no number is null.
    """
    files = [folder / "metrics.json", folder / "metrics.csv"]
    _write_csv(files[1], result)
    with atomic_path(files[0]) as temporary:
        text = json.dumps(_as_words(result), indent=1, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return files


def markdown(result: dict) -> str:
    """A table of the clips and their means, with the protocol under it."""
    rows = [row for video in result["videos"] for row in video["per_frame"]]
    names = [name for name in measures_of(rows) if not name.endswith(("_bicubic", "_input"))]
    lines = [
        f"| clip | frames | {' | '.join(label(name) for name in names)} |",
        f"|---|---:|{'---:|' * len(names)}",
    ]
    entries = [(video["name"], video) for video in result["videos"]]
    entries += [("all frames", result["total"]), ("mean of the clips", result["mean_of_videos"])]
    for clip, numbers in entries:
        values = " | ".join(formatted(name, numbers[name]) if name in numbers else "" for name in names)
        clip = clip.replace("|", "\\|")
        lines.append(f"| {clip} | {numbers['frames']} | {values} |")
    protocol = result["protocol"]
    return "\n".join([*lines, "", f"Protocol {protocol['name']}: {protocol['facts']}.", ""])


def label(name: str) -> str:
    """What tables and plots call a measure."""
    return _LABELS.get(name, name)


def formatted(name: str, value: float) -> str:
    """A number with as many digits as papers print."""
    return f"{value:.3f}" if name.startswith(("psnr", "vmaf", "tof")) else f"{value:.4f}"


def plot(path: Path, result: dict) -> bool:
    """Draws each measure over the frames of all clips; False without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    rows = [row for video in result["videos"] for row in video["per_frame"]]
    names = [name for name in measures_of(rows) if not name.endswith(("_bicubic", "_input"))]
    figure = Figure((10, 2.5 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(figure.subplots(len(names), squeeze=False)[:, 0], names, strict=True):
        for video in result["videos"]:
            values = [row.get(name, math.nan) for row in video["per_frame"]]
            axes.plot([value if math.isfinite(value) else math.nan for value in values], label=video["name"])
        axes.set_ylabel(label(name))
        axes.grid(alpha=0.3)
    axes.set_xlabel("frame")
    if len(result["videos"]) <= 12:
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=6)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    return True


def _write_csv(path: Path, result: dict) -> None:
    """One row per frame; the protocol has columns of its own, so that rows of several runs can be joined."""
    facts = result["protocol"]
    protocol = {"protocol": facts["name"]}
    protocol |= {key: value for key, value in facts.items() if key in ("facts", *_COLUMNS)}
    rows = [{"video": video["name"]} | row | protocol for video in result["videos"] for row in video["per_frame"]]
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)


_COLUMNS = ("window_ends", "sigma", "precision", "checkpoint", "restored", "ground_truth")


def _as_words(value: object) -> object:
    """The same tree with infinite numbers as the words inf and -inf, and None for NaN: JSON has no such numbers."""
    if isinstance(value, dict):
        return {key: _as_words(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_words(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _read_numbers(value: object) -> Any:
    if isinstance(value, dict):
        return {key: _read_numbers(item) if key not in ("name", "frame") else item for key, item in value.items()}
    if isinstance(value, list):
        return [_read_numbers(item) for item in value]
    return math.nan if value is None else float(value) if value in ("inf", "-inf") else value
