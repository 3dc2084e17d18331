"""What an exported file says of itself, read and written without TensorFlow and without the file's runtime.

The metadata is one JSON object under the name `ascendvsr`: in an ONNX file a `metadata_props` entry, in OpenVINO's
XML the value of a node of `rt_info`, in a LiteRT file a metadata buffer, beside a frozen graph NAME.pb the entry of
NAME.json. Its keys:

    metadata_version   1
    version            of this project, which wrote the file
    format             a name of `ascendvsr.deployment.formats.FORMATS`
    network            what `model.name` says of it
    kind               window, clip, recurrent or flow: see `ascendvsr.models.card.Card`
    step               of a recurrent network: 'first' for the graph that takes the first window of a video and no
                       state, 'next' for the one of all others; else null
    first              of a recurrent network's 'next': the name of the file beside it of its 'first'; else null
    num_frames         T, frames that a call sees
    center             which of them is restored, of kinds window and recurrent; else 0
    scale              of the output's size over the input's
    channels           of an input frame; 4: the last one is the standard deviation of the noise, in their range
    color              'RGB'
    inputs, outputs    lists of tensors, `frames` and `restored` (or `flow`) first, then those of a state:
                       name; shape, null where free; dtype, as NumPy names it; layout: NTHWC, NHWC, or (NT)HWC for
                       frames folded into the batch; range: [0, 1], [0, 255], 'pixels' or null (a state)
    states             [[input, output], ...]: each output is that input of the next step
    precision          what it computes in: float32, float16 (weights) or int8
    multiple_of        [rows, columns] that a free size should be a multiple of: 1 where any size is accepted
    checkpoint         file, sha256, license ('' where unknown)
    settings           {key: value}: what makes the network in a configuration
    tolerance          accepted: the difference from the Keras model that the file keeps to, in `unit`; null: any

Sizes are those of frames as they go in; a fixed size is the only one that a file accepts.
"""

import io
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ascendcv.utils.errors import InputError

NAME = "ascendvsr"
VERSION = 1

# key -> type of its value, as JSON gives it
_KEYS = {
    "metadata_version": int,
    "version": str,
    "format": str,
    "network": str,
    "kind": str,
    "step": str | None,
    "first": str | None,
    "num_frames": int,
    "center": int,
    "scale": int,
    "channels": int,
    "color": str,
    "inputs": list,
    "outputs": list,
    "states": list,
    "precision": str,
    "multiple_of": list,
    "checkpoint": dict,
    "settings": dict,
    "tolerance": dict,
}
_TENSOR_KEYS = {"name": str, "shape": list, "dtype": str, "layout": str, "range": list | str | None}
_CHOICES = {"kind": ("window", "clip", "recurrent", "flow"), "step": (None, "first", "next")}


