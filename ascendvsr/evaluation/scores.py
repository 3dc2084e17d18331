"""The command `evaluate`: scores restored clips that are there against their ground truth, without a network."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.frame_sink import in_background
from ascendcv.dataloader.image import to_rgb
from ascendcv.dataloader.pixels import to_255
from ascendcv.metrics.koehler import aligned_pair
from ascendcv.metrics.ms_ssim import ms_ssim
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.color import luma
from ascendcv.utils.errors import InputError
from ascendvsr.config.loading import load_config
from ascendvsr.evaluation import perceptual, results, temporal
from ascendvsr.evaluation.pairs import Frames, Pair, check, check_sizes, find_pairs, frames_of
from ascendvsr.evaluation.protocols import Image, Measure, Protocol, protocol_of, rounded
from ascendvsr.evaluation.vmaf import find_program, vmaf
from ascendvsr.scaling.parts import Part, read_part
from ascendvsr.scaling.sharing import parts_for, run_parts
from ascendvsr.scaling.tasks import read_engine

_THREADS = 4


def _aligned(image: Image, truth: Image) -> dict[str, float]:
    pair = aligned_pair(image, truth)
    return {"psnr_aligned": psnr(*pair), "ssim_aligned": ssim(*pair)}


# Of an image and its ground truth, beside the protocol's own.
IMAGE_MEASURES: dict[str, Measure] = {
    "psnr": lambda image, truth: {"psnr": psnr(image, truth)},
    "ssim": lambda image, truth: {"ssim": ssim(image, truth)},
    "psnr_y": lambda image, truth: {"psnr_y": psnr(luma(image), luma(truth))},
    "ssim_y": lambda image, truth: {"ssim_y": ssim(luma(image), luma(truth))},
    "ms_ssim": lambda image, truth: {"ms_ssim": ms_ssim(image, truth)},
    "ms_ssim_y": lambda image, truth: {"ms_ssim_y": ms_ssim(luma(image), luma(truth))},
    "aligned": _aligned,
}
ALL = (*IMAGE_MEASURES, *temporal.MEASURES, "vmaf", *perceptual.MEASURES)


def evaluate(arguments: argparse.Namespace, cfg: CfgNode) -> dict:
    """Runs the command; `ascendvsr.cli` has its arguments. Returns what metrics.json holds.

    Raises `InputError` for what cannot be paired, read or measured.
    """
    if arguments.merge:
        result = results.merged([results.read(Path(name)) for name in arguments.merge])
        folder = Path(arguments.scores_to or "merged_scores")
    else:
        if not arguments.restored or not arguments.truth:
            raise InputError(
                "name what was restored and its ground truth, or --checkpoint WEIGHTS, or --merge FILES"
            )
        measures = [name for name in (arguments.measures or "").split(",") if name]
        restored, truth = Path(arguments.restored), Path(arguments.truth)
        folder = Path(arguments.scores_to or f"{restored}_scores")
        part, engine = read_part(arguments.part), read_engine(arguments.cluster, arguments.devices)
        if engine:
            pairs, _ = find_pairs(restored, truth)
            count = parts_for(engine, len(pairs))
            result = results.merged(run_parts("ascendvsr.evaluation.scores:score_part", arguments, count, engine))
        else:
            result = score(restored, truth, protocol_of(cfg), measures, arguments.flow or "", part)
            folder /= part.label if part else ""
    for name, numbers in (("all frames", result["total"]), ("mean of the clips", result["mean_of_videos"])):
        print(line(name, numbers))
    print(f"protocol {result['protocol']['name']}: {result['protocol']['facts']}")
    print(f"written: {', '.join(map(str, results.write(folder, result)))}")
    return result


def score_part(arguments: argparse.Namespace) -> dict:
    """What `evaluate` gives for a part, in a worker process: nothing is written."""
    measures = [name for name in (arguments.measures or "").split(",") if name]
    protocol = protocol_of(load_config(arguments.config_file, arguments.settings))
    places = Path(arguments.restored), Path(arguments.truth)
    return score(*places, protocol, measures, arguments.flow or "", read_part(arguments.part))


def score(
    restored: Path,
    truth: Path,
    protocol: Protocol,
    measures: Sequence[str] = (),
    flow_checkpoint: str = "",
    part: Part | None = None,
) -> dict:
    """Scores of all clips in `restored`; prints those of each clip as soon as they are there.

    Args:
        restored, truth: clips (`ascendvsr.evaluation.pairs.find_pairs`).
        protocol: which frames count, what is done to them first, which measures, which mean.
        measures: further ones, of `ALL`.
        flow_checkpoint: weights with a flow network, for those of `ascendvsr.evaluation.temporal`.
        part: only these of the clips.
    Raises:
        InputError: what cannot be paired, read or measured.
    """
    unknown = [name for name in measures if name not in ALL]
    if unknown:
        raise InputError(f"no measure is called {unknown[0]!r}; there are {', '.join(ALL)}")
    if any(name in temporal.MEASURES for name in measures) and not flow_checkpoint:
        raise InputError(
            "tof and warping_error need a flow network: --flow WEIGHTS, of one alone or of a network that has it "
            "(`ascendvsr models` lists basicvsr_x4_reds, rvrt_001_reds)"
        )
    pairs, left = find_pairs(restored, truth)
    if part:
        pairs = part.of(pairs)
        if not pairs:
            raise InputError(f"part {part} has none of the clips: make fewer parts")
    for pair in pairs:
        check(pair, protocol)
    program = find_program() if "vmaf" in measures else ""
    perceived = {name: perceptual.measure_named(name) for name in measures if name in perceptual.MEASURES}
    compare, flow_title = None, ""
    if any(name in temporal.MEASURES for name in measures):
        compare, flow_title = temporal.by_network(flow_checkpoint)
    if left:
        print(f"{len(left)} clips of {truth} have no restored one and do not count: {', '.join(left[:5])}")
    further = [IMAGE_MEASURES[name] for name in measures if name in IMAGE_MEASURES]
    videos = []
    for pair in pairs:
        rows = _rows(pair, protocol, further, perceived, compare, measures)
        if program:
            for row, value in zip(rows, vmaf(_in_8_bits(pair, protocol), program), strict=True):
                row["vmaf"] = value
        videos.append({"name": pair.name, "per_frame": rows})
        print(line(pair.name, results.means_of(rows) | {"frames": len(rows)}), flush=True)
    numbers = results.summarized(videos)
    facts = {
        "name": protocol.name,
        "facts": protocol.facts,
        "restored": str(restored),
        "ground_truth": str(truth),
        "videos": len(videos),
        "frames": numbers["total"]["frames"],
        "measures": list(measures),
    }
    if flow_title:
        facts["flow"] = f"{flow_title}, {flow_checkpoint}"
    if program:
        facts["vmaf"] = program
    return {"protocol": facts} | numbers


def line(name: str, numbers: dict) -> str:
    """`000: PSNR 27.813, SSIM 0.8012; 100 frames`."""
    values = [
        f"{results.label(key)} {results.formatted(key, value)}"
        for key, value in numbers.items()
        if key not in ("frames", "ms_per_frame")
    ]
    count = numbers["frames"]
    return f"{name}: {', '.join(values)}; {count} frame{'' if count == 1 else 's'}"


def _rows(
    pair: Pair,
    protocol: Protocol,
    further: Sequence[Measure],
    perceived: dict[str, Callable[[Image, Image], float]],
    compare: temporal.Compare | None,
    measures: Sequence[str],
) -> list[dict]:
    """The numbers of each frame that counts. Measures of images are computed on threads."""
    scored: dict[int, dict] = {}
    rows: dict[int, dict] = {}
    steadiness = temporal.Steadiness(compare) if compare else None

    def work(frame: Frames) -> None:
        image, truth = _pair(frame, pair, protocol)
        scores = protocol.measure(image, truth)
        for measure in further:
            scores = scores | measure(image, truth)
        scored[frame.index] = {name: float(value) for name, value in scores.items()}

    with in_background(work, _THREADS, _THREADS) as submit:
        for frame in frames_of(pair, protocol):
            submit(frame)
            rows[frame.index] = {"frame": frame.name}
            if perceived or steadiness:
                image, truth = _pair(frame, pair, protocol)
                steady = steadiness.add(frame.index, image, truth) if steadiness else {}
                rows[frame.index] |= {name: value for name, value in steady.items() if name in measures}
                rows[frame.index] |= {name: measure(image, truth) for name, measure in perceived.items()}
    if not rows:
        raise InputError(f"clip {pair.name} has no frame that counts by the protocol {protocol.name}")
    return [{"frame": rows[index]["frame"]} | scored[index] | rows[index] for index in sorted(rows)]


def _pair(frame: Frames, pair: Pair, protocol: Protocol) -> tuple[Image, Image]:
    image, truth = _image(frame.restored, protocol.image), _image(frame.truth, lambda pixels: pixels)
    check_sizes(image.shape, truth.shape, f"{frame.name} of {pair.restored}", str(pair.truth))
    return image, truth


def _in_8_bits(pair: Pair, protocol: Protocol) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for frame in frames_of(pair, protocol):
        restored, truth = (_image(read, rounded).astype(np.uint8) for read in (frame.restored, frame.truth))
        yield restored, truth


def _image(read: Callable[[], np.ndarray], prepare: Callable[[Image], Image]) -> Image:
    return prepare(to_255(to_rgb(read())))
