"""CDVD-TSP: the cascade and its parts, its losses, a training step."""

import re
from itertools import chain

import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradient_summary, gradients, named_gradients
from tests.golden.layout import channels_first, channels_last
from tests.golden.record import recorded


def _network(case: Case, num_frame: int):
    """With frames cropped to multiples of 4, as the source's programs hand them to the network."""
    from ascendvsr.models.cdvd_tsp.network import CDVDTSP
    from ascendvsr.weights.mapping import load_state_dict

    names = ("in_channels", "out_channels", "n_resblock", "n_feat", "is_mask_filter")
    arguments = {name: case.config[name] for name in names if name in case.config}
    model = CDVDTSP(**arguments, n_sequence=num_frame, size="crop")
    load_state_dict(model, case.state_dict())
    return model


def reconstruction(case: Case) -> dict:
    """The reconstruction network alone; activations that follow a sequence's last layer are added here."""
    import keras

    from ascendvsr.models.cdvd_tsp.network import ReconstructionNetwork
    from ascendvsr.weights.mapping import load_state_dict

    config = case.config
    network = ReconstructionNetwork(config["out_channels"], config["n_resblock"], config["n_feat"])
    x = channels_last(case.array("x"))
    network(keras.ops.convert_to_tensor(x))
    load_state_dict(network, case.state_dict())
    upsampled = {name: f"{name}.{config['n_resblock']}" for name in ("decoder_second", "decoder_first")}
    out, calls = recorded(network, ["inBlock", "encoder_first", "encoder_second", *upsampled.values()], x)
    outputs = {name: channels_first(found[0]) for name, found in calls.items()}
    return outputs | {
        "out": channels_first(out),
        **{name: np.maximum(outputs[last], 0) for name, last in upsampled.items()},
    }


