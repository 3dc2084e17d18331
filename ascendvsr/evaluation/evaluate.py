"""PSNR and SSIM of a network on clips with ground truth, beside those of bicubic upsampling."""

import contextlib
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.frame_sink import Write, open_sink
from ascendcv.utils.errors import InputError
from ascendvsr.datasets import evaluation_clips
from ascendvsr.evaluation import results
from ascendvsr.evaluation.protocols import protocol_of
from ascendvsr.evaluation.scoring import NOISE_SEED, evaluate_model, require_frames, require_ground_truth
from ascendvsr.models.card import Card
from ascendvsr.restoration.board import Board, require_tensorboard
from ascendvsr.restoration.inference import clip_folder
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.settings import read_settings
from ascendvsr.restoration.sigma import read_noise_level, sigma_of
from ascendvsr.scaling.parts import Part


def evaluate(cfg: CfgNode, card: Card, network: Callable[[], Runner], part: Part | None = None) -> dict:
    """The command: measures the evaluation set, prints the numbers of each clip and of all, and writes them.

    The lines `Evaluate 000`, `Video 000 PSNR = ...`, `Inference time: ...` (milliseconds of the network per frame)
    and the last one, `PSNR = ...`, are those of the TensorFlow release.

    The numbers go to the files of `ascendvsr.evaluation.results` in `result_folder`, with the protocol by which
    they were found; those of the last evaluation stand in output_dir/result too. With `eval.save_images` the
    restored frames go to CLIP/FOLDER in that folder, with `eval.tensorboard` scores and pictures to its folder
    tensorboard. Of a `part` only its clips are measured, and their numbers go to a folder of its own in that one,
    for `ascendvsr evaluate --merge`. All headers are checked before `network()` is called, which gives the runner.
    Returns what metrics.json holds. Raises `InputError` for a set that cannot be read or has no ground truth.
    """
    protocol = protocol_of(cfg)
    clips = evaluation_clips(cfg)
    require_ground_truth(clips)
    require_frames(clips, protocol)
    if part:
        clips = part.of(clips)
        if not clips:
            raise InputError(f"part {part} has none of the clips: make fewer parts")
    settings, sigma = protocol.applied(read_settings(cfg, card)), read_noise_level(cfg, card)
    for clip in clips:
        sigma_of(sigma, clip.name)
    if cfg.eval.tensorboard:
        require_tensorboard()
    runner = network()
    named = f"{protocol.name}: " if cfg.eval.protocol else ""
    adds_noise = sigma is not None and clips[0].lq == clips[0].gt
    folder = result_folder(cfg) / (part.label if part else "")
    with Board(folder / "tensorboard", runner) if cfg.eval.tensorboard else contextlib.nullcontext() as board:
        numbers = evaluate_model(
            runner,
            clips,
            protocol,
            settings,
            sigma=sigma,
            sink=functools.partial(_sink, cfg, folder, board) if cfg.eval.save_images or board else None,
            begin=lambda clip: print(f"Evaluate {clip.name}", flush=True),
            report=functools.partial(_report, named, board),
        )
    if not (cfg.eval.protocol and protocol.mean_of_videos):
        print(named + summary("total, mean over all frames", numbers["total"]))
    if protocol.mean_of_videos or (len(clips) > 1 and not cfg.eval.protocol):
        print(named + summary("mean over the clips' means", numbers["mean_of_videos"]))
    facts = {
        "name": protocol.name,
        "facts": protocol.facts,
        "data": str(_data(cfg)),
        "checkpoint": cfg.checkpoint,
        "precision": cfg.eval.precision,
        "videos": len(clips),
        "frames": numbers["total"]["frames"],
        "window_ends": settings.window_ends,
        "tile": settings.tile and {"size": settings.tile, "overlap": settings.tile_overlap},
        "blending": settings.blending,
        "sigma": cfg.inference.sigma,
        "noise": f"added, seed {NOISE_SEED} for each clip" if adds_noise else "",
        "bicubic": "MATLAB's imresize of the stored frames",
    }
    print(f"protocol {protocol.name}: {protocol.facts}; window ends: {settings.window_ends}")
    result = {"network": card.name, "protocol": facts} | numbers
    if part is None:
        results.write_numbers(Path(cfg.output_dir, "result"), result)
    print(f"written: {', '.join(map(str, results.write(folder, result)))}")
    if part:
        parts = folder.with_name(f"part-*-of-{part.count}")
        print(f"all parts: ascendvsr evaluate --merge {parts}/metrics.json --output {folder.parent}")
        return result
    means = numbers["mean_of_videos" if protocol.mean_of_videos else "total"]
    print(f"PSNR = {means['psnr']}")
    return result


