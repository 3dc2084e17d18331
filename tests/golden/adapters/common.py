"""What all restoration toolboxes share: metrics, color, losses, data preparation, schedules."""

import re

import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradients
from tests.golden.layout import channels_first, channels_last


def psnr_ssim(case: Case) -> dict:
    """Arrays such as `psnr_b4`, `ssim_y_b8`, `psnr_gray_b2`, `ssim_pt_y_b4`; images are BGR.

    'pt' are the PyTorch variants, for images in 0..1.
    """
    from ascendcv.metrics.psnr import psnr
    from ascendcv.metrics.ssim import ssim
    from ascendcv.utils.color import luma

    outputs = {}
    for name in case.outputs:
        kind, variant, plane, border = re.fullmatch(r"(psnr|ssim)_(pt_)?(y_|gray_)?b(\d+)", name).groups()
        if plane == "gray_":
            pair = case.array("gray1"), case.array("gray2")
        else:
            pair = case.array("img")[..., ::-1], case.array("img2")[..., ::-1]
        if plane == "y_":
            pair = luma(pair[0]), luma(pair[1])
        border = int(border)
        if kind == "ssim":
            outputs[name] = ssim(*pair, crop_border=border)
        elif variant:
            unit = (image.astype(np.float32) / np.float32(255) for image in pair)
            outputs[name] = psnr(*unit, crop_border=border, peak=1.0, mse_offset=1e-8)
        else:
            outputs[name] = psnr(*pair, crop_border=border)
    return outputs


def ycbcr(case: Case) -> dict:
    from ascendcv.utils.color import luma, rgb_to_ycbcr, ycbcr_to_rgb

    rgb = case.array("rgb_uint8")
    bgr = rgb[..., ::-1]  # the same array, read as BGR
    unit, unit_bgr = (image.astype(np.float32) / np.float32(255) for image in (rgb, bgr))
    batch = channels_first(rgb_to_ycbcr(unit[np.newaxis]))
    return {
        "rgb2ycbcr_uint8": rgb_to_ycbcr(rgb),
        "rgb2ycbcr_float": rgb_to_ycbcr(unit),
        "rgb2ycbcr_y_uint8": rgb_to_ycbcr(rgb)[..., 0],
        "rgb2ycbcr_y_float": luma(rgb) / 255,
        "bgr2ycbcr_uint8": rgb_to_ycbcr(bgr),
        "bgr2ycbcr_float": rgb_to_ycbcr(unit_bgr),
        "bgr2ycbcr_y_uint8": rgb_to_ycbcr(bgr)[..., 0],
        "bgr2ycbcr_y_float": luma(bgr) / 255,
        "ycbcr2rgb_float": ycbcr_to_rgb(rgb_to_ycbcr(unit)),
        "ycbcr2bgr_float": ycbcr_to_rgb(rgb_to_ycbcr(unit))[..., ::-1],
        "rgb2ycbcr_pt": batch,
        "rgb2ycbcr_pt_y": batch[:, :1],
        "y_plane_of_bgr": luma(bgr),
    }


def losses(case: Case) -> dict:
    """An array for each entry of the configuration, and its gradient as `grad_NAME`."""
    from ascendcv.losses.charbonnier import charbonnier
    from ascendcv.losses.l1 import l1
    from ascendcv.losses.l2 import l2

    functions = {"CharbonnierLoss": charbonnier, "L1Loss": l1, "MSELoss": l2}
    weights = {None: None, "w1": "weight_1ch", "wc": "weight"}
    pred, target = channels_last(case.array("pred")), channels_last(case.array("target"))
    outputs = {}
    for name, settings in case.config.items():
        settings = dict(settings)
        function = functions[settings.pop("cls")]
        weight = weights[settings.pop("weight")]
        factor = settings.pop("loss_weight", 1.0)
        if weight is not None:
            settings["weight"] = channels_last(case.array(weight))

        def loss(pred, function=function, factor=factor, settings=settings):
            return factor * function(pred, target, **settings)

        value, (gradient,), _ = gradients(loss, [pred])
        outputs[name] = channels_first(value) if value.ndim else value
        outputs[f"grad_{name}"] = channels_first(gradient)
    return outputs


