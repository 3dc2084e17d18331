"""OpenVINO files, read from frozen graphs by OpenVINO itself."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ascendvsr.deployment.standard_operations import PLACEHOLDER


def write_openvino(
    graph, inputs: Sequence[str], outputs: Sequence[str], path: Path, *, halved: bool = False
) -> None:
    """`path` (.xml) and the weights beside it (.bin) of a frozen graph.

    Args:
        graph: a GraphDef with a tensor NAME:0 for each of `inputs` and `outputs`, which OpenVINO calls NAME.
        halved: whether weights are stored as float16; it computes in the precision that the runtime is told.

    Raises `OSError` where the files cannot be written.
    """
    import openvino

    try:
        openvino.save_model(converted(graph, inputs, outputs), path, compress_to_fp16=halved)
    except RuntimeError as error:
        raise OSError(f"the OpenVINO file could not be written: {str(error).splitlines()[-1]}") from error


def converted(graph, inputs: Sequence[str], outputs: Sequence[str]):
    """A frozen graph as an `openvino.Model`."""
    import openvino
    from openvino.frontend.tensorflow import ConversionExtension

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        path.write_bytes(graph.SerializeToString())
        extension = ConversionExtension(PLACEHOLDER, _standard_operation)
        model = openvino.convert_model(path, extension=extension, output=list(outputs))
    for ports, names in ((model.inputs, inputs), (model.outputs, outputs)):
        for port in ports:
            (name,) = {each.removesuffix(":0") for each in port.get_names()} & set(names)
            port.set_names({name})
    return model


def _standard_operation(node):
    """OpenVINO's operation in the place of the placeholder `node`."""
    facts = json.loads(node.get_attribute("token"))
    inputs = [node.get_input(number) for number in range(node.get_input_size())]
    return [_transposed(_MAKERS[facts["operation"]](inputs, facts), [0, 2, 3, 1]).output(0)]


def _transposed(tensor, order: list[int]):
    from openvino import opset13

    return opset13.transpose(tensor, opset13.constant(order))


def _deform_conv(inputs, facts: dict):
    from openvino import opset13

    x, offset, kernel, bias, mask = inputs
    x, offset, mask = (_transposed(tensor, [0, 3, 1, 2]) for tensor in (x, offset, mask))
    y = opset13.deformable_convolution(
        x,
        offset,
        _transposed(kernel, [3, 2, 0, 1]),
        strides=facts["stride"],
        pads_begin=facts["padding"],
        pads_end=facts["padding"],
        dilations=facts["dilation"],
        mask=mask,
        group=facts["groups"],
        deformable_group=facts["deformable_groups"],
        bilinear_interpolation_pad=True,
    )
    return opset13.add(y, opset13.reshape(bias, opset13.constant([1, -1, 1, 1]), special_zero=False))


def _grid_sample(inputs, facts: dict):
    from openvino import opset13

    x, grid = inputs
    return opset13.grid_sample(
        _transposed(x, [0, 3, 1, 2]), grid, {"align_corners": False, "padding_mode": "zeros"}
    )


_MAKERS = {"deform_conv": _deform_conv, "grid_sample": _grid_sample}
