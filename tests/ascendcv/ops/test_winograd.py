"""The compiled kernel of conv2d: accuracy, what it may not depend on, other processors and number types."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ascendcv.ops import fused, registry
from ascendcv.ops.conv2d import conv2d
from tests.support import PROJECT

WHY_NOT = registry.available("conv2d")["fused"]
needs_kernel = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
PROGRAM = Path(__file__).with_name("winograd_check.cc")


def random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def by_kernel(x, *arguments, **options) -> np.ndarray:
    return conv2d(x, *arguments, impl="fused", **options).numpy()


@needs_kernel
@pytest.mark.parametrize(("side", "channels"), [(3, 64), (3, 16), (5, 64), (5, 32), (5, 31), (5, 12)])
def test_rounding_errors_stay_near_those_of_a_direct_convolution(side, channels):
    """In root mean square, as the errors of a deep network add up."""
    assert _times_the_error_of_direct("fused", side, channels) < 2.5


@needs_kernel
@pytest.mark.parametrize("channels", [64, 16])
def test_larger_tiles_have_five_times_the_rounding_error(channels):
    assert 2.5 < _times_the_error_of_direct("fast", 5, channels) < 6
    assert _times_the_error_of_direct("fast", 3, channels) < 2.5


@needs_kernel
@pytest.mark.parametrize("side", [3, 5])
def test_the_error_of_a_kernels_gradient_does_not_grow_with_the_images(side):
    def error(batch: int, size: int) -> float:
        x, y = (random(batch, size, size, 16, seed=seed) for seed in (0, 1))
        kernel, gradients = random(side, side, 16, 16, seed=2), {}
        for impl, dtype in (("fused", tf.float32), ("tf", tf.float64)):
            given = [tf.cast(array, dtype) for array in (x, kernel, y)]
            with tf.GradientTape() as tape:
                tape.watch(given[1])
                product = tf.reduce_sum(conv2d(*given[:2], impl=impl) * given[2])
            gradients[impl] = tape.gradient(product, given[1]).numpy()
        return _rms(gradients["fused"] - gradients["tf"]) / _rms(gradients["tf"])

    assert error(4, 64) < 1.5 * error(1, 32)


def _times_the_error_of_direct(impl: str, side: int, channels: int) -> float:
    x, kernel = random(1, 20, 24, channels), random(side, side, channels, 64, seed=1, scale=0.1)
    exact = tf.nn.conv2d(tf.cast(x, tf.float64), tf.cast(kernel, tf.float64), 1, "SAME").numpy()
    return _rms(conv2d(x, kernel, impl=impl).numpy() - exact) / _rms(_one_sum_each(x, kernel) - exact)


def _one_sum_each(x, kernel):
    """A direct convolution in float32: for each output one sum, a product after the other."""
    side = kernel.shape[0]
    padded = np.pad(x, ((0, 0), (side // 2, side // 2), (side // 2, side // 2), (0, 0)))
    y = np.zeros((*x.shape[:3], kernel.shape[3]), np.float32)
    for i in range(side):
        for j in range(side):
            for c in range(x.shape[3]):
                y += padded[:, i : i + x.shape[1], j : j + x.shape[2], c, None] * kernel[i, j, c]
    return y


def _rms(values) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


@needs_kernel
@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize(("channels", "outputs"), [(16, 24), (17, 70), (64, 3), (250, 264)])
def test_a_crop_of_whole_tiles_and_an_image_of_a_batch_give_the_same_bits(side, channels, outputs):
    tile = 4 if side == 3 else 2 if channels < 32 else 3
    x, kernel, bias = random(3, 27, 45, channels), random(side, side, channels, outputs), random(outputs)
    whole = by_kernel(x, kernel, bias, activation=0.1)
    for image in range(3):
        np.testing.assert_array_equal(
            by_kernel(x[image : image + 1], kernel, bias, activation=0.1)[0], whole[image]
        )
    top, left, margin = 2 * tile, 3 * tile, side // 2  # inside the crop's own zeros
    crop = by_kernel(x[:, top:, left:], kernel, bias, activation=0.1)
    inner = whole[:, top + margin :, left + margin :]
    if outputs == 3:  # computed pixel by pixel
        np.testing.assert_array_equal(crop[:, margin:, margin:], inner)
    np.testing.assert_array_equal(crop[:, tile:, tile:], whole[:, top + tile :, left + tile :])


DIGEST = """
import os, sys
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
from tests.ascendcv.ops.test_winograd import digest
print(digest())
"""


def digest() -> str:
    """Of values and gradients for sizes that are cut in different ways."""
    result = hashlib.sha256()
    for side, shape, outputs in (
        (3, (2, 37, 45, 32), 24),
        (5, (1, 60, 80, 16), 80),
        (5, (1, 30, 40, 40), 80),
        (3, (1, 9, 9, 130), 200),
        (3, (1, 9, 9, 260), 280),
    ):
        arguments = [random(*shape), random(side, side, shape[-1], outputs, scale=0.1), random(outputs)]
        arguments = [tf.constant(argument) for argument in arguments]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            y = conv2d(*arguments, activation=0.1, impl="fused")
        for tensor in (y, *tape.gradient(y, arguments, random(*y.shape, seed=5))):
            result.update(tensor.numpy().tobytes())
    return result.hexdigest()


@needs_kernel
def test_the_number_of_threads_changes_no_bit():
    digests = set()
    for threads in ("1", "2", "5"):
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        command = [sys.executable, "-c", DIGEST, threads]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        digests.add(run.stdout.strip())
    assert len(digests) == 1


@needs_kernel
def test_large_outputs_go_past_the_caches_and_are_the_same():
    x, kernel = random(1, 128, 128, 16), random(3, 3, 16, 64)
    np.testing.assert_array_equal(by_kernel(x, kernel)[:, :60], by_kernel(x[:, :64], kernel)[:, :60])


@needs_kernel
@pytest.mark.parametrize(
    ("x", "kernel", "bias", "residual", "message"),
    [
        ((1, 4, 4, 3), (3, 3, 4, 2), (2,), (1, 4, 4, 2), "does not fit"),
        ((4, 4, 3), (3, 3, 3, 2), (2,), (1, 4, 4, 2), "4 axes|rank 4"),
        ((1, 4, 4, 3), (3, 5, 3, 2), (2,), (1, 4, 4, 2), "3 x 3 or 5 x 5"),
        ((1, 4, 4, 3), (3, 3, 3, 2), (3,), (1, 4, 4, 2), r"bias should be \[2\]"),
        ((1, 4, 4, 3), (3, 3, 3, 2), (2,), (1, 4, 3, 2), r"residual \[1,4,4,2\]"),
    ],
)
def test_wrong_shapes_are_refused_not_read(x, kernel, bias, residual, message):
    function = registry.resolve("conv2d", "fused")
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=message):
        function(
            random(*x), random(*kernel), random(*bias), activation=None, residual=random(*residual),
            residual_place="before",
        )  # fmt: skip


def worst_errors(folder: Path, compiler: str, flags: list[str], runner: list[str]) -> np.ndarray:
    """The largest of each kind of error that the checking program finds when built so.

    Of the larger tiles of 5 x 5 taps, which are by choice only and 2.5 times less exact, the 2.5th part counts.
    """
    program = folder / "winograd_check"
    command = [compiler, "-std=c++17", "-w", f"-I{fused.SOURCES}", *flags, str(PROGRAM), "-o", str(program)]
    build = subprocess.run(command, capture_output=True, text=True)
    assert build.returncode == 0, build.stderr[-4000:]
    run = subprocess.run([*runner, str(program)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-1000:] + run.stderr[-4000:]
    cases = np.array([line.split() for line in run.stdout.splitlines()], float)
    taps, tile, errors = cases[:, 0], cases[:, 1], cases[:, 7:]
    errors[(taps == 5) & (tile == 4)] /= 2.5
    return errors.max(axis=0)


needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


@needs_compiler
def test_in_float64_the_kernel_and_its_gradients_are_exact(tmp_path):
    """The same source, with another number type; the gradients beside central differences, too.

    A difference is off by what the few outputs add that cross the kink of the activation within the step.
    """
    *errors, by_differences = worst_errors(tmp_path, "g++", ["-O2", "-DFLOAT64"], [])
    assert max(errors) < 1e-13
    assert by_differences < 1e-4


@needs_compiler
@pytest.mark.parametrize("flags", [["-mavx2", "-mfma"], []], ids=["avx2", "sse2"])
def test_narrower_vectors_compute_the_same(tmp_path, flags):
    if flags and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("the processor has no AVX2")
    assert worst_errors(tmp_path, "g++", ["-O2", *flags], []).max() < 2e-5


@pytest.mark.slow
@needs_compiler
def test_sanitizers_find_nothing(tmp_path):
    """AddressSanitizer and UBSan, with the vectors of this processor."""
    if not Path(subprocess.check_output(["g++", "-print-file-name=libasan.so"], text=True).strip()).is_absolute():
        pytest.skip("g++ comes without sanitizers here")
    flags = ["-O1", "-g", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    assert worst_errors(tmp_path, "g++", flags, []).max() < 2e-5


@pytest.mark.slow
def test_on_arm_it_computes_the_same(tmp_path):
    compiler, emulator = "aarch64-linux-gnu-g++", "qemu-aarch64"
    for program in (compiler, emulator):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    assert worst_errors(tmp_path, compiler, ["-O2", "-static"], [emulator]).max() < 2e-5