def read_metadata(path: str | os.PathLike) -> dict:
    """What the exported file at `path` (.onnx, .xml, .tflite, .pb) says of itself.

    Raises `InputError` where the file is missing, of another kind, damaged, or not an export of this project.
    """
    path = Path(path)
    reader, _ = _functions(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        text = reader(path)
    except _DAMAGED as error:
        raise InputError(f"{path} is damaged or no {path.suffix} model: {error}") from error
    if text is None:
        raise InputError(f"{path} says nothing of its network: `ascendvsr export` writes files that do")
    return _checked(text, path)


def write_metadata(path: str | os.PathLike, metadata: dict) -> None:
    """Puts `metadata` into the model at `path` (.onnx, .xml, .tflite), in place of what is there."""
    path = Path(path)
    text = json.dumps(metadata)
    _checked(text, path)
    _functions(path)[1](path, text)


def _functions(path: Path):
    if path.suffix not in _FORMATS:
        raise InputError(f"{path} should be a model that ends in {', '.join(_FORMATS)}")
    return _FORMATS[path.suffix]


def _checked(text: str | bytes, path: Path) -> dict:
    """The metadata in `text`, with all keys and of the right types."""
    damaged = f"{path}: what it says of its network is damaged"
    try:
        metadata = json.loads(text)
    except ValueError as error:
        raise InputError(f"{damaged}: {error}") from error
    if not isinstance(metadata, dict):
        raise InputError(f"{damaged}: no JSON object")
    version = metadata.get("metadata_version")
    if isinstance(version, int) and version > VERSION:
        raise InputError(
            f"{path} was written by ascendvsr {metadata.get('version')}, a newer version than this one: update it"
        )
    _check_types(metadata, _KEYS, damaged)
    for key, choices in _CHOICES.items():
        if metadata[key] not in choices:
            raise InputError(f"{damaged}: {key} is {metadata[key]!r}")
    if not metadata["inputs"] or not metadata["outputs"]:
        raise InputError(f"{damaged}: it names no inputs or outputs")
    for tensor in metadata["inputs"] + metadata["outputs"]:
        if not isinstance(tensor, dict):
            raise InputError(f"{damaged}: {tensor!r} is no tensor")
        _check_types(tensor, _TENSOR_KEYS, damaged)
        if not all(size is None or (type(size) is int and size > 0) for size in tensor["shape"]):
            raise InputError(f"{damaged}: the shape of {tensor['name']} is {tensor['shape']}")
    names = [{tensor["name"] for tensor in metadata[side]} for side in ("inputs", "outputs")]
    for pair in metadata["states"]:
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] not in names[0] or pair[1] not in names[1]:
            raise InputError(f"{damaged}: the state {pair!r}")
    if Path(metadata["first"] or "").name != (metadata["first"] or ""):
        raise InputError(f"{damaged}: first is {metadata['first']!r}, no name of a file beside it")
    return metadata


def _check_types(values: dict, types: dict, damaged: str) -> None:
    for key, expected in types.items():
        if key not in values or not isinstance(values[key], expected) or isinstance(values[key], bool):
            raise InputError(f"{damaged}: {key} is {values.get(key)!r}")


# ---- ONNX: fields of a protocol buffer, of which only the outermost are looked at ----

_METADATA_PROPS = 14  # field of ModelProto
_LENGTHS = {1: 8, 5: 4}  # wire type -> bytes of its value


def _read_onnx(path: Path) -> str | None:
    size = path.stat().st_size
    with open(path, "rb") as file:
        for field, start, length in _fields(file, size):
            if field == _METADATA_PROPS:
                file.seek(start)
                key, value = _entry(file.read(length))
                if key == NAME:
                    return value
                file.seek(start + length)
    return None


def _write_onnx(path: Path, text: str) -> None:
    kept, at = [], 0
    content = path.read_bytes()
    with open(path, "rb") as file:
        for field, start, length in _fields(file, len(content)):
            if field != _METADATA_PROPS or _entry(content[start : start + length])[0] != NAME:
                kept.append(content[at : start + length])
            at = start + length
    entry = _field(1, NAME.encode()) + _field(2, text.encode())
    path.write_bytes(b"".join(kept) + _field(_METADATA_PROPS, entry))


def _fields(file, size: int) -> Iterator[tuple[int, int, int]]:
    """(number, where its value starts, bytes of it) of each outermost field."""
    while file.tell() < size:
        key = _varint(file)
        kind = key & 7
        if kind == 0:
            start = file.tell()
            _varint(file)
            yield key >> 3, start, file.tell() - start
            continue
        if kind not in (1, 2, 5):
            raise ValueError(f"wire type {kind}")
        length = _varint(file) if kind == 2 else _LENGTHS[kind]
        start = file.tell()
        if start + length > size:
            raise ValueError("it ends too early")
        yield key >> 3, start, length
        file.seek(start + length)


def _entry(content: bytes) -> tuple[str, str]:
    """Key and value of an entry of `metadata_props`."""
    texts = {1: "", 2: ""}
    for field, start, length in _fields(io.BytesIO(content), len(content)):
        texts[field] = content[start : start + length].decode()
    return texts[1], texts[2]


def _varint(file) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends too early")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("a number is too long")


def _field(number: int, content: bytes) -> bytes:
    return _as_varint(number << 3 | 2) + _as_varint(len(content)) + content


def _as_varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


# ---- OpenVINO's XML ----


def _read_openvino(path: Path) -> str | None:
    root = ElementTree.parse(path).getroot()
    if root.tag != "net":
        raise ValueError(f"its outermost node is {root.tag!r}, not 'net'")
    node = root.find(f"rt_info/{NAME}")
    return None if node is None else node.get("value")


