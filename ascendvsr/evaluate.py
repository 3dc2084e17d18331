"""PSNR and SSIM of a network on clips with ground truth, beside those of bicubic upsampling."""

import contextlib
import csv
import functools
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.frame_sink import Write, in_background, open_sink
from ascendcv.dataloader.frame_source import ImageSource, prefetch
from ascendcv.dataloader.image import read_image, to_rgb
from ascendcv.dataloader.reds import Clip
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.datasets import evaluation_clips
from ascendvsr.restore import (
    clip_folder,
    quantize,
    report_progress,
    restore_settings,
    restored_frames,
    to_unit_rgb,
)

MEASURES = ("psnr", "ssim", "psnr_y", "ssim_y")

_SCORING_THREADS = 4


def evaluate(cfg: CfgNode, network: Callable[[], object]) -> dict:
    """The command: measures the evaluation set, prints a line a clip and the total, and writes the numbers.

    They go to output_dir/result/metrics.json and metrics.csv, with the protocol by which they were found. All
    headers are checked before `network()` is called, which gives the model with its weights. With
    `eval.save_images` the restored frames are written where `ascendvsr.restore.inference` puts them.
    Returns what metrics.json holds. Raises `InputError` for a set that cannot be read or has no ground truth.
    """
    clips = evaluation_clips(cfg)
    require_ground_truth(clips)
    restoring = restore_settings(cfg)
    model = network()
    numbers = evaluate_model(
        model,
        clips,
        crop_border=cfg.eval.crop_border,
        rounding=cfg.eval.rounding,
        sink=functools.partial(_image_sink, cfg) if cfg.eval.save_images else None,
        report=lambda video: print(summary(video["name"], video), flush=True),
        **restoring,
    )
    print(summary("total, mean over all frames", numbers["total"]))
    if len(clips) > 1:
        print(summary("mean over the clips' means", numbers["mean_of_videos"]))
    protocol = {
        "data": str(Path(cfg.data.data_dir, "sets", cfg.data.eval_set)),
        "checkpoint": cfg.checkpoint,
        "videos": len(clips),
        "frames": numbers["total"]["frames"],
        "colour": "RGB; _y: luma of BT.601, 16 to 235",
        "range": "0 to 255",
        "crop_border": cfg.eval.crop_border,
        "rounding": "clipped and rounded to 8 bits" if cfg.eval.rounding else "clipped, not rounded",
        "window_ends": restoring["window_ends"],
        "tile": restoring["tile"] and {"size": restoring["tile"], "overlap": restoring["tile_overlap"]},
        "bicubic": "MATLAB's imresize of the stored frames",
    }
    border, rounding, ends = (protocol[key] for key in ("crop_border", "rounding", "window_ends"))
    print(f"protocol: {protocol['colour']}; border {border}; {rounding}; window ends: {ends}")
    result = {"network": cfg.model.name, "protocol": protocol} | numbers
    folder = Path(cfg.output_dir, "result")
    _write_csv(folder / "metrics.csv", result)
    with atomic_path(folder / "metrics.json") as temporary:
        temporary.write_text(json.dumps(_finite(result), indent=1) + "\n")
    print(f"written: {folder / 'metrics.json'}, {folder / 'metrics.csv'}")
    return result


def evaluate_model(
    model,
    clips: Iterable[Clip],
    *,
    crop_border: int = 0,
    rounding: bool = False,
    measures: Sequence[str] = MEASURES,
    baseline: bool = True,
    sink: Callable[[Clip], contextlib.AbstractContextManager[Write]] | None = None,
    report: Callable[[dict], None] | None = None,
    **restoring: object,
) -> dict:
    """What `model` reaches on clips with ground truth, on values 0 to 255.

    Args:
        crop_border: pixels at each edge of a frame that do not count.
        rounding: whether restored values are rounded to 8 bits; they are clipped to the range in any case.
        measures: which of `MEASURES`.
        baseline: whether to measure bicubic upsampling too (the input itself for networks of scale 1).
        sink: gives for a clip where restored frames are written.
        report: called with each clip's numbers as soon as they are there.
        restoring: `window_ends`, `tile`, `tile_overlap`, `batch_size` of `ascendvsr.restore.restore`.
    Returns:
        {'total': mean over all frames, 'mean_of_videos': mean of the clips' means, 'videos': [...]}, each
        with the keys of `measures`, those of the baseline ('psnr_bicubic' or 'psnr_input', ...), 'frames' and
        'ms_per_frame'; a video also has 'name' and 'per_frame', a list with the name and numbers of each.
    Raises:
        InputError: a clip without ground truth, a frame that cannot be read.
    """
    clips = list(clips)
    require_ground_truth(clips)
    score = functools.partial(
        _score, scale=model.scale, crop_border=crop_border, measures=measures, baseline=baseline
    )
    videos = []
    for clip in clips:
        with sink(clip) if sink else contextlib.nullcontext() as write:
            videos.append(_evaluate_clip(model, clip, score, rounding, write, restoring))
        if report is not None:
            report(videos[-1])
    frames = [frame for video in videos for frame in video["per_frame"]]
    count = {"frames": len(frames)}
    ms = sum(video["ms_per_frame"] * video["frames"] for video in videos) / len(frames)
    return {
        "total": _means(frames) | count | {"ms_per_frame": ms},
        "mean_of_videos": _means(videos) | count,
        "videos": videos,
    }


