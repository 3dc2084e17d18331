"""The command `inference` of the TensorFlow release: `restore` by the settings of a configuration."""

import contextlib
import operator
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.clips import Clip
from ascendcv.dataloader.frame_sink import Sink, open_sink
from ascendcv.dataloader.frame_source import ImageSource, Source, clip_folders, open_source
from ascendcv.dataloader.video_reader import VideoSource
from ascendcv.utils.errors import InputError
from ascendvsr.datasets import evaluation_clips
from ascendvsr.models.card import Card
from ascendvsr.restoration.board import Board, require_tensorboard
from ascendvsr.restoration.restore import Watcher, marker, restore_frames
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.settings import Settings, read_settings
from ascendvsr.restoration.sigma import read_noise_level, sigma_of


def inference(cfg: CfgNode, card: Card, network: Callable[[], Runner]) -> None:
    """Restores `inference.input` into `inference.output`, or else data_dir's evaluation set.

    The input is a folder of frames, a folder of such folders, an image or a video. The evaluation set goes to
    NAME/FOLDER/FRAME.png below output_dir/inference_result_dir, as the TensorFlow release put it. All inputs
    are checked before `network()` is called, which gives the runner. Clips are restored as one shot each, as the
    papers do.
    With `eval.tensorboard`, pictures go to output_dir/log/tensorboard/inference. Raises what `restore` raises.
    """
    if cfg.eval.tensorboard:
        require_tensorboard()
    jobs = _jobs(cfg)
    for source, _ in jobs:
        for note in source.notes:
            print(note)
    settings, sigma = read_settings(cfg, card), read_noise_level(cfg, card)
    names = [Path(source.name).name if cfg.inference.input else source.name for source, _ in jobs]
    levels = [sigma_of(sigma, name) for name in names]
    sinks = [
        open_sink(
            target,
            like=source.footage,
            fps=source.fps or Fraction(str(cfg.inference.fps)),
            num_threads=cfg.writer_num_threads,
            queue_size=cfg.writer_queue_size,
        )
        for source, target in jobs
    ]
    runner = network()
    board = None
    if cfg.eval.tensorboard:
        board = Board(Path(cfg.output_dir, "log/tensorboard/inference"), runner)
    with board or contextlib.nullcontext():
        for (source, target), sink, level in zip(jobs, sinks, levels, strict=True):
            name, length = Path(source.name).name, operator.length_hint(source)
            watch = board.watch(name, length) if board is not None else None
            _restore(runner, source, target, sink, settings, level, watch)


def _restore(
    runner: Runner,
    source: Source,
    target: Path,
    sink: Sink,
    settings: Settings,
    level: float | np.ndarray | None,
    watch: Watcher | None,
) -> None:
    """Restores one clip, and says how long that took."""
    said = len(source.notes)
    start = time.perf_counter()
    count = restore_frames(runner, source, sink, settings, sigma=level, mark=marker("off"), watch=watch).frames
    seconds = time.perf_counter() - start
    for note in [*source.notes[said:], *sink.notes]:
        print(note)
    print(f"{target}: {count} frames, {1000 * seconds / count:.0f} ms per frame", flush=True)


def _jobs(cfg: CfgNode) -> list[tuple[Source, Path]]:
    """What to restore, opened and checked, and where it goes."""
    results = Path(cfg.inference.output or Path(cfg.output_dir, cfg.inference_result_dir))
    if not cfg.inference.input:
        clips = evaluation_clips(cfg)
        return [(ImageSource(clip.lq, clip.name), results / clip_folder(clip)) for clip in clips]
    path = Path(cfg.inference.input)
    folders = clip_folders(path)
    if folders:
        if results.resolve().is_relative_to(path.resolve()):
            raise InputError(f"{results} is inside {path}: its frames would be restored again; name another output")
        return [(open_source(folder), results / folder.relative_to(path)) for folder in folders]
    source = open_source(path)
    if not cfg.inference.output:
        results /= f"{path.stem}.mp4" if isinstance(source, VideoSource) else path.stem
    occupied = path.parent if path.is_file() and isinstance(source, ImageSource) else path
    if results.resolve() == occupied.resolve():
        raise InputError(f"restored frames would go where {path} is: name another output")
    return [(source, results)]


def clip_folder(clip: Clip) -> Path:
    """Where the restored frames of a clip of a set go: NAME/FOLDER, as its low-quality frames are stored."""
    folder = clip.lq[0].parent
    return Path(clip.name, folder.name if folder.name != clip.name else folder.parent.name)
