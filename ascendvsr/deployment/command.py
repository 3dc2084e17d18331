"""The command `export`: what its options mean, and the check of a file that was exported before."""

import argparse
import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.pixels import to_unit_rgb
from ascendcv.utils.errors import InputError
from ascendvsr.deployment.formats import Format, format_named
from ascendvsr.deployment.metadata import read_metadata
from ascendvsr.deployment.operators import TARGETS, check_operators

if TYPE_CHECKING:
    from yacs.config import CfgNode

    from ascendvsr.models.card import Card


@dataclass(frozen=True)
class Request:
    """What the options ask for, checked as far as they tell by themselves.

    Attributes:
        formats: to write.
        form: of what goes in and out: arguments of `ascendvsr.deployment.serving.Served`.
        precision: float32, float16 (of the weights) or int8.
        calibration: [H, W, 3] float32 in [0, 1] each: frames to fit int8 to and to compare with.
    """

    formats: Sequence[Format]
    form: dict[str, Any]
    precision: str
    calibration: Sequence[np.ndarray] = ()

    def write(self, cfg: "CfgNode", card: "Card", network: Callable[[], object]) -> None:
        """Exports the network that `network` gives into `output_dir`."""
        from ascendvsr.deployment.export import export_files
        from ascendvsr.deployment.origin import origin_of
        from ascendvsr.deployment.serving import Served, frames_of_a_call

        model = network()
        served = Served(card, model, frames_of_a_call(cfg, card, model), **self.form)
        origin = origin_of(cfg, card)
        if self.calibration:
            origin = dataclasses.replace(origin, frames=self.calibration, content="the frames of --int8")
        export_files(served, self.formats, Path(cfg.output_dir), self.precision, origin)


def requested(arguments: argparse.Namespace) -> Request:
    """What the arguments of `export` ask for. Raises `InputError` for what cannot be."""
    formats = [format_named(name) for name in dict.fromkeys(arguments.format.split(","))]
    height, width = _size(arguments.size)
    if arguments.batch < 1 and arguments.batch != -1:
        raise InputError(f"--batch {arguments.batch} should be a number from 1 on, or -1 for any")
    form = {
        "batch": None if arguments.batch == -1 else arguments.batch,
        "height": height,
        "width": width,
        "folded": arguments.fold,
        "input_dtype": arguments.input_dtype,
        "output_dtype": arguments.output_dtype,
    }
    precision = "int8" if arguments.int8 else arguments.weights_dtype
    if arguments.int8 and arguments.weights_dtype != "float32":
        raise InputError(f"--int8 and --weights-dtype {arguments.weights_dtype} exclude each other")
    for each in formats:
        each.check(tuple(form[key] for key in ("batch", "height", "width")), precision)
    return Request(formats, form, precision, _frames_of(arguments.int8) if arguments.int8 else ())


def _frames_of(path: str) -> list[np.ndarray]:
    """The first frames of a folder or video, at most as many as are looked at."""
    source = open_source(path)
    return [to_unit_rgb(frame.pixels) for frame in itertools.islice(source, _MOST_FRAMES)]


_MOST_FRAMES = 120


def _size(words: Sequence[str]) -> tuple[int | None, int | None]:
    if list(words) == ["dynamic"]:
        return None, None
    if len(words) != 2 or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise InputError(f"--size should be height and width in pixels, or dynamic, not {' '.join(words)}")
    height, width = map(int, words)
    return height, width


def check_compiler(words: Sequence[str]) -> bool:
    """`--check TARGET FILE`: prints the report and returns True; False where the words are something else.

    Raises `RuntimeError` where the compiler is known to refuse the file.
    """
    if words[0] not in TARGETS:
        return False
    if len(words) != 2:
        raise InputError(f"--check {words[0]} takes one file, not {len(words) - 1}")
    report = check_operators(*words)
    print("\n".join(report.lines()))
    if not report.fits:
        raise RuntimeError(f"{words[1]} does not fit {TARGETS[words[0]].title}: see above")
    return True


def checked_file(words: Sequence[str]) -> tuple[Path, dict]:
    """`--check FILE`: the file and what it says of itself. Raises `InputError` where it is none of an export."""
    if len(words) != 1:
        raise InputError(f"--check takes FILE, or one of {', '.join(TARGETS)} and FILE, not {' '.join(words)}")
    path = Path(words[0])
    metadata = read_metadata(path)
    if metadata["step"] == "first":
        raise InputError(f"{path} is for the first frame of a video: name the file of all others, beside it")
    return path, metadata


def compare_file(path: Path, metadata: dict, cfg: "CfgNode", card: "Card", network: Callable[[], object]) -> None:
    """Compares an exported file with the network of its checkpoint and prints the report as JSON.

    Raises `InputError` where the checkpoint is another one, `RuntimeError` for a difference larger than accepted.
    """
    from ascendvsr.deployment.export import compared
    from ascendvsr.deployment.origin import origin_of

    origin = origin_of(cfg, card)
    if metadata["checkpoint"]["sha256"] not in ("", origin.checkpoint["sha256"]):
        raise InputError(f"{path} was exported from another checkpoint than {cfg.checkpoint}: their SHA-256 differ")
    print(json.dumps(compared(path, metadata, card, network(), origin), indent=1))
