"""Cost volumes and deformable attention: operations of the flow networks and of RVRT that have compiled kernels."""

import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradients
from tests.golden.layout import channels_first, channels_last


def correlation(case: Case) -> dict:
    """PWC-Net's and LiteFlowNet's volume. The stride is called `stride` or `intStride`."""
    from ascendcv.ops.correlation import correlation

    def function(first, second):
        stride = case.config.get("stride", case.config.get("intStride"))
        return correlation(first, second, max_displacement=case.config["max_displacement"], stride=stride)

    images = [channels_last(case.array(name)) for name in ("first", "second")]
    volume, found, _ = gradients(function, images, channels_last(case.array("upstream")))
    return {
        "volume": channels_first(volume),
        "grad_first": channels_first(found[0]),
        "grad_second": channels_first(found[1]),
    }


def spatial_correlation(case: Case) -> dict:
    """The sampler, whose volume is [B, patch, patch, H, W]."""
    from ascendcv.ops.correlation import spatial_correlation

    images = [channels_last(case.array(name)) for name in ("input1", "input2")]
    upstream = case.array("grad_output")
    upstream = channels_last(upstream.reshape(len(upstream), -1, *upstream.shape[3:]))
    volume, found, _ = gradients(
        lambda first, second: spatial_correlation(first, second, **case.config), images, upstream
    )
    return {
        "output": channels_first(volume).reshape(case.array("grad_output").shape),
        "grad_input1": channels_first(found[0]),
        "grad_input2": channels_first(found[1]),
    }


def deform_attn(case: Case) -> dict:
    """q is [B*T, 1, C, H, W] and the offsets [B*T, channels, H, W] there."""
    from ascendcv.ops.deform_attn import deform_attn

    def function(q, kv, offset):
        return deform_attn(
            q,
            kv,
            offset,
            attention_heads=case.config["attention_heads"],
            deformable_groups=case.config["deformable_groups"],
            kernel_size=case.config["kernel_h"],
        )

    def clips(array: np.ndarray) -> np.ndarray:
        """[B*T, ...] -> [B, T, ...]."""
        return array.reshape(-1, case.config["clip_size"], *array.shape[1:])

    def frames(tensor) -> np.ndarray:
        return channels_first(np.asarray(tensor).reshape(-1, *tensor.shape[2:]))

    q, offset = channels_last(case.array("q")[:, 0]), channels_last(case.array("offset"))
    arrays = [clips(q), channels_last(case.array("kv")), clips(offset)]
    y, (grad_q, grad_kv, grad_offset), _ = gradients(function, arrays, clips(channels_last(case.array("grad_out"))))
    return {
        "y": frames(y),
        "grad_q": frames(grad_q)[:, np.newaxis],
        "grad_kv": channels_first(grad_kv),
        "grad_offset": frames(grad_offset),
    }


ADAPTERS = {
    "cdvd_tsp": {"correlation": correlation},
    "deblur_devil": {"spatial_correlation": spatial_correlation},
    "pvdnet": {"correlation": correlation},
    "rvrt": {"deform_attn": deform_attn},
}
