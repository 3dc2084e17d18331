"""Which implementation serves an operation: composed of Keras operations, a compiled kernel, or a vendor's own.

'tf'     composed from `keras.ops`: works everywhere, also under XLA, in an exported graph, on JAX and PyTorch
'fused'  the compiled kernel of `ascendcv.ops.fused`, with gradients
'npu'    an accelerator vendor's own operation, found by an entry point in the group `ascendcv.ops` (its name is the
         operation's, its object a function with the arguments of the composed one) or by import
'auto'   the fastest that is usable here and now: the vendor's on an NPU, the compiled kernel on processors,
         composed on GPUs and elsewhere
'fast'   as 'auto', and where the compiled kernel has a way that is faster and less exact, that one: 5 x 5
         convolutions by larger tiles, with five times the rounding error of float32

ASCENDCV_IMPL=tf in the environment is `implementation("tf")` for a whole process and those that it starts; so is
ASCENDCV_IMPL=fast.
"""

import contextlib
import contextvars
import functools
import importlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import cast

import keras

from ascendcv.utils.errors import InputError

# operation -> its composed function, as 'module:function'
OPERATIONS = {
    "conv2d": "ascendcv.ops.conv2d:composed",
    "deform_conv2d": "ascendcv.ops.deform_conv:composed",
    "deform_attn": "ascendcv.ops.deform_attn:composed",
    "correlation": "ascendcv.ops.correlation:composed",
    "window_attention": "ascendcv.ops.window_attention:composed",
    "feed_forward": "ascendcv.ops.feed_forward:composed",
    "resize_bilinear": "ascendcv.ops.resize:composed",
}

# operation -> (vendor's module, our adapter to it)
VENDOR_OPERATIONS = {
    "deform_conv2d": ("npu_bridge.tbe.npu_cube_ops", "ascendcv.ops.vendor:ascend_deform_conv2d"),
}

# Their kernels serve processors only: GPUs have fast ones of their own, which the composed operations call.
FOR_PROCESSORS = ("conv2d", "window_attention", "feed_forward", "resize_bilinear")

IMPLEMENTATIONS = ("tf", "fused", "npu")

# Names that leave the choice to the place and the arguments.
_CHOOSING = ("auto", "fast")

# operation -> the name of its kernel that 'fast' takes
_FAST_KERNELS = {"conv2d": "conv2d_by_large_tiles"}

# Modules that trace graphs for files.
_EXPORTERS = ("keras.src.export", "tensorflow.python.saved_model", "tensorflow.lite", "tf2onnx")

_forced: contextvars.ContextVar[str | None] = contextvars.ContextVar(
    "implementation", default=os.environ.get("ASCENDCV_IMPL") or None
)
_substitutes: contextvars.ContextVar[Mapping[str, Callable] | None] = contextvars.ContextVar(
    "substitutes", default=None
)


def resolve(operation: str, impl: str = "auto", dtype: str = "float32", worthwhile: bool = True) -> Callable:
    """The function that serves `operation` on tensors of `dtype`.

    Where its arguments make no other implementation `worthwhile`, 'auto' composes it.

    Raises `InputError` for an unknown name, and for an implementation asked for by name that cannot run here:
    the message says why and what to do.
    """
    if operation not in OPERATIONS:
        raise InputError(f"there is no operation {operation!r}; there are {', '.join(OPERATIONS)}")
    given = substitute(operation)  # not in the condition, which AutoGraph could not transform
    if given is not None:
        return given
    impl = _forced.get() or impl
    if impl in _CHOOSING:
        return _load(operation, serving(operation, dtype, worthwhile), fast=impl == "fast")
    if impl not in IMPLEMENTATIONS:
        raise InputError(f"impl is {impl!r}; it should be one of: {', '.join((*_CHOOSING, *IMPLEMENTATIONS))}")
    reason = available(operation, dtype)[impl]
    if reason is not None and _forced.get() and operation in FOR_PROCESSORS and _on("GPU"):
        return _load(operation, "tf")
    if reason is not None:
        raise InputError(f"{operation} has no implementation {impl!r} here: {reason}; impl 'auto' or 'tf' works")
    return _load(operation, impl)


@contextlib.contextmanager
def implementation(name: str) -> Iterator[None]:
    """Within the block every operation is served by `name`, an implementation, whatever the layers ask for.

    Exported graphs and traces that XLA compiles are made within `implementation('tf')`. On GPUs, operations whose
    kernels serve processors only are composed whatever the name.

    >>> with implementation("tf"):
    ...     chosen = serving("conv2d")
    >>> chosen
    'tf'
    """
    token = _forced.set(name)
    try:
        yield
    finally:
        _forced.reset(token)


@contextlib.contextmanager
def substituted(functions: Mapping[str, Callable]) -> Iterator[None]:
    """Within the block these functions serve the operations of their names, whatever the layers ask for.

    For graphs of runtimes that have such an operation ready. Besides the operations here, `sample_bilinear`,
    `pixel_shuffle` and `erf` can be replaced.
    """
    token = _substitutes.set(functions)
    try:
        yield
    finally:
        _substitutes.reset(token)


