"""Reads the pickles inside PyTorch files without executing anything.

A pickle is a program for a small stack machine, and Python's own machine lets that program import and call
whatever it names. This machine knows the operations that build data, and a fixed table in place of imports:
what describes a tensor becomes a `Tensor`, and everything else that checkpoints carry beside tensors (random
states, histories, options, paths, dates) becomes an `Inert`. No name is ever looked up in a module, so there is
nothing that a hostile file could run. A file that asks for what runs programs is refused besides, because whoever
wrote it did not mean to store weights; that list is a courtesy to the user and protects nothing.
"""

import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

from ascendcv.utils.errors import InputError


class Storage(NamedTuple):
    """A flat array that the file holds elsewhere under `key`."""

    key: str
    dtype: str  # of `STORAGE_DTYPES`
    numel: int


class Tensor(NamedTuple):
    """A view of a storage; offset and stride count elements. Nothing of it but its rank has been checked yet."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Unknown(NamedTuple):
    """A class or function that is not in the table, by its name."""

    name: str


class Inert(dict):
    """What a call of something unknown would have made: the items that were put into it, and nothing else."""

    def __init__(self, name: str):
        super().__init__()
        self.name = name


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
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
    "QInt8Storage": "i1",
    "QUInt8Storage": "u1",
    "QInt32Storage": "i4",
}

_MAX_RANK = 64  # PyTorch's own limit
_MAX_ARGUMENTS = 16  # of what describes a tensor
_MAX_NAME = 1000
_MAX_MEMO = 1 << 32

_REFUSED = (
    "which weights never need: it is refused, and nothing of it was run. If you trust the file's origin, "
    "load it with PyTorch and save the network's state_dict() alone"
)


def _tensor(storage: object, offset: int, shape: tuple, stride: tuple, *_: object) -> "Tensor | Inert":
    if isinstance(storage, Inert):
        return storage
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    if max(len(shape), len(stride)) > _MAX_RANK:
        raise ValueError("a tensor with more axes than there can be")
    return Tensor(storage, offset, shape, stride)


def _first(value: object, *_: object) -> object:
    """A parameter is its tensor."""
    return value


def _dictionary(*_: object) -> dict:
    """PyTorch fills its dicts after their creation; what else one is created from is not weights."""
    return {}


def _rebuilt(function: object, _kind: object, arguments: tuple, *_: object) -> object:
    """A tensor that has attributes of its own, or of a class that extends tensors."""
    return _called(function, arguments)


_FUNCTIONS: dict[str, Callable] = {
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    "collections.Counter": _dictionary,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _rebuilt,
}

_DTYPES = {f"torch.{name}": dtype for name, dtype in STORAGE_DTYPES.items()}
_DTYPES["torch.storage.UntypedStorage"] = "u1"

# What exists to run programs, to reach other computers or to change files.
_HOSTILE_MODULES = {
    *("os", "posix", "nt", "posixpath", "ntpath", "subprocess", "sys", "shutil", "socket", "importlib"),
    *("imp", "runpy", "pty", "codeop", "ctypes", "_ctypes", "pickle", "_pickle", "marshal", "webbrowser"),
    *("popen2", "asyncio", "urllib", "ftplib", "smtplib", "telnetlib", "pip", "timeit", "cProfile", "pdb"),
    *("bdb", "pydoc", "doctest", "zipimport", "pkgutil"),
}
_HOSTILE = {
    *(f"builtins.{name}" for name in ("eval", "exec", "compile", "open", "__import__", "input", "breakpoint")),
    *(f"builtins.{name}" for name in ("setattr", "delattr", "globals", "locals", "vars", "apply", "execfile")),
    # Of modules that have names which programs give to their own, too.
    *("code.interact", "code.InteractiveInterpreter", "code.InteractiveConsole", "commands.getoutput"),
    *("commands.getstatusoutput", "profile.run", "profile.runctx", "trace.Trace", "requests.get", "requests.post"),
    *("torch.load", "numpy.load", "functools.reduce", "operator.methodcaller"),
}
_HOSTILE_PACKAGES = ("torch.hub.", "torch.jit.", "torch.utils.cpp_extension.", "numpy.f2py.", "numpy.testing.")
_SPECIAL = re.compile(r"\.__\w+__(\.|$)")  # attributes such as __globals__
_GETATTR = "builtins.getattr"

# Operations whose decoded argument is the value itself.
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}


def read_pickle(file: BinaryIO, source: str, operations: int) -> tuple[Any, dict[str, Storage]]:
    """The next pickle in `file`, left standing behind it, and the storages that it refers to.

    Nested dicts (of what has strings as keys), lists and tuples of numbers, strings, `Tensor`, `Storage`, `Inert`
    and `Unknown` come back. `source` names the file in messages, `operations` is how many a pickle may have. Raises
    `InputError` that names what the pickle asked for where that runs programs, and exceptions of any kind for a
    damaged pickle. `file.read(n)` must not allocate more than the file has. Every operation takes a time that its
    own bytes bound.
    """
    stack: list = []
    marks: list[int] = []
    memo: dict[int, object] = {}
    storages: dict[str, Storage] = {}
    hostile: list[str] = []

    def pop_to_mark() -> list:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if count >= operations:
            raise InputError(
                f"{source} is refused: what describes its tensors has more than {operations:,} operations"
            )
        match operation.name:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(operation.name == "NEWTRUE")
            case "MARK":
                marks.append(len(stack))
            case "POP":
                if marks and marks[-1] == len(stack):
                    marks.pop()
                else:
                    stack.pop()
            case "POP_MARK":
                pop_to_mark()
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [stack.pop() for _ in range(int(operation.name[-1]))]
                stack.append(tuple(reversed(items)))
            case "EMPTY_LIST":
                stack.append([])
            case "LIST":
                stack.append(pop_to_mark())
            case "APPEND":
                value = stack.pop()
                _extend(stack[-1], [value])
            case "APPENDS":
                values = pop_to_mark()
                _extend(stack[-1], values)
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
                stack.append(Inert("set"))
            case "ADDITEMS":
                pop_to_mark()
            case "FROZENSET":
                pop_to_mark()
                stack.append(Inert("frozenset"))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                if not 0 <= argument < _MAX_MEMO:
                    raise ValueError("a place in the memo that no pickle has")
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_look_up(argument.replace(" ", ".", 1), hostile))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if not all(isinstance(part, str) and len(part) <= _MAX_NAME for part in (module, name)):
                    raise TypeError("a name that is none")
                stack.append(_look_up(f"{module}.{name}", hostile))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                if function == Unknown(_GETATTR) and not _is_plain_attribute(arguments):
                    hostile.append(_GETATTR)
                stack.append(_called(function, arguments))
            case "NEWOBJ_EX":
                _, _, function = stack.pop(), stack.pop(), stack.pop()
                stack.append(_called(function, ()) if isinstance(function, Unknown) else Inert("object"))
            case "BUILD":
                stack.pop()  # attributes of an object: of an OrderedDict, PyTorch's format versions
                if not stack:
                    raise IndexError("a state without an object")
            case "BINPERSID":
                storage = _storage(stack.pop())
                if isinstance(storage, Storage) and storages.setdefault(storage.key, storage) != storage:
                    raise ValueError("a storage that is declared twice, differently")
                stack.append(storage)
            case "STOP":
                if hostile:
                    asked = ", ".join(dict.fromkeys(hostile[:20]))
                    raise InputError(f"{source} asks for {asked}, {_REFUSED}")
                return stack.pop(), storages
            case name if name in _LITERALS:
                stack.append(argument)
            case name:
                wanted = f"{name} {argument[:100]}" if isinstance(argument, str) else name
                raise InputError(f"{source} asks for the pickle operation {wanted}, {_REFUSED}")
    raise ValueError("a pickle without an end")


def _look_up(name: str, hostile: list[str]) -> object:
    """What the table has for `module.name`: a function of this module, a storage's dtype, or `Unknown`.

    Names of what runs programs are added to `hostile`, and are unknown like all others.
    """
    if len(name) > 2 * _MAX_NAME:
        raise ValueError("a name that is none")
    if name.startswith("__builtin__."):  # Python 2
        name = name.replace("__builtin__", "builtins", 1)
    if name in _FUNCTIONS:
        return _FUNCTIONS[name]
    if name in _DTYPES:
        return _DTYPES[name]
    if (
        name.split(".", 1)[0] in _HOSTILE_MODULES
        or name in _HOSTILE
        or name.startswith(_HOSTILE_PACKAGES)
        or _SPECIAL.search(name)
    ):
        hostile.append(name[:200])
    return Unknown(name)


def _called(function: object, arguments: object) -> object:
    """What a function of the table makes, or an `Inert` for an unknown one."""
    if isinstance(function, Unknown):
        return Inert(function.name)
    if isinstance(function, Inert):
        return Inert(function.name)
    if not callable(function) or not isinstance(arguments, tuple) or len(arguments) > _MAX_ARGUMENTS:
        raise TypeError("a call of what is no function, or with arguments that it has not")
    return function(*arguments)


def _is_plain_attribute(arguments: object) -> bool:
    """Whether `getattr` names a member of a class, as enumerations are stored by Python 3.11, and no more."""
    match arguments:
        case (Unknown(name), str(attribute)):
            return attribute.isidentifier() and not attribute.startswith("_") and name != _GETATTR
    return False


def _storage(identity: tuple) -> Storage | Inert:
    """A storage from ('storage', type, key, device, number of elements[, None]); of an unknown type, inert."""
    if not isinstance(identity, tuple) or len(identity) > _MAX_ARGUMENTS:
        raise TypeError("a reference to something that is no storage")
    kind, dtype, key, _, numel, *view = identity
    if kind == "storage" and isinstance(dtype, Unknown):
        return Inert(dtype.name)
    known = isinstance(dtype, str) and dtype in STORAGE_DTYPES.values() and isinstance(key, str)
    if kind != "storage" or not known or not is_count(numel) or any(part is not None for part in view):
        raise ValueError("a reference to something that is no storage")
    return Storage(key, dtype, numel)


def is_count(number: object) -> bool:
    """Whether `number` can be a size, stride or offset of an array in memory."""
    return type(number) is int and 0 <= number < 2**48


def _extend(collection: object, values: list) -> None:
    if isinstance(collection, list):
        collection.extend(values)
    elif not isinstance(collection, Inert):
        raise TypeError("items for something that is no list")


def _set_items(dictionary: object, items: list) -> None:
    """Keys that are no strings name nothing that a network has; hashing them could take for ever."""
    if not isinstance(dictionary, dict):
        raise TypeError("items for something that is no dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if isinstance(key, str):
            dictionary[key] = value