def merge_parts(cfg: CfgNode, parts: list[dict]) -> dict:
    """Writes and prints the results of all parts of the evaluation set as those of the whole."""
    result, folder = results.merged(parts), result_folder(cfg)
    print(summary("total, mean over all frames", result["total"]))
    if len(result["videos"]) > 1:
        print(summary("mean over the clips' means", result["mean_of_videos"]))
    results.write_numbers(Path(cfg.output_dir, "result"), result)
    print(f"written: {', '.join(map(str, results.write(folder, result)))}")
    means = result["mean_of_videos" if protocol_of(cfg).mean_of_videos else "total"]
    print(f"PSNR = {means['psnr']}")
    return result


def result_folder(cfg: CfgNode) -> Path:
    """Where the results of a checkpoint on a data set go: output_dir/result/CHECKPOINT/SET.

    SET is what `set_name` says. Another checkpoint or set of the same name gets a folder of its own, SET-2 and
    so on.
    """
    checkpoint = Path(cfg.checkpoint).resolve()
    if checkpoint.name == "model.weights.h5":  # of a run's checkpoint, which is a folder
        checkpoint = checkpoint.parent
    network = checkpoint.name if checkpoint.is_dir() else Path(checkpoint.name.removesuffix(".weights.h5")).stem
    name = set_name(cfg)
    for number in itertools.count(1):
        folder = Path(cfg.output_dir, "result", network, name if number == 1 else f"{name}-{number}")
        if _measured_in(folder) in (None, (Path(cfg.checkpoint).resolve(), _data(cfg).resolve())):
            return folder
    raise AssertionError("there is always a free number")


def set_name(cfg: CfgNode) -> str:
    """The folder of the data with the name of its part, and of the protocol where there is one."""
    part = Path(cfg.data.eval_set).name.removesuffix(".json")
    return "-".join(filter(None, (Path(cfg.data.data_dir).resolve().name, part, cfg.eval.protocol)))


def _measured_in(folder: Path) -> tuple[Path, Path] | None:
    """The checkpoint and the data of which a folder has results; None where it has none."""
    try:
        facts = json.loads((folder / "metrics.json").read_text())["protocol"]
        return Path(facts["checkpoint"]).resolve(), Path(facts["data"]).resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _data(cfg: CfgNode) -> Path:
    return Path(cfg.data.data_dir, "sets" if cfg.data.layout == "reds" else "", cfg.data.eval_set)


def _report(named: str, board: Board | None, video: Mapping[str, Any]) -> None:
    if board is not None:
        board.score(video["name"], video["per_frame"])
    print(f"Video {video['name']} PSNR = {video['psnr']}")
    print(f"\tInference time: {video['ms_per_frame']:.2f}")
    print(named + summary(video["name"], video), flush=True)


def summary(name: str, numbers: Mapping[str, float]) -> str:
    """One line: `000: PSNR 27.8132 dB, SSIM 0.8012; Y: ...; bicubic: ...; 100 frames, 102.1 ms per frame`."""
    parts = []
    for label, suffix in (("", ""), ("Y: ", "_y"), ("bicubic: ", "_bicubic"), ("input: ", "_input")):
        values = []
        if f"psnr{suffix}" in numbers:
            values.append(f"PSNR {numbers[f'psnr{suffix}']:.4f} dB")
        if f"ssim{suffix}" in numbers:
            values.append(f"SSIM {numbers[f'ssim{suffix}']:.4f}")
        if f"total_loss{suffix}" in numbers:
            values.append(f"loss {numbers[f'total_loss{suffix}']:.4f}")
        if values:
            parts.append(label + ", ".join(values))
    parts.append(f"{numbers['frames']} frames")
    if "ms_per_frame" in numbers:
        parts[-1] += f", {numbers['ms_per_frame']:.1f} ms per frame"
    return f"{name}: " + "; ".join(parts)


@contextlib.contextmanager
def _sink(cfg: CfgNode, folder: Path, board: Board | None, clip: Clip) -> Iterator[Write | None]:
    """Where the restored frames of a clip go: to files, to TensorBoard, or both."""
    with contextlib.ExitStack() as stack:
        write = stack.enter_context(image_sink(cfg, folder, clip)) if cfg.eval.save_images else None
        yield write if board is None else stack.enter_context(board.watching(clip, write))


def image_sink(cfg: CfgNode, folder: Path, clip: Clip) -> contextlib.AbstractContextManager[Write]:
    """Where the restored frames of a clip go: NAME/FOLDER in `folder`."""
    return open_sink(
        folder / clip_folder(clip),
        num_threads=cfg.writer_num_threads,
        queue_size=cfg.writer_queue_size,
    )
