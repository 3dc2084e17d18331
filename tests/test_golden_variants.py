"""Golden cases of other sizes and settings than those that are committed: adapters read all facts from the case.

What a variant should give follows from a committed case, or is computed by the definition.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.golden.adapters.ops import dcn_pack
from tests.golden.case import Case
from tests.golden.precision import double_precision
from tests.golden.run import Result, run_file
from tests.support import PROJECT

pytestmark = pytest.mark.usefixtures("freed_memory")

VECTORS = PROJECT / "tests/golden/vectors"

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes the variant of a committed case that other arrays and other entries of the json make."""

    def variant(name: str, change: Callable[[dict], dict], **changes: object) -> Path:
        description = json.loads((VECTORS / f"{name}.json").read_text())
        arrays = change(dict(np.load(VECTORS / f"{name}.npz")))
        path = tmp_path / "variant.json"
        description |= changes
        for key in ("inputs", "outputs"):
            description[key] = {array: text for array, text in description[key].items() if array in arrays}
        path.write_text(json.dumps(description))
        np.savez(path.with_suffix(".npz"), **arrays)
        return path

    return variant


def config(name: str, **changes: object) -> dict:
    return json.loads((VECTORS / f"{name}.json").read_text())["config"] | changes


def assert_passes(path: Path) -> None:
    result: Result = run_file(path)
    assert result.passed, "\n".join([*result.failures(), result.trace])


