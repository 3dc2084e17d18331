"""OpenVINO files, read from frozen graphs by OpenVINO itself."""

import json
import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ascendvsr.deployment.standard_operations import PLACEHOLDER


def write_openvino(
    graph,
    inputs: Sequence[str],
    outputs: Sequence[str],
    path: Path,
    *,
    halved: bool = False,
    samples: Callable[[], Iterable[Mapping[str, np.ndarray]]] | None = None,
) -> None:
    """`path` (.xml) and the weights beside it (.bin) of a frozen graph.

    Args:
        graph: a GraphDef with a tensor NAME:0 for each of `inputs` and `outputs`, which OpenVINO calls NAME.
        halved: whether weights are stored as float16; it computes in the precision that the runtime is told.
        samples: gives inputs by name, to fit whole numbers of 8 bits to; it then computes in those.

    Raises `OSError` where the files cannot be written.
    """
    import openvino

    model = converted(graph, inputs, outputs)
    if samples is not None:
        model = _quantized(model, samples)
    try:
        openvino.save_model(model, path, compress_to_fp16=halved)
    except RuntimeError as error:
        raise OSError(f"the OpenVINO file could not be written: {str(error).splitlines()[-1]}") from error


def converted(graph, inputs: Sequence[str], outputs: Sequence[str]):
    """A frozen graph as an `openvino.Model`."""
    from openvino import opset13

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.pb"
        path.write_bytes(graph.SerializeToString())
        model = _read(path)
    found = {result.input_value(0) for result in model.get_results()}
    for result in model.get_results():
        source = result.input_value(0)
        if source in found:
            found.remove(source)
        else:  # An output that is another one too gets a tensor, and so a name, of its own.
            result.input(0).replace_source_output(opset13.concat([source], axis=0).output(0))
    for ports, names in ((model.inputs, list(inputs)), (model.outputs, list(outputs))):
        for port, told in [(port, {each.removesuffix(":0") for each in port.get_names()}) for port in ports]:
            name = next((name for name in names if name in told), names[0])
            names.remove(name)
            port.set_names({name})
    return model


def _read(path: Path):
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.tensorflow import ConversionExtension

    extension = ConversionExtension(PLACEHOLDER, _standard_operation)
    frontend = FrontEndManager().load_by_framework("tf")
    frontend.add_extension(extension)
    source = frontend.load(str(path))
    if any(source.get_partial_shape(place).is_dynamic for place in source.get_inputs()):
        # Not simplified before sizes are known: OpenVINO 2026.4 takes the free size of x[:, ::2, ::2] for that of x
        # and crops by the wrong one. It simplifies the model when it compiles it for a size.
        return frontend.convert(source)
    return openvino.convert_model(path, extension=extension)


def _quantized(model, samples: Callable[[], Iterable[Mapping[str, np.ndarray]]]):
    """An `openvino.Model` that computes in 8 bits, its ranges fitted to what it makes of the samples."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    given = [dict(each) for each in samples()]
    # Activations keep their sign where they have one; the operations that place samples stay exact.
    return nncf.quantize(
        model,
        nncf.Dataset(given),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(given),
        ignored_scope=nncf.IgnoredScope(types=["DeformableConvolution", "GridSample"], validate=False),
    )


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


def _pixel_shuffle(inputs, facts: dict):
    from openvino import opset13

    return opset13.depth_to_space(_transposed(inputs[0], [0, 3, 1, 2]), "depth_first", facts["scale"])


_MAKERS = {"deform_conv": _deform_conv, "grid_sample": _grid_sample, "pixel_shuffle": _pixel_shuffle}
