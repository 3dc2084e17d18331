"""The papers' own measures, and the test program of RVRT."""

import numpy as np

from tests.golden.case import Case
from tests.golden.layout import channels_first, channels_last
from tests.golden.record import recorded


def pvdnet_eval(case: Case) -> dict:
    """Values in [-1, 1] become [0, 1], as the source's program does."""
    from ascendcv.metrics.psnr import psnr
    from ascendcv.metrics.ssim_uniform import ssim_uniform
    from ascendvsr.evaluation.protocols import truncated

    result = (channels_last(case.array("result"))[0] + 1) / 2
    truth = channels_last(case.frames("gt"))[0]
    score = psnr(result, truth, peak=1)
    return {
        "psnr": [score],
        "psnr2": [score],
        "ssim": [ssim_uniform(result, truth, data_range=case.config["data_range"])],
        "png": truncated(255 * result),
    }


def pvdnet_paper(case: Case) -> dict:
    from ascendcv.metrics.koehler import aligned_pair, brightness, displacement
    from ascendcv.metrics.psnr import psnr
    from ascendcv.metrics.ssim import ssim

    crop = case.config["cropsize"]
    outputs = {name: [] for name in ("psnr_f64", "ssim_f64", "shift_f64", "scale_f64")}
    for result, truth in zip(case.array("result"), case.array("gt"), strict=True):
        result, truth = (image[crop:-crop, crop:-crop].astype(np.float64) for image in (result, truth))
        pair = aligned_pair(result, truth)
        scale = brightness(result, truth)
        outputs["psnr_f64"].append(psnr(*pair))
        outputs["ssim_f64"].append(ssim(*pair))
        outputs["scale_f64"].append(scale)
        outputs["shift_f64"].append(displacement(scale * result, truth))
    return outputs


def psnr_koehler(case: Case) -> dict:
    """`NAME` by the arguments that the configuration gives it, and `NAME.per_image`."""
    from ascendcv.metrics.koehler import psnr_searched

    names = {
        "grayscale": "gray",
        "scale_opt": "optimize_scale",
        "trans_opt": "optimize_shift",
        "trans_range": "reach",
    }
    pair = [channels_last(case.frames(name)) for name in ("prediction", "target")]
    outputs = {}
    for call, arguments in case.config["calls"].items():
        options = {names[name]: value for name, value in case.config.items() if name in names}
        options |= {names[name]: value for name, value in arguments.items()} | {"peak": 1}
        outputs[call] = psnr_searched(*pair, **options)
        outputs[f"{call}.per_image"] = [psnr_searched(*images, **options) for images in zip(*pair, strict=True)]
    return outputs


def cdvd_tsp(case: Case) -> dict:
    from ascendcv.dataloader.pixels import quantize
    from ascendcv.metrics.psnr import psnr
    from ascendcv.metrics.ssim import ssim

    crop, shave = case.config["crop_border"], case.config["shave"]
    out, truth = channels_last(case.array("out")), channels_last(case.array("gt"))
    image, unit = quantize(out, np.uint8), channels_last(case.frames("gt"))
    return {
        "out_uint8": image,
        "psnr": [psnr(image, truth, crop_border=crop)],
        "ssim": [ssim(image, truth, crop_border=crop)],
        "psnr_nocrop": [psnr(image, truth)],
        "ssim_nocrop": [ssim(image, truth)],
        "psnr_train_test": [psnr(out, unit, crop_border=shave, peak=1)],
        "ssim_fork_test": [ssim(255 * out, 255 * unit)],
    }


def tiled_test(case: Case) -> dict:
    """The stand-in of the source: pixels repeated, plus a ramp that begins anew in every tile and chunk."""
    scale, shapes = case.config["scale"], []

    def forward(clips: np.ndarray) -> np.ndarray:
        shapes.append(channels_first(clips).shape)
        restored = clips[..., :3].repeat(scale, axis=2).repeat(scale, axis=3)
        frames, rows, columns = (np.arange(count, dtype=np.float32) for count in restored.shape[1:4])
        ramp = 0.05 * frames[:, None, None] + 0.01 * rows[:, None] / scale - 0.02 * columns / scale
        return restored + ramp[..., None].astype(np.float32)

    return {"y": _official(case, forward, scale), "tile_shapes": shapes}


def rvrt_test_video(case: Case) -> dict:
    from tests.golden.adapters.rvrt import network

    model = network(case)
    return {"y": _official(case, lambda clips: recorded(model, [], clips)[0], model.scale)}


def _official(case: Case, forward, scale: int) -> np.ndarray:
    """`forward` with the case's tiles, by the test program's rules."""
    from ascendvsr.restoration.chunks import restore_in_chunks
    from ascendvsr.restoration.loops import Settings, clip_forward

    (frames, *tile), (frames_overlap, overlap, _) = case.config["tile"], case.config["tile_overlap"]
    settings = Settings(
        tile=tuple(tile) if tile[0] else None,
        tile_overlap=overlap,
        tile_frames=frames,
        tile_frames_overlap=frames_overlap,
        blending="official",
    )
    clips = channels_last(case.frames("x"))
    restored = restore_in_chunks(
        clip_forward(forward, scale, settings), clips[0], chunk=frames, overlap=frames_overlap, blending="official"
    )
    return channels_first(np.stack(list(restored))[np.newaxis])


ADAPTERS = {
    "pvdnet": {"pvdnet_eval": pvdnet_eval, "pvdnet_paper_metric": pvdnet_paper},
    "deblur_devil": {"psnr_koehler": psnr_koehler},
    "cdvd_tsp": {"cdvd_tsp_metric": cdvd_tsp},
    "rvrt": {"tiled_test": tiled_test, "RVRT_test_video": rvrt_test_video},
}