def imresize(case: Case) -> dict:
    """Two functions serve it: the op for tensors, and the one for image files, which rounds after each pass.

    Of their float results the one that is farther off counts.
    """
    from keras import ops

    from ascendcv.dataloader.degrade import imresize
    from ascendcv.ops.resize import resize_matlab

    image, unit = case.array("image"), case.frames("image")
    outputs = {}
    for name, scale, antialiasing in case.config["scales"]:
        if not antialiasing and scale < 1:
            raise NotImplementedError("imresize without antialiasing")
        tensor = ops.convert_to_numpy(resize_matlab(unit[np.newaxis], scale))[0]
        outputs[name] = _farther(case.array(name), tensor, imresize(unit, scale))
        outputs[f"{name}_uint8"] = imresize(image, scale)
    return outputs


def _farther(expected: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return max(a, b, key=lambda array: np.abs(array - expected).max(initial=0))


def crop_augment(case: Case) -> dict:
    """`seedS_lq` and `seedS_gt` by the draws of the configuration; `augI_image` and `augI_flow` by I's bits."""
    from ascendcv.dataloader.augment import augment, augment_flow, paired_crop

    scale = case.config["scale"]
    size = (case.config["gt_size"] // scale,) * 2
    outputs = {}
    for draw in case.config["draws"]:
        pair = paired_crop(case.array("lq"), case.array("gt"), draw["top"], draw["left"], size, scale)
        for kind, frames in zip(("lq", "gt"), pair, strict=True):
            augmented = augment(frames, draw["hflip"], draw["vflip"], draw["rot90"])
            outputs[f"seed{draw['seed']}_{kind}"] = augmented
    for name in case.outputs:
        if found := re.fullmatch(r"aug(\d+)_(image|flow)", name):
            bits = int(found[1])
            function = {"image": augment, "flow": augment_flow}[found[2]]
            array = case.array(f"{found[2]}_in")
            outputs[name] = function(array, bool(bits & 1), bool(bits & 2), bool(bits & 4))
    return outputs


def tensor2img(case: Case) -> dict:
    """Network output to 8 bit; `modM` is the image without the rows and columns beyond a multiple of M."""
    from ascendcv.dataloader.pixels import to_pixels
    from ascendvsr.layers.padding import to_multiple

    image = case.array("image")[np.newaxis, np.newaxis]
    low, high = case.config["min_max"]
    frame = (channels_last(case.array("tensor"))[0] - low) / (high - low)
    pixels = to_pixels(frame, np.zeros((1, 1, 3), np.uint8), scale=1)
    outputs = {"bgr": pixels[..., ::-1] if case.config["rgb2bgr"] else pixels}
    for name in case.outputs:
        if found := re.fullmatch(r"mod(\d+)", name):
            outputs[name] = to_multiple(image, int(found[1]), size="crop")[0, 0]
    return outputs


def window_indices(case: Case) -> dict:
    """`MODE_lenL_nN`, one row a frame. 'huawei' is the TensorFlow release, which replicates."""
    from ascendcv.dataloader.windows import window_indices

    outputs = {}
    for name in case.outputs:
        mode, length, num_frames = re.fullmatch(r"(\w+)_len(\d+)_n(\d+)", name).groups()
        mode = {"huawei": "replicate"}.get(mode, mode)
        outputs[name] = np.array(
            [window_indices(i, int(length), int(num_frames), mode) for i in range(int(length))]
        )
    return outputs


def cosine_annealing_restart(case: Case) -> dict:
    """BasicSR's CosineAnnealingRestartLR, `lr` at the iterations (from 1 on) that `iteration` lists."""
    from ascendcv.runner.schedules import cosine_annealing_restart

    config = case.config
    schedule = cosine_annealing_restart(
        config["base_lr"] if "base_lr" in config else config["lr"],
        config["periods"],
        config["restart_weights"],
        config["eta_min"],
        warmup_steps=max(config.get("warmup_iter", 0), 0),
    )
    iterations = case.array("iteration")
    return {"iteration": iterations, "lr": np.array([schedule(int(i) - 1) for i in iterations])}


def multistep_restart(case: Case) -> dict:
    """BasicSR's MultiStepRestartLR, `lr` at iterations 1 to total_iter."""
    from ascendcv.runner.schedules import multistep_restart

    settings = {key: case.config[key] for key in ("milestones", "gamma", "restarts", "restart_weights")}
    schedule = multistep_restart(case.config["lr"], **settings)
    return {"lr": np.array([schedule(step) for step in range(case.config["total_iter"])])}


ADAPTERS = {
    "common": {
        "cosine_restart": cosine_annealing_restart,
        "crop_augment": crop_augment,
        "imresize": imresize,
        "multistep_restart": multistep_restart,
        "psnr_ssim": psnr_ssim,
        "restoration_losses": losses,
        "tensor2img": tensor2img,
        "window_indices": window_indices,
        "ycbcr": ycbcr,
    }
}