def require_ground_truth(clips: Iterable[Clip]) -> None:
    """Raises `InputError` naming the first clip that has none."""
    for clip in clips:
        if not clip.gt:
            raise InputError(
                f"clip {clip.name} has no ground truth beside {clip.lq[0].parent}: evaluation needs it; "
                "`inference` restores without"
            )


def summary(name: str, numbers: Mapping[str, float]) -> str:
    """One line: `000: PSNR 27.8132 dB, SSIM 0.8012; Y: ...; bicubic: ...; 100 frames, 102.1 ms a frame`."""
    parts = []
    for label, suffix in (("", ""), ("Y: ", "_y"), ("bicubic: ", "_bicubic"), ("input: ", "_input")):
        values = []
        if f"psnr{suffix}" in numbers:
            values.append(f"PSNR {numbers[f'psnr{suffix}']:.4f} dB")
        if f"ssim{suffix}" in numbers:
            values.append(f"SSIM {numbers[f'ssim{suffix}']:.4f}")
        if values:
            parts.append(label + ", ".join(values))
    parts.append(f"{numbers['frames']} frames")
    if "ms_per_frame" in numbers:
        parts[-1] += f", {numbers['ms_per_frame']:.1f} ms a frame"
    return f"{name}: " + "; ".join(parts)


def _evaluate_clip(
    model, clip: Clip, score: Callable, rounding: bool, write: Write | None, restoring: dict
) -> dict:
    """Metrics are computed on threads while the network works on the next frames."""
    start = time.perf_counter()
    scores = {}

    def work(index: int, image: np.ndarray) -> None:
        scores[index] = {"frame": clip.lq[index].name} | score(clip.lq[index], clip.gt[index], image)

    with (
        in_background(work, _SCORING_THREADS, _SCORING_THREADS) as submit,
        contextlib.closing(prefetch(ImageSource(clip.lq, clip.name))) as frames,
    ):
        inputs = (to_unit_rgb(pixels) for _, pixels in frames)
        restored = restored_frames(model, inputs, **restoring)
        for index, frame in enumerate(report_progress(restored, len(clip.lq), clip.name)):
            image = 255 * np.clip(frame, 0, 1)
            submit(index, np.rint(image) if rounding else image)
            if write is not None:
                write(clip.lq[index].stem, quantize(frame, np.uint8 if clip.bits == 8 else np.uint16))
    rows = [scores[index] for index in range(len(clip.lq))]
    ms = 1000 * (time.perf_counter() - start) / len(rows)
    return {"name": clip.name, **_means(rows), "frames": len(rows), "ms_per_frame": ms, "per_frame": rows}


def _score(
    lq: Path,
    gt: Path,
    image: np.ndarray,
    *,
    scale: int,
    crop_border: int,
    measures: Sequence[str],
    baseline: bool,
) -> dict[str, float]:
    """The measures of one restored frame [H, W, 3] in 0..255, and of its bicubically upsampled input."""
    # A network may crop sizes that it cannot take.
    truth = _to_255(to_rgb(read_image(gt)))[: image.shape[0], : image.shape[1]]
    scores = _measure(image, truth, crop_border, measures)
    if baseline:
        upsampled = _to_255(imresize(to_rgb(read_image(lq)), scale))[: image.shape[0], : image.shape[1]]
        suffix = "input" if scale == 1 else "bicubic"
        for name, value in _measure(upsampled, truth, crop_border, measures).items():
            scores[f"{name}_{suffix}"] = value
    return scores


def _measure(image: np.ndarray, truth: np.ndarray, border: int, measures: Sequence[str]) -> dict[str, float]:
    functions = {"psnr": psnr, "ssim": ssim}
    scores = {}
    for name in measures:
        function, on_luma = functions[name.removesuffix("_y")], name.endswith("_y")
        pair = (luma(image), luma(truth)) if on_luma else (image, truth)
        scores[name] = float(function(*pair, crop_border=border))
    return scores


def _to_255(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 -> float32 in 0..255."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max // 255)


def _means(rows: Sequence[Mapping[str, object]]) -> dict[str, float]:
    """Means of all that was measured: keys that begin with the name of a metric."""
    keys = [key for key in rows[0] if key.startswith(("psnr", "ssim"))]
    return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def _image_sink(cfg: CfgNode, clip: Clip) -> contextlib.AbstractContextManager[Write]:
    return open_sink(
        Path(cfg.output_dir, cfg.inference_result_dir, clip_folder(clip)),
        num_threads=cfg.writer_num_threads,
        queue_size=cfg.writer_queue_size,
    )


def _write_csv(path: Path, result: dict) -> None:
    """One row a frame; the protocol has columns of its own, so that rows of several runs can be joined."""
    protocol = {key: result["protocol"][key] for key in ("crop_border", "rounding", "window_ends", "checkpoint")}
    rows = [
        {"video": video["name"]} | frame | protocol for video in result["videos"] for frame in video["per_frame"]
    ]
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _finite(value: object) -> object:
    """The same tree with infinite PSNR, of identical images, as the word: JSON has no such number."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return "inf" if value == float("inf") else value
