"""How the papers measured: which frames count, what is done to a restored frame first, which measures, which mean.

Numbers by different protocols cannot be compared. `eval.protocol` names one of `PROTOCOLS`, and every number is
printed and written with that name; '' is the protocol of the keys `eval.crop_border` and `eval.rounding`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from yacs.config import CfgNode

from ascendcv.dataloader.layouts import DVD_SCORED, DVD_TEST
from ascendcv.metrics.koehler import aligned_pair, psnr_searched
from ascendcv.metrics.psnr import psnr
from ascendcv.metrics.ssim import ssim
from ascendcv.metrics.ssim_matlab import ssim_matlab
from ascendcv.metrics.ssim_uniform import ssim_uniform
from ascendcv.utils.color import luma
from ascendvsr.restoration.settings import Settings

Image = np.ndarray  # [H, W, 3] RGB; 0 is black and 255 white
# What a measure is given: a restored frame as `Protocol.image` made it, and its ground truth.
Measure = Callable[[Image, Image], dict[str, float]]


def clipped(frame: Image) -> Image:
    """Within 0..255."""
    return np.clip(frame, 0, 255)


def rounded(frame: Image) -> Image:
    """Clipped and rounded half to even."""
    return np.rint(clipped(frame))


def truncated(frame: Image) -> Image:
    """Clipped and rounded half up, as torchvision's `save_image` writes PNG files."""
    return np.floor(clipped(frame + 0.5))


def unclipped(frame: Image) -> Image:
    """As the network gives it."""
    return frame


def measures(names: Sequence[str], crop_border: int = 0) -> Measure:
    """PSNR and SSIM: `names` are of `MEASURES`; those that end in _y are of luma. `crop_border` in pixels."""
    functions = {"psnr": psnr, "ssim": ssim}

    def measure(image: Image, truth: Image) -> dict[str, float]:
        scores = {}
        for name in names:
            function = functions[name.removesuffix("_y")]
            pair = (luma(image), luma(truth)) if name.endswith("_y") else (image, truth)
            scores[name] = float(function(*pair, crop_border=crop_border))
        return scores

    return measure


def aligned(image: Image, truth: Image, *, crop_border: int, width: int) -> dict[str, float]:
    """PSNR and SSIM on luma after alignment; frames of another width than `width` are transposed first."""
    if image.shape[1] != width:
        image, truth = image.swapaxes(0, 1), truth.swapaxes(0, 1)
    rows, columns = (slice(crop_border, length - crop_border) for length in image.shape[:2])
    pair = aligned_pair(image[rows, columns], truth[rows, columns])
    return {"psnr": psnr(*pair), "ssim": ssim(*pair)}


def uniform(image: Image, truth: Image) -> dict[str, float]:
    """PSNR, and SSIM under a 7x7 box."""
    return {"psnr": psnr(image, truth), "ssim": ssim_uniform(image, truth)}


def matlab(image: Image, truth: Image) -> dict[str, float]:
    """PSNR, and SSIM as MATLAB computes it of color images."""
    return {"psnr": psnr(image, truth), "ssim": ssim_matlab(image, truth)}


def searched(image: Image, truth: Image) -> dict[str, float]:
    """Gray PSNR with optimized scale and shift, and the training's loss, half the sum of squares in [0, 1]."""
    error = (image.astype(np.float64) - truth) / 255
    return {"psnr": psnr_searched(image, truth), "total_loss": 0.5 * float(np.sum(error**2))}


def every_frame(name: str, count: int) -> Sequence[int]:
    """Of the clip `name` with `count` frames, all are measured."""
    return range(count)


def all_but_the_first(name: str, count: int) -> Sequence[int]:
    """The first frame is restored but does not count."""
    return range(1, count)


