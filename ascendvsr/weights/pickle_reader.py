"""Reads the pickles inside PyTorch files without executing anything.

A pickle is a program for a small stack machine, and Python's own machine lets that program import and call
whatever it names. This machine knows the operations that build data, and a fixed table in place of imports:
what describes a tensor becomes a `Tensor`, what checkpoints carry beside tensors (random states, losses as
numpy scalars, devices) becomes `SKIPPED`, and any other name ends the reading. No name is ever looked up in a
module, so there is nothing that a hostile file could run.
"""

import pickletools
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from ascendcv.utils.errors import InputError


class Storage(NamedTuple):
    """A flat array that the file holds elsewhere under `key`."""

    key: str
    dtype: str  # of `STORAGE_DTYPES`
    numel: int


class Tensor(NamedTuple):
    """A view of a storage; offset and stride count elements. Nothing of it has been checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


STORAGE_DTYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}

SKIPPED = object()  # a value that no network needs

_REFUSED = (
    "which weights never need: it is refused, and nothing of it was run. If you trust the file's origin, "
    "load it with PyTorch and save the network's state_dict() alone"
)


def _tensor(storage: Storage, offset: int, shape: tuple, stride: tuple, *_: object) -> Tensor:
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    return Tensor(storage, offset, shape, stride)


def _parameter(tensor: Tensor, *_: object) -> Tensor:
    return tensor


def _dictionary(*_: object) -> dict:
    """PyTorch fills its dicts after their creation; what else one is created from is not weights."""
    return {}


_FUNCTIONS: dict[str, Callable] = {
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    "collections.Counter": _dictionary,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
}

_DTYPES = {f"torch.{name}": dtype for name, dtype in STORAGE_DTYPES.items()}
_DTYPES["torch.storage.UntypedStorage"] = "u1"

_SKIPPED_NAMES = frozenset(
    ["_codecs.encode", "torch.Size", "torch.device", "numpy.dtype", "numpy.ndarray"]
    + [f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")]
    + [f"{module}.{name}" for module in ("builtins", "__builtin__") for name in ("dict", "list", "int", "set")]
    + [f"torch.{name}" for name in ("float16", "float32", "float64", "bfloat16", "bool", "uint8")]
    + [f"torch.{name}" for name in ("int8", "int16", "int32", "int64")]
)

# Operations whose decoded argument is the value itself.
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}


def read_pickle(file: BinaryIO, source: str) -> tuple[object, dict[str, Storage]]:
    """The next pickle in `file`, left standing behind it, and the storages that it refers to.

    Nested dicts, lists and tuples of numbers, strings, `Tensor`, `Storage`, `SKIPPED` come back. `source`
    names the file in messages. Raises `InputError` that names what the pickle asked for when it is not in the
    table, and exceptions of any kind for a damaged pickle. `file.read(n)` must not allocate more than the
    file has.
    """
    stack: list = []
    marks: list[int] = []
    memo: dict[int, object] = {}
    storages: dict[str, Storage] = {}

    def pop_to_mark() -> list:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for operation, argument, _ in pickletools.genops(file):
        match operation.name:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(operation.name == "NEWTRUE")
            case "MARK":
                marks.append(len(stack))
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(operation.name[-1])
                items = [stack.pop() for _ in range(count)]
                stack.append(tuple(reversed(items)))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(pop_to_mark())
            case "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            case "APPENDS":
                values = pop_to_mark()
                stack[-1].extend(values)
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                items = pop_to_mark()
                stack.append({})
                _set_items(stack[-1], items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set_items(stack[-1], [key, value])
            case "SETITEMS":
                items = pop_to_mark()
                _set_items(stack[-1], items)
            case "EMPTY_SET":
                stack.append(SKIPPED)
            case "ADDITEMS":
                pop_to_mark()
            case "FROZENSET":
                pop_to_mark()
                stack.append(SKIPPED)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_look_up(argument.replace(" ", ".", 1), source))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_look_up(f"{module}.{name}", source))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(SKIPPED if function is SKIPPED else function(*arguments))
            case "BUILD":
                # The state of a SKIPPED value, or attributes of an OrderedDict: PyTorch's format versions.
                stack.pop()
                if stack[-1] is not SKIPPED and not isinstance(stack[-1], dict):
                    raise TypeError("a state for something that has none")
            case "BINPERSID":
                storage = _storage(stack.pop())
                if storages.setdefault(storage.key, storage) != storage:
                    raise ValueError("a storage that is declared twice, differently")
                stack.append(storage)
            case "STOP":
                return stack.pop(), storages
            case name if name in _LITERALS:
                stack.append(argument)
            case name:
                wanted = f"{name} {argument[:100]}" if isinstance(argument, str) else name
                raise InputError(f"{source} asks for the pickle operation {wanted}, {_REFUSED}")
    raise ValueError("a pickle without an end")


def _look_up(name: str, source: str) -> object:
    """What the table has for `module.name`: a function of this module, a storage's dtype, or `SKIPPED`."""
    if name in _SKIPPED_NAMES:
        return SKIPPED
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name in _DTYPES:
        return _DTYPES[name]
    raise InputError(f"{source} asks for {name[:200]}, {_REFUSED}")


def _storage(identity: tuple) -> Storage:
    """A storage from ('storage', type, key, device, number of elements[, None])."""
    kind, dtype, key, _, numel, *view = identity
    known = dtype in STORAGE_DTYPES.values() and isinstance(key, str)
    if kind != "storage" or not known or not is_count(numel) or any(part is not None for part in view):
        raise ValueError("a reference to something that is no storage")
    return Storage(key, dtype, numel)


def is_count(number: object) -> bool:
    """Whether `number` can be a size, stride or offset of an array in memory."""
    return type(number) is int and 0 <= number < 2**48


def _set_items(dictionary: dict, items: list) -> None:
    if not isinstance(dictionary, dict):
        raise TypeError("items for something that is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # Nested tuples as keys could take exponential time to hash.
        if not isinstance(key, str | int | float | None):
            raise TypeError("a dict with keys that are neither strings nor numbers")
        dictionary[key] = value