def substitute(operation: str) -> Callable | None:
    """What serves `operation` within `substituted`, or None."""
    return (_substitutes.get() or {}).get(operation)


def available(operation: str, dtype: str = "float32") -> dict[str, str | None]:
    """For each implementation None where it can run here, else why it cannot. May compile the kernels.

    >>> available("conv2d")["tf"] is None
    True
    """
    return {"tf": None, "fused": _why_not_fused(operation, dtype), "npu": _why_not_vendor(operation)}


def chosen(operation: str, dtype: str = "float32") -> str:
    """The implementation that 'auto' takes here and now."""
    if _on("NPU") and _why_not_vendor(operation) is None:
        return "npu"
    return "fused" if not _on("GPU") and _why_not_fused(operation, dtype) is None else "tf"


def serving(operation: str, dtype: str = "float32", worthwhile: bool = True) -> str:
    """The implementation that serves a layer which asks for 'auto', here and within `implementation`."""
    name = _forced.get() or "auto"
    if name not in _CHOOSING:
        return name
    return chosen(operation, dtype) if worthwhile else "tf"


def explain(operation: str) -> str:
    """One line: what serves `operation` here, and why not the others.

    >>> explain("conv2d").startswith("conv2d: ")
    True
    """
    why = available(operation)
    others = "; ".join(f"{name}: {reason}" for name, reason in why.items() if reason is not None)
    return f"{operation}: {serving(operation)}" + (f" ({others})" if others else "")


def only_shapes() -> bool:
    """Whether Keras is asking for the shapes of results, as when it builds a model, and will compute nothing."""
    from keras.src.backend.common.symbolic_scope import in_symbolic_scope

    return in_symbolic_scope()


def tracing() -> bool:
    """Whether TensorFlow traces a graph that it will run itself: not for shapes alone, nor for XLA or a file."""
    if keras.backend.backend() != "tensorflow" or only_shapes() or _forced.get() not in (None, *_CHOOSING):
        return False
    import tensorflow as tf

    inside = tf.inside_function()
    return inside and not _in_xla() and not _exporting()


def _load(operation: str, impl: str, fast: bool = False) -> Callable:
    if impl == "tf":
        return _import(OPERATIONS[operation])
    if impl == "npu":
        return cast(Callable, _vendor(operation))  # `_why_not_vendor` has said that there is one
    from ascendcv.ops import fused

    return fused.load(_FAST_KERNELS.get(operation, operation) if fast else operation)


@functools.cache  # AutoGraph, which warns of what importlib does, leaves what is cached alone
def _import(place: str) -> Callable:
    module, name = place.split(":")
    return getattr(importlib.import_module(module), name)


def _why_not_fused(operation: str, dtype: str) -> str | None:
    if keras.backend.backend() != "tensorflow":
        return f"the compiled kernels serve TensorFlow, and the backend is {keras.backend.backend()}"
    if dtype == "float64":
        return "the compiled kernels compute in float32, and the tensor is float64"
    if _in_xla():
        return "XLA compiles what is being traced, and cannot call the compiled kernels"
    if _exporting():
        return "a graph is traced for a file, and programs that load it do not have the compiled kernels"
    if operation in FOR_PROCESSORS and _on("GPU"):
        return "its compiled kernel serves processors, and TensorFlow computes on a GPU"
    from ascendcv.ops import fused

    return fused.why_not()


def _in_xla() -> bool:
    """Whether TensorFlow traces a function for XLA, as far as its version tells: its public interface does not."""
    import tensorflow as tf

    try:
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
    except ImportError:
        return False
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())


def _exporting() -> bool:
    """Whether a graph is traced for a file, by `export` of a Keras model for instance: the callers tell."""
    import tensorflow as tf

    frame = sys._getframe() if tf.inside_function() else None
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_EXPORTERS):
            return True
        frame = frame.f_back
    return False


@functools.cache
def _vendor(operation: str) -> Callable | None:
    """The vendor's function, or None. A vendor package that breaks on import is named once in a warning."""
    for entry in importlib.metadata.entry_points(group="ascendcv.ops", name=operation):
        try:
            return entry.load()
        except Exception as error:
            warnings.warn(f"the entry point {entry.value} for {operation} failed: {error}", stacklevel=2)
    if operation in VENDOR_OPERATIONS:
        module, adapter = VENDOR_OPERATIONS[operation]
        try:
            importlib.import_module(module)
        except ImportError:
            return None
        return _import(adapter)
    return None


def _why_not_vendor(operation: str) -> str | None:
    if _vendor(operation) is not None:
        return None
    reason = f"no installed package has an entry point {operation!r} in the group 'ascendcv.ops'"
    if operation in VENDOR_OPERATIONS:
        reason += f", and {VENDOR_OPERATIONS[operation][0]} cannot be imported"
    return reason


def _on(device_type: str) -> bool:
    """Whether TensorFlow is the backend and sees such a device."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.config.list_physical_devices(device_type))