def middle_frame(name: str, count: int) -> Sequence[int]:
    """One frame of each clip: of Vimeo-90K's seven, im4."""
    return [count // 2]


def dvd_scored(name: str, count: int) -> Sequence[int]:
    """30 frames of each clip of DVD's test set."""
    return [index for index in DVD_SCORED if index < count] if name in DVD_TEST else range(count)


@dataclass(frozen=True)
class Protocol:
    """One way to measure.

    Attributes:
        name: what stands beside the numbers.
        facts: what it does, in words.
        image: what is done to a restored frame first.
        measure: (image, ground truth) -> numbers by name.
        frames: (clip's name, number of frames) -> which of them count.
        mean_of_videos: the mean is that of the clips' means; otherwise that over all frames.
        mirrored: clips are restored followed by their reversal, and each frame is the mean of its two restorations.
        window_ends: what stands in for frames before the first and after the last, whatever `eval.window_ends`
            says; '': what that says.
        on_vimeo: the protocol with `data.layout` vimeo, of whose clips papers score one frame; None: this one.
    """

    name: str
    facts: str
    image: Callable[[Image], Image]
    measure: Measure
    frames: Callable[[str, int], Sequence[int]] = every_frame
    mean_of_videos: bool = False
    mirrored: bool = False
    window_ends: str = ""
    on_vimeo: "Protocol | None" = None

    def applied(self, settings: Settings) -> Settings:
        """How to restore by this protocol, where `settings` say the rest."""
        return dataclasses.replace(settings, window_ends=self.window_ends) if self.window_ends else settings


MEASURES = ("psnr", "ssim", "psnr_y", "ssim_y")

_EVERY_MEASURE = measures(MEASURES)
_RGB = "clipped and rounded to 8 bits; RGB"
_LUMA_TOO = f"{_RGB}, and luma of BT.601 (_y)"
_ALL_FRAMES = "all frames, no border; mean of the clips' means"
_MIDDLE_FRAME = "the middle frame of each clip alone, no border; mean over all clips"


def _by_clips(
    name: str,
    facts: str,
    *,
    measure: Measure = _EVERY_MEASURE,
    window_ends: str = "reflection_circle",
    **options: Any,
) -> Protocol:
    """Frames as they are written to files; each clip counts as much as any other."""
    return Protocol(name, facts, rounded, measure, mean_of_videos=True, window_ends=window_ends, **options)


PROTOCOLS: Mapping[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _by_clips(
            "rvrt",
            f"{_LUMA_TOO}; mean of the clips' means",
            window_ends="",
            on_vimeo=_by_clips(
                "rvrt",
                f"{_LUMA_TOO}; clips mirrored to twice their length, the mean of both middle frames; mean over all "
                "clips",
                window_ends="",
                frames=middle_frame,
                mirrored=True,
            ),
        ),
        _by_clips(
            "edvr",
            f"as BasicSR measures EDVR: {_LUMA_TOO}; RGB is what it prints of REDS4; {_ALL_FRAMES}",
            on_vimeo=_by_clips(
                "edvr", f"as BasicSR measures EDVR: {_LUMA_TOO}; {_MIDDLE_FRAME}", frames=middle_frame
            ),
        ),
        _by_clips("vid4", f"{_LUMA_TOO}, which papers print of Vid4; {_ALL_FRAMES}"),
        _by_clips("udm10", f"{_LUMA_TOO}, which papers print of UDM10; {_ALL_FRAMES}"),
        _by_clips(
            "vimeo90k", f"{_LUMA_TOO}, which papers print of Vimeo-90K; {_MIDDLE_FRAME}", frames=middle_frame
        ),
        _by_clips("reds4", f"{_RGB}; {_ALL_FRAMES}", measure=measures(("psnr", "ssim"))),
        *(
            Protocol(
                name=name,
                facts=f"{_RGB}; PSNR and SSIM as MATLAB's psnr and ssim; all frames, no border; mean over all "
                "frames",
                image=rounded,
                measure=matlab,
                window_ends="replicate",
            )
            for name in ("gopro", "dvd")
        ),
        *(
            _by_clips(name, f"{_RGB}; {_ALL_FRAMES}", measure=measures(("psnr", "ssim")), window_ends="replicate")
            for name in ("davis", "set8")
        ),
        Protocol(
            name="cdvd_tsp",
            facts=f"{_RGB} without 4 pixels at each edge; mean over all frames",
            image=rounded,
            measure=measures(("psnr", "ssim"), crop_border=4),
        ),
        Protocol(
            name="pvdnet_eval",
            facts="not clipped, not rounded; RGB; SSIM under a 7x7 box; mean over all frames",
            image=unclipped,
            measure=uniform,
        ),
        Protocol(
            name="pvdnet_paper",
            facts="rounded half up to 8 bits; without 16 pixels at each edge; brightness and position aligned to "
            "the ground truth; luma; without the first frame of each clip; mean over all frames",
            image=truncated,
            measure=functools.partial(aligned, crop_border=16, width=1280),
            frames=all_but_the_first,
        ),
        Protocol(
            name="deblur_devil",
            facts="clipped, not rounded; gray; best of all shifts by up to 5 pixels, with optimized brightness; "
            "30 frames of each clip of DVD's test set, all of others; mean over all frames",
            image=clipped,
            measure=searched,
            frames=dvd_scored,
        ),
    )
}


def by_keys(crop_border: int = 0, rounding: bool = False, names: Sequence[str] = MEASURES) -> Protocol:
    """The protocol of the keys `eval.crop_border` and `eval.rounding`; `names` are of `MEASURES`."""
    rule = "clipped and rounded to 8 bits" if rounding else "clipped, not rounded"
    return Protocol(
        name="by keys",
        facts=f"{rule}; RGB, and luma of BT.601 (_y); border {crop_border}; mean over all frames",
        image=rounded if rounding else clipped,
        measure=measures(names, crop_border),
    )


def protocol_of(cfg: CfgNode) -> Protocol:
    """The protocol that the configuration names."""
    if not cfg.eval.protocol:
        return by_keys(cfg.eval.crop_border, cfg.eval.rounding)
    protocol = PROTOCOLS[cfg.eval.protocol]
    if protocol.on_vimeo and cfg.data.layout == "vimeo":
        return protocol.on_vimeo
    return protocol


def validation_protocol(cfg: CfgNode) -> Protocol:
    """What is measured during training: without a protocol's name PSNR and SSIM of RGB alone."""
    if cfg.eval.protocol:
        return protocol_of(cfg)
    return by_keys(cfg.eval.crop_border, cfg.eval.rounding, ("psnr", "ssim"))