def with_rows_beyond(frames: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """[..., H, W] with noise at the bottom and right."""
    *before, height, width = frames.shape
    larger = np.random.default_rng(0).integers(0, 256, (*before, height + rows, width + columns), np.uint8)
    larger[..., :height, :width] = frames
    return larger


def twice(arrays: dict) -> dict:
    """The same sample two times."""
    return {name: np.concatenate([array, array]) for name, array in arrays.items()}


def test_a_batch_through_the_cascade(make):
    assert_passes(make("cdvd_tsp/model_cascade", twice))


def test_a_batch_through_a_single_stage(make):
    assert_passes(make("cdvd_tsp/model_single_stage", twice))


@pytest.mark.parametrize(
    ("name", "frames", "beyond"),
    [
        ("cdvd_tsp/model_cascade", "frames", (2, 1)),
        ("cdvd_tsp/model_single_stage", "frames", (3, 0)),
        ("pvdnet/model_pvdnet_seq_pad", "frames", (2, 3)),
    ],
)
def test_rows_and_columns_beyond_multiples_of_four_are_left_out(make, name, frames, beyond):
    assert_passes(make(name, lambda arrays: arrays | {frames: with_rows_beyond(arrays[frames], *beyond)}))


def test_training_crops_beyond_multiples_of_four(make):
    def larger(arrays: dict) -> dict:
        return arrays | {name: with_rows_beyond(arrays[name], 1, 2) for name in ("blur", "gt")}

    assert_passes(make("pvdnet/train_step_stage1_bim", larger))


def test_statistics_of_the_result(make):
    def statistics(arrays: dict) -> dict:
        result = arrays["result"].astype(np.float64)
        found = {"result_mean": result.mean(axis=(3, 4)), "result_std": result.std(axis=(3, 4))}
        return {"frames": arrays["frames"]} | found

    names = {"result_mean": "N T 3 spatial mean", "result_std": "N T 3 population std"}
    assert_passes(make("pvdnet/model_pvdnet_seq", statistics, outputs=names))


def l1_descent(x: np.ndarray, y: np.ndarray, w: np.ndarray, rates: list, decay: float, momentum: float) -> list:
    """The losses of a linear model under SGD."""
    losses, velocity = [], 0.0
    for batch, truth, rate in zip(x.astype(np.float64), y.astype(np.float64), rates, strict=True):
        error = batch @ w.T - truth
        losses.append(np.abs(error).mean())
        gradient = (np.sign(error) * batch).mean(axis=0, keepdims=True) + decay * w
        velocity = momentum * velocity + gradient
        w = w - rate * velocity
    return losses


@pytest.mark.parametrize("settings", [{"weight_decay": 0.0}, {"weight_decay": 0.01, "momentum": 0.9}])
def test_the_learning_rate_finder_under_sgd(make, settings):
    changed = config("cdvd_tsp/schedule_lr_finder_linear", optimizer="SGD", end_lr=0.01, **settings)

    def curve(arrays: dict) -> dict:
        steps = changed["num_iter"]
        rates = np.linspace(changed["start_lr"], changed["end_lr"], steps).tolist()
        x, y, w = arrays["x"][:steps], arrays["y"][:steps], arrays["w0"].astype(np.float64)
        smoothed = []
        for loss in l1_descent(x, y, w, rates, settings["weight_decay"], settings.get("momentum", 0.0)):
            smoothed.append(0.05 * loss + 0.95 * smoothed[-1] if smoothed else loss)
        return {"x": x, "y": y, "w0": arrays["w0"], "lr_f64": np.array(rates), "loss_f64": np.array(smoothed)}

    assert_passes(make("cdvd_tsp/schedule_lr_finder_linear", curve, config=changed))


def test_an_optimizer_without_clipping(make):
    """Gradients of half the norm that is allowed are not clipped either."""

    def small(arrays: dict) -> dict:
        norms = np.linalg.norm(arrays["grads"].astype(np.float64), axis=1, keepdims=True)
        grads = (arrays["grads"] / np.maximum(2 * norms, 1e-12)).astype(np.float32)
        norms = np.linalg.norm(grads.astype(np.float64), axis=1)
        return arrays | {"grads": grads, "grad_norm_f64": norms}

    path = make("pvdnet/optimizer_radam", small)
    computed = np.array(_outputs(path)["params"])
    path = make(
        "pvdnet/optimizer_radam",
        lambda arrays: small(arrays) | {"params": computed},
        config=config("pvdnet/optimizer_radam", grad_clip_norm=None),
    )
    assert_passes(path)


def _outputs(path: Path) -> dict:
    from tests.golden import adapters

    case = Case(path)
    return adapters.find(case)(case)


@pytest.mark.parametrize("place", ["config", "text"])
def test_color_factors_of_another_seed(make, place):
    name = "deblur_devil/photometric_geometric"
    factors = np.random.RandomState(8).uniform(0.5, 2.0, (1, 1, 3)).astype(np.float32)

    def change(arrays: dict) -> dict:
        colors = np.clip(arrays["image"] / np.float32(255) * factors, 0, 1)
        colors = (colors * np.float32(255)).astype(np.uint8)
        return {"image": arrays["image"], "multiplicative_factor": factors, "multiplicative_color": colors}

    outputs = {"multiplicative_factor": "the three factors drawn", "multiplicative_color": "by the factors"}
    if place == "config":
        assert_passes(make(name, change, config=config(name, seed=8), outputs=outputs))
    else:
        outputs["multiplicative_factor"] += " (numpy seed 8)"
        assert_passes(make(name, change, outputs=outputs))


def test_initialization_of_a_flow_network_that_takes_no_sequence(make):
    fan_in = {
        "flownets.conv1.0.weight": 6 * 7 * 7,
        "flownets.conv6_1.0.weight": 1024 * 3 * 3,
        "flownets.deconv5.0.weight": 512 * 4 * 4,
        "flownets.upsample_flow6_to_5.weight": 2 * 4 * 4,
        "flownets.predict_flow2.weight": 194 * 3 * 3,
    }
    path = make(
        "deblur_devil/init_pwcnet",
        lambda arrays: {"std": np.sqrt(2 / np.array(list(fan_in.values())))},
        config={"network": "FlowNet1S"},
        parameters_in_order=list(fan_in),
    )
    assert_passes(path)


def test_tiles_of_frames_that_come_with_their_noise(make):
    """Four channels go in, three come out."""

    def noisy(arrays: dict) -> dict:
        noise = np.full_like(arrays["x"][:, :, :1], 30)
        shapes = arrays["tile_shapes"].copy()
        shapes[:, 2] = 4
        return arrays | {"x": np.concatenate([arrays["x"], noise], axis=2), "tile_shapes": shapes}

    name = "rvrt/tiles_temporal"
    assert_passes(make(name, noisy, config=config(name, nonblind_denoising=True)))


def test_a_deformable_convolution_with_offsets_from_its_own_input(make):
    name = "ops/dcnv2pack_dg8"
    with double_precision():
        pack = dcn_pack(Case(make(name, lambda arrays: arrays | {"feat": arrays["x"]})).in_double_precision())

    def same(arrays: dict) -> dict:
        computed = {array: pack[array] for array in arrays if array in pack and array != "grad_feat"}
        computed["grad_x"] = pack["grad_x"] + pack["grad_feat"]
        return {"x": arrays["x"], "grad_out": arrays["grad_out"], **computed}

    assert_passes(make(name, same, subject="ModulatedDeformConvPack"))


def test_the_nearest_pixel_of_a_warp(make):
    name = "ops/flow_warp_border"

    def nearest(arrays: dict) -> dict:
        x, flow, upstream = (arrays[key].astype(np.float64) for key in ("x", "flow", "grad_out"))
        batch, _, height, width = x.shape
        rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
        rows = np.rint(np.clip(rows + flow[..., 1], 0, height - 1)).astype(int)
        columns = np.rint(np.clip(columns + flow[..., 0], 0, width - 1)).astype(int)
        n = np.arange(batch)[:, None, None]
        grad_x = np.zeros_like(x)
        np.add.at(grad_x, (n, slice(None), rows, columns), upstream.transpose(0, 2, 3, 1))
        y = x[n, :, rows, columns].transpose(0, 3, 1, 2)
        return arrays | {"y": y, "grad_x": grad_x, "grad_flow": np.zeros_like(flow)}

    assert_passes(make(name, nearest, config=config(name, interp_mode="nearest"), tolerances={}))


def test_a_rectangular_patch(make):
    """The middle rows of a square patch."""
    name = "deblur_devil/corr_k1_p9"

    def rows(arrays: dict) -> dict:
        part = {key: arrays[key][:, 3:6] for key in ("output", "grad_output")}
        return {"input1": arrays["input1"], "input2": arrays["input2"], **part}

    outputs = {"output": "B 3 9 H W"}
    assert_passes(make(name, rows, config=config(name, patch_size=[3, 9]), outputs=outputs))


@pytest.mark.slow
def test_a_training_step_that_is_told_the_noise(make):
    """A network of the smallest size, whose loss is that of what it returns."""
    from tests.golden.adapters.rvrt import network
    from tests.golden.layout import channels_first, channels_last

    name = "rvrt/rvrt_006_true"
    description = json.loads((VECTORS / f"{name}.json").read_text())
    del description["config"]["cpu_cache_length"]

    def step(arrays: dict) -> dict:
        clip = arrays["x_noisy"][:, :2, :, :64, :64]
        return {"x_noisy": clip, "gt": np.random.default_rng(0).random((1, 2, 3, 64, 64), np.float32)}

    settings = {
        "kind": "train_step",
        "subject": "RVRT_train_step",
        "views": {},
        "tolerance": 1e-5,
        "tolerances": {},
    }
    settings["inputs"] = {"x_noisy": "N T 4 H W", "gt": "N T 3 H W"}
    path = make(name, step, **settings)
    case = Case(path)
    restored = channels_first(np.asarray(network(case)(channels_last(case.frames("x_noisy")))))
    loss = np.sqrt(np.square(restored.astype(np.float64) - case.array("gt")) + 1e-9).mean()
    path = make(name, lambda arrays: step(arrays) | {"loss": loss}, **settings, outputs={"loss": "Charbonnier"})
    assert_passes(path)
