"""ONNX files of single operations, in ONNX Runtime."""

import numpy as np
import pytest

from ascendcv.layers import Conv2DTranspose
from ascendcv.ops.registry import implementation, substituted
from ascendcv.ops.resize import resize
from ascendcv.ops.sampling import sample_bilinear
from ascendcv.ops.shuffle import pixel_shuffle

pytestmark = pytest.mark.needs("tf2onnx", "onnx", "onnxruntime")


def test_positions_that_are_no_numbers_or_infinitely_far_lie_outside_there_too(tmp_path):
    import onnx
    import onnxruntime
    import tensorflow as tf

    from ascendvsr.deployment.onnx_file import write_onnx
    from ascendvsr.deployment.tensorflow_files import frozen_graph

    @tf.function(input_signature=[tf.TensorSpec([1, 5, 6, 2]), tf.TensorSpec([1, 2, 4, 2])])
    def sampled(x, positions):
        return {"restored": tf.identity(sample_bilinear(x, positions), name="restored")}

    path = tmp_path / "sampled.onnx"
    write_onnx(frozen_graph(sampled.get_concrete_function()), ["x", "positions"], ["restored"], path)
    assert {"Where", "Not"} & {node.op_type for node in onnx.load(path).graph.node} == {"Where"}
    x = np.random.default_rng(0).random((1, 5, 6, 2), dtype=np.float32) + 1
    rows = np.float32([1.5, np.nan, np.inf, -np.inf, 2, 2, 2, 1e30])
    columns = np.float32([1, 1, 1, 1, np.nan, np.inf, 3.25, 2])
    positions = np.stack([rows, columns], axis=-1).reshape(1, 2, 4, 2)
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(["restored"], {"x": x, "positions": positions})
    np.testing.assert_allclose(found, sampled(x, positions)["restored"], atol=1e-6)
    assert np.count_nonzero(found.any(axis=-1)) == 2


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize(("kernel_size", "padding", "output_padding"), [(3, 1, 1), (3, 0, 1), (4, 1, 0), (2, 0, 0)])
def test_transposed_convolutions_add_rows_and_columns_where_they_should(
    tmp_path, size, kernel_size, padding, output_padding
):
    import onnxruntime
    import tensorflow as tf

    from ascendvsr.deployment.onnx_file import write_onnx
    from ascendvsr.deployment.tensorflow_files import frozen_graph

    layer = Conv2DTranspose(3, kernel_size, 2, padding, output_padding)
    layer.build((None, None, None, 4))

    @tf.function(input_signature=[tf.TensorSpec([1, size, size, 4])])
    def transposed(x):
        with implementation("tf"):
            return {"restored": tf.identity(layer(x), name="restored")}

    path = tmp_path / "transposed.onnx"
    write_onnx(frozen_graph(transposed.get_concrete_function()), ["x"], ["restored"], path)
    x = np.random.default_rng(0).random((1, 5, 5, 4), dtype=np.float32)
    (found,) = onnxruntime.InferenceSession(path).run(["restored"], {"x": x})
    np.testing.assert_allclose(found, transposed(x)["restored"], atol=1e-6)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("axis", [1, 2])
def test_resizing_makes_as_many_lines_as_asked(tmp_path, axis, align_corners):
    """Of 3 lines 5 / 3 times as many became 4: 5 / 3 is a little less than that in float32."""
    import onnxruntime
    import tensorflow as tf

    from ascendvsr.deployment.onnx_file import write_onnx
    from ascendvsr.deployment.standard_operations import ONNX
    from ascendvsr.deployment.tensorflow_files import frozen_graph

    lengths = [(old, new) for old in (1, 3, 7, 45, 47) for new in (1, 2, 3, 5, 7, 22, 23, 45, 94, 135, 190)]
    shapes = {f"x{old}": [1, old, 1, 1] if axis == 1 else [1, 1, old, 1] for old, _ in lengths}

    def resized(old: int, new: int, frames: dict):
        return resize(frames[f"x{old}"], (new, 1) if axis == 1 else (1, new), align_corners=align_corners)

    @tf.function(input_signature=[{name: tf.TensorSpec(shape, name=name) for name, shape in shapes.items()}])
    def traced(frames):
        with implementation("tf"), substituted(ONNX):
            return {
                f"y{old}_{new}": tf.identity(resized(old, new, frames), f"y{old}_{new}") for old, new in lengths
            }

    path = tmp_path / "resized.onnx"
    names = [f"y{old}_{new}" for old, new in lengths]
    write_onnx(frozen_graph(traced.get_concrete_function()), list(shapes), names, path)
    random = np.random.default_rng(0)
    frames = {name: random.random(shape, dtype=np.float32) for name, shape in shapes.items()}
    for found, (old, new) in zip(onnxruntime.InferenceSession(path).run(names, frames), lengths, strict=True):
        np.testing.assert_allclose(found, resized(old, new, frames), atol=1e-5, err_msg=f"{old} -> {new}")


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(10, 12), (3, 9), (5, 13)])
def test_resizing_and_pixel_shuffle_are_a_node_each(tmp_path, size, align_corners, free):
    import onnx
    import onnxruntime
    import tensorflow as tf

    from ascendvsr.deployment.onnx_file import write_onnx
    from ascendvsr.deployment.standard_operations import ONNX
    from ascendvsr.deployment.tensorflow_files import frozen_graph

    def enlarged(x):
        small = pixel_shuffle(resize(x, size, align_corners=align_corners), 2)
        return {"restored": tf.identity(small, name="restored")}

    @tf.function(input_signature=[tf.TensorSpec([None if free else 2, *([None] * 2 if free else (5, 6)), 8])])
    def traced(x):
        with implementation("tf"), substituted(ONNX):
            return enlarged(x)

    path = tmp_path / "enlarged.onnx"
    write_onnx(frozen_graph(traced.get_concrete_function()), ["x"], ["restored"], path)
    operations = [node.op_type for node in onnx.load(path).graph.node]
    assert (operations.count("Resize"), operations.count("DepthToSpace"), operations.count("Gather")) == (1, 1, 0)
    x = np.random.default_rng(0).random((2, 5, 6, 8), dtype=np.float32)
    (found,) = onnxruntime.InferenceSession(path).run(["restored"], {"x": x})
    np.testing.assert_allclose(found, enlarged(x)["restored"], atol=1e-6)
