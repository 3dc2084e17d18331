"""What stands in a YAML text, and in which line, before anything decides what it means.

A scalar is the text that stands there: which of `010`, `yes` and `1.10` are numbers or truth values, the setting
decides that it is given to.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import shown

LARGEST = 256 * 1024  # bytes of a text
DEEPEST = 20  # sections and lists inside of each other
MOST = 100_000  # entries, those that aliases repeat included


@dataclass(frozen=True)
class Scalar:
    """A word, a number or a text. `quoted` says that it stood in quotes, or in a block of its own."""

    text: str
    line: int
    quoted: bool = False


@dataclass
class Sequence:
    """A list."""

    line: int
    items: list["Node"] = field(default_factory=list)


@dataclass
class Mapping:
    """Keys with the lines that they stand in, and what they are given."""

    line: int
    entries: list[tuple[str, int, "Node"]] = field(default_factory=list)


Node = Scalar | Sequence | Mapping


def read_nodes(text: str, source: str) -> Node:
    """The tree of a YAML text; that of an empty one is an empty scalar.

    `source` is what messages call it. Raises `InputError` for a text that is no YAML, that is too large or too
    deep, whose aliases contain themselves or make it too large, and for what settings have no use for: several
    documents, types in the text (`!!float`), keys that are not a word.
    """
    try:
        size = len(text.encode(errors="surrogatepass"))
        if size > LARGEST:
            raise InputError(f"{source} has {size} bytes: it should have at most {LARGEST}")
        return _Reader(text, source).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = " ".join(f"{error.problem or error.context}".split())
        raise InputError(f"{source} is not valid YAML: line {line}: {reason}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None
    except (OverflowError, ValueError) as error:  # PyYAML lets those of int() and chr() through
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source} is not valid YAML: {' '.join(str(error).split())}") from None


class _Reader:
    """Builds the tree from PyYAML's events, which come one by one: nothing is read beyond a limit."""

    def __init__(self, text: str, source: str) -> None:
        self.events = yaml.parse(text, Loader=yaml.SafeLoader)
        self.source = source
        self.anchors: dict[str, tuple[Node, int] | None] = {}  # with their number of entries; None: not complete

    def document(self) -> Node:
        next(self.events)  # the stream's start
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return Scalar("", 1)
        root, _ = self.node(next(self.events), 0)
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self.error(after, "a second document begins: a configuration is one")
        return root

    def node(self, event: Any, depth: int) -> tuple[Node, int]:
        """The node that begins with `event`, and the number of its entries."""
        if depth > DEEPEST:
            raise self.error(event, f"more than {DEEPEST} lists and sections stand inside of each other")
        if isinstance(event, yaml.AliasEvent):
            name = str(event.anchor)
            found = self.anchors.get(name)
            if not found:
                problem = "contains itself" if name in self.anchors else "is not defined"
                raise self.error(event, f"the alias {shown(event.anchor)} {problem}")
            return found
        if event.tag not in (None, "!"):
            raise self.error(event, f"{shown(event.tag)}: the type of a value is that of its key, leave it out")
        if event.anchor:
            self.anchors[event.anchor] = None
        line = _line(event)
        made: tuple[Node, int]
        if isinstance(event, yaml.ScalarEvent):
            made = Scalar(event.value, line, quoted=not event.implicit[0]), 1
        elif isinstance(event, yaml.SequenceStartEvent):
            made = self.sequence(line, depth)
        else:
            made = self.mapping(line, depth)
        if event.anchor:
            self.anchors[event.anchor] = made
        return made

    def sequence(self, line: int, depth: int) -> tuple[Sequence, int]:
        made, count = Sequence(line), 1
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            item, entries = self.node(event, depth + 1)
            made.items.append(item)
            count = self.counted(count + entries, event)
        return made, count

    def mapping(self, line: int, depth: int) -> tuple[Mapping, int]:
        made, count = Mapping(line), 1
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            begin = _line(event)
            key, _ = self.node(event, depth + 1)
            if not isinstance(key, Scalar) or not re.search(r"\S", key.text):
                raise self.error(event, "a key should be a word")
            if key.text == "<<" and not key.quoted:
                raise self.error(event, "`<<` is not read: say `base: OTHER.yaml` and what differs")
            value, entries = self.node(next(self.events), depth + 1)
            made.entries.append((key.text, begin, value))
            count = self.counted(count + entries, event)
        return made, count

    def counted(self, count: int, event: yaml.Event) -> int:
        if count > MOST:
            raise self.error(event, f"there are more than {MOST} entries, with those that aliases repeat")
        return count

    def error(self, event: yaml.Event, problem: str) -> InputError:
        return InputError(f"{self.source}, line {_line(event)}: {problem}")


def _line(event: Any) -> int:
    """Where an event of PyYAML's reader begins, from 1."""
    return event.start_mark.line + 1
