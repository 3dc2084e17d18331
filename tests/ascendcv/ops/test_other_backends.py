"""Operations give the same on every backend of Keras, in double precision to its last digits."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import BACKENDS, PROJECT

PROGRAM = """
import sys
import numpy as np
from keras import ops
from ascendcv.ops import conv2d, deform_conv2d, feed_forward, resize, spatial_correlation, warp, window_attention
from tests.golden.precision import double_precision

generator = np.random.default_rng(0)
with double_precision():
    def random(*shape):
        return ops.convert_to_tensor(generator.normal(size=shape))

    norm, matrix, vector, clip = (random(4), random(4)), random(4, 4), random(4), random(1, 2, 5, 6, 4)
    x, other, flow = random(1, 9, 11, 4), random(1, 9, 11, 4), 3 * random(1, 9, 11, 2)
    results = {
        "resize": resize(x, (13, 6)),
        "corners": resize(x, (13, 6), align_corners=True),
        "bicubic": resize(x, (13, 6), method="bicubic"),
        "warp": warp(x, flow),
        "border": warp(x, flow, padding="border", align_corners=False),
        "correlation": spatial_correlation(x, other, patch_size=5),
        "deform_conv2d": deform_conv2d(x, random(1, 9, 11, 36), random(3, 3, 4, 5), deformable_groups=2),
        "conv2d": conv2d(x, random(3, 3, 4, 5)),
        "feed_forward": feed_forward(x, (matrix, vector), (matrix, vector), norm),
        "window_attention": window_attention(
            clip, norm, (random(4, 12), random(12)), random(75, 2), (matrix, vector), window=(2, 3, 3), heads=2,
            shifted=True,
        ),
    }
    np.savez(sys.argv[1], **{name: ops.convert_to_numpy(value) for name, value in results.items()})
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_double_precision(backend: str, tmp_path: Path):
    results = []
    for name in ("tensorflow", backend):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / f"{name}.npz")]
        environment = os.environ | {"KERAS_BACKEND": name, "PYTHONPATH": str(PROJECT)}
        process = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
        results.append(np.load(tmp_path / f"{name}.npz"))
    expected, found = results
    assert len(expected.files) == 10
    for name in expected.files:
        assert found[name].dtype == np.float64
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12, err_msg=name)