def _write_openvino(path: Path, text: str) -> None:
    tree = ElementTree.parse(path)
    root = tree.getroot()
    info = root.find("rt_info")
    if info is None:
        info = ElementTree.SubElement(root, "rt_info")
    node = info.find(NAME)
    if node is None:
        node = ElementTree.SubElement(info, NAME)
    node.set("value", text)
    tree.write(path, encoding="utf-8", xml_declaration=True)


# ---- LiteRT: a FlatBuffer ----


def _read_litert(path: Path) -> bytes | None:
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError("it does not begin as one")
    model = _Table.root(content)
    for entry in model.tables(_MODEL_METADATA):
        if entry.string(_METADATA_NAME) == NAME.encode():
            buffers = list(model.tables(_MODEL_BUFFERS))
            return bytes(buffers[entry.number(_METADATA_BUFFER)].string(_BUFFER_DATA))
    return None


def _write_litert(path: Path, text: str) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    kept = [entry for entry in model.metadata or [] if entry.name != NAME.encode()]
    entry, buffer = schema.MetadataT(), schema.BufferT()
    entry.name, entry.buffer, buffer.data = NAME, len(model.buffers), list(text.encode())
    model.buffers.append(buffer)
    model.metadata = [*kept, entry]
    builder = flatbuffers.Builder(path.stat().st_size + len(text) + 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(builder.Output())


# Places of fields in the tables of LiteRT's schema.
_MODEL_BUFFERS, _MODEL_METADATA = 4, 6
_METADATA_NAME, _METADATA_BUFFER, _BUFFER_DATA = 0, 1, 0


class _Table:
    """A table of a FlatBuffer. What leads out of the file raises `struct.error`."""

    def __init__(self, content: bytes, at: int):
        self.content, self.at = content, at

    @classmethod
    def root(cls, content: bytes) -> "_Table":
        return cls(content, struct.unpack_from("<I", content)[0])

    def _place(self, field: int) -> int:
        """Where the field's value is; 0: it has none."""
        fields = self.at - self._unpacked("<i", self.at)
        size = self._unpacked("<H", fields)
        offset = self._unpacked("<H", fields + 4 + 2 * field) if 4 + 2 * field < size else 0
        return offset and self.at + offset

    def _unpacked(self, form: str, at: int) -> int:
        if at < 0:
            raise struct.error("an offset leads out of the file")
        return struct.unpack_from(form, self.content, at)[0]

    def _vector(self, field: int) -> tuple[int, int]:
        """(start, length) of a vector or string."""
        place = self._place(field)
        if not place:
            return 0, 0
        start = place + self._unpacked("<I", place)
        return start + 4, self._unpacked("<I", start)

    def number(self, field: int) -> int:
        place = self._place(field)
        return self._unpacked("<I", place) if place else 0

    def string(self, field: int) -> bytes:
        start, length = self._vector(field)
        if start + length > len(self.content):
            raise struct.error("it ends too early")
        return self.content[start : start + length]

    def tables(self, field: int) -> Iterator["_Table"]:
        start, length = self._vector(field)
        for at in range(start, start + 4 * length, 4):
            yield _Table(self.content, at + self._unpacked("<I", at))


# ---- A frozen graph: NAME.json beside NAME.pb ----


def _read_pb(path: Path) -> str | None:
    facts = path.with_suffix(".json")
    if not facts.is_file():
        raise InputError(f"{path} needs {facts.name} beside it, which says what network it is")
    content = json.loads(facts.read_text())
    return json.dumps(content[NAME]) if isinstance(content, dict) and NAME in content else None


def _write_pb(path: Path, text: str) -> None:
    raise InputError(f"{path}: what a frozen graph is stands in {path.with_suffix('.json').name}")


_FORMATS = {
    ".onnx": (_read_onnx, _write_onnx),
    ".xml": (_read_openvino, _write_openvino),
    ".tflite": (_read_litert, _write_litert),
    ".pb": (_read_pb, _write_pb),
}

# What reading a damaged file raises.
_DAMAGED = (ValueError, ElementTree.ParseError, struct.error, IndexError, UnicodeDecodeError)