def _stages(model, clip: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Of each stage of a clip [B, ...], with n triples: `restored` frames [n, B, ...], their `prior`, the `warped`
    neighbors and the `flow` to them [2, n, B, ...].
    """
    batch, _, height, width, _ = clip.shape
    size = height - height % 4, width - width % 4

    def triples(tensor, *before: int) -> np.ndarray:
        return channels_first(np.reshape(tensor, (*before, -1, batch, *tensor.shape[-3:])))

    decoder, refiner = "flow_net.moduleNetwork.moduleTwo", "flow_net.moduleNetwork.moduleRefiner"
    out, calls = recorded(model, ["recons_net.outBlock", "recons_net:0", decoder, refiner], clip)
    np.testing.assert_array_equal(out, calls["recons_net.outBlock"][-1])
    stages = []
    for restored, given, (_, coarse), refined in zip(*calls.values(), strict=True):
        stages.append(
            {
                "restored": triples(restored),
                "prior": triples(given[..., 9:]),
                "warped": triples(np.stack([given[..., :3], given[..., 6:9]]), 2),
                "flow": triples(np.asarray(model.flow_net._full_size(coarse + refined, size)), 2),
            }
        )
    return stages


def single_stage(case: Case) -> dict:
    """`ij` are of the flow from frame j to frame i."""
    from ascendvsr.models.cdvd_tsp.network import warped_inside

    frames = channels_last(case.frames("frames"))
    (stage,) = _stages(_network(case, frames.shape[1]), frames)
    outputs = {"recons": stage["restored"][0], "luckiness": stage["prior"][0]}
    for neighbor, name in enumerate(("01", "21")):
        flow, warped = stage["flow"][neighbor, 0], stage["warped"][neighbor, 0]
        mask = np.asarray(warped_inside(channels_last(warped), channels_last(flow))[1])
        outputs |= {f"flow_{name}": flow, f"warped_{name}": warped, f"mask_{name}": channels_first(mask)}
    return outputs


def cascade(case: Case) -> dict:
    """`NAME_mean` and `NAME_std` are over the pixels of each channel.

    Frames are numbered from 0, and what the first stage restores from 1.
    """
    frames = channels_last(case.frames("frames"))
    stages = _stages(_network(case, frames.shape[1]), frames)
    first, last = stages[0], stages[-1]
    outputs = {
        "out": last["restored"][0],
        "luckiness": np.concatenate([stage["prior"][:, :, 0] for stage in stages]).swapaxes(0, 1),
    }
    for number, stage in enumerate(stages, start=1):
        restored = stage["restored"]
        outputs |= {f"stage{number}_first": restored[0], f"stage{number}_mid": restored[len(restored) // 2]}
    for name, text in case.outputs.items():
        if found := re.match(r"flow\((frame|recons_)(\d), \1(\d)\)", text):
            kind, middle, neighbor = found[1], int(found[2]), int(found[3])
            number = 0 if kind == "frame" else 1
            outputs[name] = stages[number]["flow"][int(neighbor > middle), middle - 1 - number]
    outputs |= {f"recons_{number}": frame for number, frame in enumerate(first["restored"], start=1)}
    for name in list(outputs):
        outputs[f"{name}_mean"] = outputs[name].mean(axis=(2, 3), dtype=np.float64)
        outputs[f"{name}_std"] = outputs[name].std(axis=(2, 3), dtype=np.float64)
    return outputs


def prior(case: Case) -> dict:
    from keras import ops

    from ascendcv.ops.sharpness_prior import box_mean, sharpness_prior
    from ascendcv.ops.sobel import sobel

    frames = [ops.convert_to_tensor(frame[None]) for frame in channels_last(case.frames("frames"))]
    before, after = (channels_last(case.array(name)) for name in ("mask_prev", "mask_next"))
    inside = ops.convert_to_tensor(before * after)
    luckiness = sharpness_prior(*frames, inside, filtered=case.config["is_mask_filter"])
    found = [luckiness, box_mean(frames[1], case.config["mean_kernel"]), *sobel(frames[1])]
    names = ("luckiness", "mean_filtered_mid", "sobel_x", "sobel_y", "sobel")
    return {name: channels_first(np.asarray(array)) for name, array in zip(names, found, strict=True)}


def warp_mask(case: Case) -> dict:
    from ascendvsr.models.cdvd_tsp.network import warped_inside

    inputs = [channels_last(case.array(name)) for name in ("input", "flow")]
    out, found, _ = gradients(
        lambda x, flow: warped_inside(x, flow)[0], inputs, channels_last(case.array("upstream"))
    )
    mask = channels_first(np.asarray(warped_inside(*inputs)[1]))
    return {
        "out": channels_first(out),
        "mask": np.broadcast_to(mask, case.array("input").shape),
        "grad_input": channels_first(found[0]),
        "grad_flow": channels_first(found[1]),
    }


def _shuffled_pixels(shape: tuple[int, ...], seed: int, share: float = 0.1) -> np.ndarray:
    """HEM's random part as the source draws it, [N, H, W, 1]: the beginning of each sample is 1, then shuffled."""
    random = np.random.RandomState(seed)
    batch, height, width = shape
    pixels = np.zeros((batch, height * width), np.float32)
    for sample in pixels:
        sample[: int(share * width * height)] = 1
        random.shuffle(sample)
    return pixels.reshape(batch, height, width, 1)


def _weights(case: Case) -> dict[str, float]:
    """Of the terms L1, HEM and MSL (1 - MS-SSIM) in the case's `loss`: '1*L1+2*HEM', '0.84*MSL+0.16*L1', ..."""
    weights = {"L1": 0.0, "HEM": 0.0, "MSL": 0.0}
    for part in case.config["loss"].split("+"):
        weight, _, term = part.rpartition("*")
        weights[term.strip()] = float(weight or 1)
    return weights


def l1_hem_loss(case: Case) -> dict:
    from ascendcv.losses.hem import hem, hem_mask
    from ascendcv.losses.l1 import l1

    pred, target = channels_last(case.frames("x")), channels_last(case.frames("y"))
    chosen = _shuffled_pixels(pred.shape[:3], case.config["numpy_seed"], case.config["random_thre_p"])
    share, weights = case.config["hard_thre_p"], _weights(case)

    def total(pred):
        return weights["L1"] * l1(pred, target) + weights["HEM"] * hem(pred, target, chosen, hard_share=share)

    value, (gradient,), _ = gradients(total, [pred])
    masks = {
        "hard_mask": hem_mask(pred, target, np.zeros_like(chosen), hard_share=share),
        "random_mask": chosen,
        "mask": hem_mask(pred, target, chosen, hard_share=share),
    }
    return {
        **{name: channels_first(np.asarray(mask)) for name, mask in masks.items()},
        "loss_l1": np.ravel(l1(pred, target)),
        "loss_hem": np.ravel(hem(pred, target, chosen, hard_share=share)),
        "loss_total": value[None],
        "grad_x": channels_first(gradient),
    }


def ms_ssim_l1_loss(case: Case) -> dict:
    """`ssim_per_image` is the metric's, whose window is the same."""
    from keras import ops

    from ascendcv.losses.l1 import l1
    from ascendcv.losses.ms_ssim import ms_ssim
    from ascendcv.metrics.ssim import ssim

    pred, target = channels_last(case.frames("x")), channels_last(case.frames("y"))
    weights = _weights(case)

    def total(pred):
        return weights["MSL"] * (1 - ops.mean(ms_ssim(pred, target))) + weights["L1"] * l1(pred, target)

    value, (gradient,), _ = gradients(total, [pred])
    similarity = np.asarray(ms_ssim(pred, target))
    return {
        "ms_ssim": np.ravel(similarity.mean()),
        "ms_ssim_per_image": similarity.mean(axis=1),
        "ssim_per_image": np.array([ssim(255.0 * a, 255.0 * b) for a, b in zip(pred, target, strict=True)]),
        "loss_l1": np.ravel(l1(pred, target)),
        "loss_msl": 1 - np.ravel(similarity.mean()),
        "loss_total": value[None],
        "grad_x": channels_first(gradient),
        "grad_x_norm": np.ravel(np.linalg.norm(gradient)),
    }


def train_step(case: Case) -> dict:
    """`loss_on` says whether all stages' frames count, side by side in the channels, or the last one."""
    from keras import ops

    from ascendcv.losses.hem import hem_mask
    from ascendvsr.models.cdvd_tsp.training import CDVDTSPUpdates

    terms = {"L1": "l1", "HEM": "hem", "MSL": "ms_ssim"}
    weights = {term: weight for term, weight in _weights(case).items() if weight}
    final = case.config.get("loss_on", "all") == "final"
    clip, truth = channels_last(case.frames("blur")), channels_last(case.frames("gt"))
    chosen = _shuffled_pixels((len(clip), *clip.shape[2:4]), case.config["numpy_seed"])
    # Nothing is compared with the first frame and the last, which the case leaves out.
    ends = np.zeros_like(truth[:, :1])
    batch = {"gt": ops.convert_to_tensor(np.concatenate([ends, truth, ends], axis=1))}
    model = _network(case, clip.shape[1])
    updates = CDVDTSPUpdates({terms[term]: weight for term, weight in weights.items()}, final, lambda truth: chosen)

    frames = ops.convert_to_tensor(clip)
    stages = [[ops.convert_to_numpy(frame) for frame in stage] for stage in model.stages(frames)]
    _, report, _ = updates.loss(model, {"lq": frames, **batch}, 0, ())
    loss = {name: ops.convert_to_numpy(term) for name, term in report.items()}
    counted = stages[-1:] if final else stages
    middle = truth.shape[1] // 2
    sharp = [truth[:, middle + t - len(stage) // 2] for stage in counted for t in range(len(stage))]
    stacked = [np.concatenate(images, axis=-1) for images in ([*chain(*counted)], sharp)]
    mask = np.asarray(hem_mask(*stacked, chosen))
    value, _, found = gradients(
        lambda clip: updates.loss(model, {"lq": clip, **batch}, 0, ())[0],
        [clip],
        variables=model.trainable_variables,
    )
    return {
        "loss_total": value[None],
        **{f"loss_{term.lower()}": np.ravel(loss[f"loss/{terms[term]}"]) for term in weights},
        "out_mean_std": np.array([[frame.mean(), frame.std()] for stage in stages for frame in stage]),
        "mask": channels_first(mask),
        "random_mask": channels_first(chosen),
        **gradient_summary(case, named_gradients(model, found)),
    }


ADAPTERS = {
    "cdvd_tsp": {
        "RECONS_VIDEO": reconstruction,
        "CDVD_TSP": cascade,
        "CDVD_TSP_single_stage": single_stage,
        "CDVD_TSP_train_step": train_step,
        "l1_hem_loss": l1_hem_loss,
        "ms_ssim_l1_loss": ms_ssim_l1_loss,
        "sharpness_prior": prior,
        "warp_mask": warp_mask,
    }
}
