"""The golden harness itself: whatever is wrong with a case or with what is computed for it makes it fail."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from ascendcv.layers.conv import Conv2D
from tests.golden import left_out
from tests.golden.__main__ import main
from tests.golden.case import Case
from tests.golden.compare import _FLIPPED
from tests.golden.fill import fill, filled_state_dict
from tests.golden.gradients import gradients
from tests.golden.record import recorded
from tests.golden.run import Result, run_file
from tests.support import PROJECT

# The rate is halved at iterations 11 and 21.
RATES = np.repeat([1e-3, 5e-4, 2.5e-4], [10, 10, 5])
DESCRIPTION = {
    "family": "common",
    "case": "steps",
    "kind": "schedule",
    "subject": "multistep_restart",
    "config": {
        "lr": 1e-3,
        "milestones": [10, 20],
        "gamma": 0.5,
        "restarts": [0],
        "restart_weights": [1],
        "total_iter": 25,
    },
    "inputs": {},
    "outputs": {"lr": "learning rate"},
    "tolerance": 1e-9,
}

MakeCase = Callable[..., Path]


@pytest.fixture
def make_case(tmp_path: Path) -> MakeCase:
    """Writes the case of the schedule above, with these arrays and with these entries of the json changed."""

    def make(arrays: dict[str, np.ndarray], name: str = "steps", **changes: object) -> Path:
        path = tmp_path / "cases" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(DESCRIPTION | {"case": name} | changes))
        np.savez(path.with_suffix(".npz"), **arrays)
        return path

    return make


def failure(result: Result) -> str:
    assert not result.passed
    return "\n".join(result.failures())


def rates(index: int, value: float) -> dict[str, np.ndarray]:
    """The right array, but for one value."""
    lr = RATES.copy()
    lr[index] = value
    return {"lr": lr}


def test_right_arrays_pass(make_case):
    result = run_file(make_case({"lr": RATES}))
    assert result.passed
    assert (result.name, result.kind, result.worst.array) == ("common/steps", "schedule", "lr")


def test_a_wrong_value_is_named_with_its_place(make_case):
    result = run_file(make_case(rates(7, 1.5e-3)))
    assert failure(result) == "lr[7]: 0.0005 off, 1e-09 allowed"
    assert result.worst.ratio == pytest.approx(5e5)


def test_a_difference_at_the_tolerance_passes(make_case):
    assert run_file(make_case(rates(7, 1e-3 + 0.25), tolerance=0.26)).passed


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_fails_even_as_an_outlier(make_case, wrong):
    result = run_file(make_case(rates(3, wrong), tolerance=1e9, outliers=0.0 if np.isinf(wrong) else 1.0))
    assert failure(result).startswith("lr[3]: ")
    assert result.worst.ratio == np.inf


def test_equal_infinities_are_equal(tmp_path):
    """The PSNR of identical images."""
    image = np.zeros((12, 12), np.uint8)
    description = {
        "family": "common",
        "case": "identical",
        "kind": "metric",
        "subject": "psnr_ssim",
        "inputs": {"gray1": "H W", "gray2": "H W"},
        "outputs": {"psnr_gray_b0": "", "ssim_gray_b0": ""},
        "tolerance": 1e-6,
    }
    path = tmp_path / "identical.json"
    path.write_text(json.dumps(description))
    np.savez(path.with_suffix(".npz"), gray1=image, gray2=image, psnr_gray_b0=np.inf, ssim_gray_b0=1.0)
    assert run_file(path).passed


def test_another_shape_fails(make_case):
    assert failure(run_file(make_case({"lr": RATES[:-1]}))) == "lr: shape (25,) instead of (24,)"


def test_an_output_that_is_not_computed_fails(make_case):
    path = make_case({"lr": RATES, "momentum": RATES}, outputs={"lr": "", "momentum": ""})
    assert failure(run_file(path)) == "momentum: not computed"


def test_information_is_not_matched(make_case):
    outputs = {"lr": "", "momentum": ""}
    path = make_case({"lr": RATES, "momentum": RATES}, outputs=outputs, information=["momentum"])
    assert run_file(path).passed


def test_a_case_of_nothing_but_information_fails(make_case):
    assert failure(run_file(make_case({"lr": RATES}, information=["lr"]))) == "nothing was compared"


def test_an_array_that_nothing_describes_fails(make_case):
    path = make_case({"lr": RATES, "momentum": RATES})
    assert failure(run_file(path)) == "momentum is in the npz but not in the json"


def test_a_described_array_that_is_not_there_fails(make_case):
    path = make_case({"lr": RATES}, inputs={"start": ""})
    assert failure(run_file(path)) == "start is in the json but not in the npz"


@pytest.mark.parametrize("change", [{"subject": "onecycle"}, {"family": "unheard_of"}])
def test_a_case_without_adapter_fails(make_case, change):
    assert "no adapter for" in failure(run_file(make_case({"lr": RATES}, **change)))


def test_an_adapter_that_raises_fails(make_case):
    result = run_file(make_case({"lr": RATES}, config={}))
    assert failure(result) == "KeyError: 'milestones'"
    assert "Traceback" in result.trace


@pytest.mark.parametrize("text", ["{", "[]", '{"family": "common"}'])
def test_a_json_that_is_no_case_fails(tmp_path, text):
    path = tmp_path / "2p.json"
    path.write_text(text)
    assert "2p.json does not describe a golden case" in failure(run_file(path))


def test_a_case_whose_arrays_cannot_be_read_fails(make_case):
    path = make_case({"lr": RATES})
    path.with_suffix(".npz").write_bytes(path.with_suffix(".npz").read_bytes()[:100])
    assert "steps.npz cannot be read" in failure(run_file(path))
    path.with_suffix(".npz").unlink()
    assert "steps.npz cannot be read" in failure(run_file(path))


def test_tolerances_of_arrays(make_case):
    assert run_file(make_case(rates(0, 1.1e-3), tolerances={"lr": 2e-4})).passed
    # relative to the largest of the stored values
    assert run_file(make_case(rates(0, 1.1e-3), tolerances={"lr": "relative 0.1"})).passed
    assert failure(run_file(make_case(rates(0, 1.1e-3), tolerances={"lr": "relative 0.05"})))
    assert "neither a number" in failure(run_file(make_case({"lr": RATES}, tolerances={"lr": "about 1"})))


@pytest.mark.parametrize("outliers", [0.04, {"lr": 0.04}])
def test_outliers(make_case, outliers):
    """One in 25 values may be off by any amount; the next one counts."""
    assert run_file(make_case(rates(4, 1.0), outliers=outliers)).passed
    two = {"lr": np.where(np.isin(np.arange(25), (4, 9)), [1.0] * 9 + [0.5] * 16, RATES)}
    assert failure(run_file(make_case(two, outliers=outliers))) == "lr[9]: 0.499 off, 1e-09 allowed"


def test_a_mask_beside_an_array_says_where_it_counts(make_case):
    settings = {"outputs": {"lr": "", "lr_valid": "1 where lr counts"}, "information": ["lr_valid"]}
    valid = {"lr_valid": np.arange(25) != 7}
    assert run_file(make_case(rates(7, 1.0) | valid, **settings)).passed
    assert failure(run_file(make_case(rates(8, 1.0) | valid, **settings))).startswith("lr[8]: ")
    assert failure(run_file(make_case(rates(7, np.nan) | valid, **settings))).startswith("lr[7]: ")


@pytest.mark.parametrize(
    ("view", "part"),
    [("::4", np.s_[::4]), ("3:9", np.s_[3:9]), ("...,-2:", np.s_[-2:]), ("[1:]", np.s_[1:]), ("5", np.s_[5])],
)
def test_views(make_case, view, part):
    assert run_file(make_case({"lr": RATES[part]}, views={"lr": view})).passed


def test_a_view_beyond_the_tensor_fails(make_case):
    path = make_case({"lr": RATES}, views={"lr": ":,0"})
    assert "lr: shape (25,) has no part" in failure(run_file(path))


def test_frames_of_8_bits_are_divided_by_255(make_case):
    arrays = {"lr": RATES, "x": np.array([0, 51, 255], np.uint8), "z": np.array([-1.5], np.float32)}
    case = Case(make_case(arrays, inputs={"x": "", "z": ""}))
    np.testing.assert_array_equal(case.frames("x"), np.array([0, 51, 255], np.float32) / np.float32(255))
    np.testing.assert_array_equal(case.frames("z"), case.array("z"))


@pytest.fixture
def serve(monkeypatch) -> Callable[[list], list]:
    """Lets cases be served by what a list gives, call by call; returns a list of what the calls were made in."""

    def replace(results: list[dict]) -> list:
        calls, remaining, implementations = [], iter(results), [None]

        def adapter(case: Case) -> dict:
            dtypes = keras.config.floatx(), case.array("w").dtype, case.frames("x").dtype
            calls.append((*dtypes, implementations[-1]))
            return next(remaining)

        @contextlib.contextmanager
        def implementation(name: str):
            implementations.append(name)
            yield
            implementations.pop()

        monkeypatch.setattr("tests.golden.adapters.find", lambda case: adapter)
        monkeypatch.setattr("ascendcv.ops.registry.implementation", implementation)
        return calls

    return replace


STEP = {
    "kind": "train_step",
    "inputs": {"w": "", "x": ""},
    "outputs": {"gradnorm.a": "", "gradnorm.b": ""},
    "tolerance": 1e-3,
}


def step(a: float, b: float) -> dict[str, np.ndarray]:
    return {"gradnorm.a": np.float64(a), "gradnorm.b": np.float64(b)}


def inputs() -> dict[str, np.ndarray]:
    return {"w": np.float32([0.1]), "x": np.uint8([51])}


def test_a_case_that_says_so_is_compared_in_float64_from_float32_numbers(make_case, serve):
    path = make_case(step(1, 2) | inputs(), **STEP, compute_in="float64")
    calls = serve([step(1, 2), step(1.002, 2), step(1.003, 2)])
    assert run_file(path).passed
    assert calls == [
        ("float64", np.float64, np.float64, None),
        ("float32", np.float32, np.float32, "fused"),
        ("float32", np.float32, np.float32, "tf"),
    ]
    serve([step(1.002, 2), step(1, 2), step(1, 2)])
    assert failure(run_file(path)).startswith("gradnorm.a: 0.002 off, 0.001 allowed")
    double = Case(path).in_double_precision()
    np.testing.assert_array_equal(double.frames("x"), np.float64(np.float32(51) / np.float32(255)))
    np.testing.assert_array_equal(double.array("w"), np.float64(np.float32(0.1)))


def test_a_case_of_another_kind_is_run_once(make_case, serve):
    """In float64, or with the kernels that are asked for by name, which refuse float64."""
    path = make_case(step(1, 2) | inputs(), **STEP | {"kind": "model"}, compute_in="float64")
    calls = serve([step(1, 2)] * 2)
    assert run_file(path).passed
    assert run_file(path, "fused").passed
    assert [(floatx, impl) for floatx, *_, impl in calls] == [("float64", None), ("float32", "fused")]


def test_a_training_step_is_compared_in_float32_otherwise(make_case, serve):
    path = make_case(step(1, 2) | inputs(), **STEP)
    serve([step(1.002, 2), step(1, 2), step(1, 2)])
    assert run_file(path).passed
    serve([step(1, 2), step(1.002, 2), step(1.002, 2)])
    assert failure(run_file(path)) == "gradnorm.a: 0.002 off, 0.001 allowed"


def test_what_the_source_computed_in_float64_is_compared_in_float64(make_case, serve):
    """And with it the gradients that it computed in float32 from the same numbers."""
    outputs = {"loss": "", "gradnorm.a": "", "gradnorm64.a": ""}
    arrays = {"loss": 5.0, "gradnorm.a": 1.0, "gradnorm64.a": 1.0001} | inputs()
    path = make_case(arrays, **STEP | {"outputs": outputs})
    double = {"loss": np.float64(7.0), "gradnorm.a": np.float64(1.0001)}
    single = {"loss": np.float64(5.0), "gradnorm.a": np.float64(1.005)}
    serve([double, single, single])
    assert run_file(path).passed
    serve([double | {"gradnorm.a": np.float64(1.003)}, single, single])
    assert failure(run_file(path)).splitlines() == [
        "gradnorm.a: 0.003 off, 0.001 allowed",
        "gradnorm64.a: 0.0029 off, 0.001 allowed",
    ]


def test_implementations_differ_by_the_tolerance_or_three_times_the_noise_of_the_composed_one(make_case, serve):
    def loss(a: float, b: float) -> dict[str, np.ndarray]:
        return {"loss.a": np.float64(a), "loss.b": np.float64(b)}

    settings = STEP | {"outputs": {"loss.a": "", "loss.b": ""}}
    path = make_case(loss(1, 200) | inputs(), **settings, compute_in="float64")
    exact = loss(1, 200)
    serve([exact, loss(1, 200.0009), exact])
    assert run_file(path).passed
    serve([exact, loss(1, 200.0011), exact])
    assert failure(run_file(path)) == "loss.b (fused, tf): 0.0011 off, 0.001 allowed"
    noisy = loss(1.004, 200)  # four tolerances from itself in float64
    serve([exact, loss(1.004, 200.0119), noisy])
    assert run_file(path).passed
    serve([exact, loss(1.004, 200.0121), noisy])
    assert failure(run_file(path)) == "loss.b (fused, tf): 0.0121 off, 0.012 allowed"


def test_a_flipped_relu_excuses_a_small_part_of_a_gradient_where_it_was_seen(make_case, serve, monkeypatch):
    path = make_case(step(1, 200) | inputs(), **STEP, compute_in="float64")
    exact = step(1, 200)
    serve([exact, step(1, 200.59), exact])
    assert "gradnorm.b (fused, tf): 0.59 off" in failure(run_file(path))
    monkeypatch.setitem(_FLIPPED, Case(path).subject, 3e-3)
    serve([exact, step(1, 200.59), exact])
    assert run_file(path).passed
    serve([exact, step(1, 200.61), exact])
    assert failure(run_file(path)) == "gradnorm.b (fused, tf): 0.61 off, 0.6 allowed"


def test_norms_of_gradients_in_float32_are_within_one_percent_of_those_in_float64(make_case, serve):
    path = make_case(step(1, 200) | inputs(), **STEP, compute_in="float64")
    serve([step(1, 200), step(1.011, 200), step(1.011, 200)])
    assert failure(run_file(path)) == "gradnorm.a (fused, float64): 1.1 off, 1 allowed"


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_noise_that_is_not_finite_excuses_nothing(make_case, serve, wrong):
    path = make_case(step(1, 200) | inputs(), **STEP)
    serve([step(wrong, 200), step(1, 200), step(1, 200)])
    assert "gradnorm.a (fused, float64)" in failure(run_file(path))
    serve([step(1, 200), step(1, 200), step(wrong, 200)])
    assert "gradnorm.a (fused, tf)" in failure(run_file(path))


def test_one_implementation_by_name(make_case, serve):
    path = make_case(step(1, 2) | inputs(), **STEP)
    calls = serve([step(1, 2)] * 2)
    assert run_file(path, "tf").passed
    assert [(floatx, impl) for floatx, *_, impl in calls] == [("float64", None), ("float32", "tf")]


def test_float16_is_nothing_to_compute_a_case_in(make_case):
    path = make_case({"lr": RATES}, compute_in="float16")
    assert "compute_in is 'float16'; it should be float32 or float64" in failure(run_file(path))


def test_weights_are_filled_by_rule():
    kernel = fill("conv.weight", (64, 32, 3, 3), gain=1.5)
    assert kernel.dtype == np.float32
    assert kernel.std() * np.sqrt(32 * 9) == pytest.approx(1.5, rel=0.02)
    np.testing.assert_array_equal(kernel, fill("conv.weight", (64, 32, 3, 3), gain=1.5))
    assert not np.array_equal(kernel, fill("other.weight", (64, 32, 3, 3), gain=1.5))
    assert fill("norm.weight", (1000,), 1.5).mean() == pytest.approx(1, abs=0.02)
    assert fill("norm.running_var", (1000,), 1.5).min() >= 1
    assert fill("norm.running_mean", (1000,), 1.5).std() == pytest.approx(0.01, rel=0.1)


def test_state_dicts_keep_what_the_source_computes():
    entries = {
        "mean": [[1, 3, 1, 1], "float32"],
        "std": [[1, 3, 1, 1], "float32"],
        "attn.relative_position_index": [[4, 4], "int64"],
        "norm.num_batches_tracked": [[], "int64"],
        "head.conv.weight": [[2, 1, 1, 1], "float32"],
        "tail.conv.weight": [[2, 1, 1, 1], "float32"],
    }
    kept = ["mean", "std", "attn.relative_position_index"]
    filled = filled_state_dict(entries, 2.0, {"tail": 0.5}, kept)
    assert filled["mean"].ravel().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert filled["std"].ravel().tolist() == pytest.approx([0.229, 0.224, 0.225])
    assert "attn.relative_position_index" not in filled
    assert filled["norm.num_batches_tracked"] == 0
    np.testing.assert_array_equal(filled["head.conv.weight"], fill("head.conv.weight", (2, 1, 1, 1), 2.0))
    np.testing.assert_array_equal(filled["tail.conv.weight"], fill("tail.conv.weight", (2, 1, 1, 1), 0.5))


class Stack(keras.Model):
    """Two convolutions in a sequence, the first of them used twice."""

    def __init__(self):
        super().__init__()
        self.body = [Conv2D(2), Conv2D(2)]
        self(keras.Input((None, None, 2)))

    def call(self, x):
        first, second = self.body
        return second(first(first(x)))


def test_inner_tensors_are_recorded_call_by_call():
    model = Stack()
    x = np.random.default_rng(0).random((1, 4, 5, 2)).astype(np.float32)
    y, calls = recorded(model, ["body.0", "body"], x)
    once = ops.convert_to_numpy(model.body[0](x))
    np.testing.assert_array_equal(calls["body.0"][0], once)
    np.testing.assert_array_equal(calls["body.0"][1], model.body[0](once))
    np.testing.assert_array_equal(calls["body"], [y])  # a sequence returns what its last layer returns
    assert "call" not in vars(model.body[0])
    np.testing.assert_array_equal(model(x), y)


def test_a_layer_that_is_not_there_cannot_be_recorded():
    with pytest.raises(KeyError, match=r"body\.7"):
        recorded(Stack(), ["body.7"], np.zeros((1, 4, 5, 2), np.float32))


def test_gradients_by_inputs_and_by_variables():
    scale = keras.Variable([2.0, 3.0])
    x, unused = np.array([5.0, 7.0], np.float32), np.ones(4, np.float32)
    upstream = np.array([1.0, 10.0], np.float32)
    y, by_inputs, by_variables = gradients(lambda x, unused: x * x * scale, [x, unused], upstream, [scale])
    np.testing.assert_array_equal(y, [50, 147])
    np.testing.assert_array_equal(by_inputs[0], [20, 420])
    np.testing.assert_array_equal(by_inputs[1], np.zeros(4))
    np.testing.assert_array_equal(by_variables[0], [25, 490])


def test_the_command_prints_a_row_a_case(make_case, capsys):
    right, wrong = make_case({"lr": RATES}), make_case(rates(7, 1.5e-3), name="wrong")
    assert main([str(right)]) == 0
    assert main([str(right.parent)]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["ok", "common/steps", "schedule", "0.000", "of", "1.00e-09", "lr[24]"]
    assert printed[1] == "1 of 1 cases passed"
    assert printed[3].split() == ["FAIL", "common/wrong", "schedule", "500000.000", "of", "1.00e-09", "lr[7]"]
    assert printed[-1] == "1 of 2 cases passed"
    assert wrong.name == "wrong.json"


def test_what_a_backend_does_not_compute_is_left_out_with_its_reason(make_case, monkeypatch, capsys):
    monkeypatch.setitem(left_out._REASONS, (keras.backend.backend(), "common/steps"), "there is no hurry")
    assert main([str(make_case(rates(7, 1.5e-3)))]) == 0
    row, sum_up = capsys.readouterr().out.splitlines()
    assert row.split(maxsplit=2) == ["common/steps", "schedule", "left out: there is no hurry"]
    assert sum_up == "0 of 0 cases passed"
    assert main([str(make_case(rates(7, 1.5e-3), name="wrong"))]) == 1


def test_only_cases_that_exist_are_left_out():
    for _, name in left_out._REASONS:
        assert (PROJECT / f"tests/golden/vectors/{name}.json").exists()


def test_the_command_fails_where_there_is_no_case(tmp_path, make_case, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main([str(empty)]) == 2
    assert main([str(make_case({"lr": RATES})), "--family", "edvr"]) == 2
    assert "no golden case found" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "missing")])
    assert "missing does not exist" in capsys.readouterr().err


def test_the_command_filters_by_family(make_case, capsys):
    path = make_case({"lr": RATES})
    make_case({"lr": RATES}, name="other", family="unheard_of")
    assert main([str(path.parent), "--family", "common"]) == 0
    assert main([str(path.parent)]) == 1
    broken = path.with_name("broken.json")
    broken.write_text("{")
    assert main([str(path.parent), "--family", "common"]) == 1
    assert "broken.json does not describe" in capsys.readouterr().out


def test_folders_are_searched_and_files_are_run_once(make_case, capsys):
    path = make_case({"lr": RATES})
    assert main([str(path), str(path.parent.parent), str(path.parent)]) == 0
    assert "1 of 1 cases passed" in capsys.readouterr().out


def test_the_implementation_of_ops_can_be_chosen(capsys):
    vectors = PROJECT / "tests/golden/vectors/ops"
    assert main([str(vectors / "dcn_dg1.json"), "--impl", "tf"]) == 0
    # No NPU here: an op says what is missing, and what has one implementation only runs.
    assert main([str(vectors / "dcn_dg1.json"), "--impl", "npu"]) == 1
    assert "InputError" in capsys.readouterr().out
    assert main([str(vectors / "pixel_shuffle.json"), "--impl", "npu"]) == 0


def test_it_runs_as_a_module(make_case):
    command = [sys.executable, "-m", "tests.golden", str(make_case(rates(7, 1.5e-3)))]
    process = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert process.returncode == 1
    assert "lr[7]: 0.0005 off" in process.stdout
