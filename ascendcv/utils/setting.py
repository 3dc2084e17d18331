"""What a setting is: its default, its type, the values that it takes, and a line of explanation.

A tree of settings is a nested mapping {section: {name: Setting | mapping}}.
"""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NONE = ("", "~", "null", "Null", "NULL", "None")  # how none is written: as YAML does, and as Python does

_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")
_VARIABLE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")
_LONGEST_NUMBER = 100  # digits
_LONGEST_TEXT = 4096  # characters; of a path bytes, as Linux has it
_LONGEST_NAME = 255  # bytes of a file's or a folder's name
_LONGEST_SHOWN = 80  # characters of a value in a message
_LARGEST_FLOAT = 1.7976931348623157e308


@dataclass(frozen=True)
class Setting:
    """One setting. Made by the functions below, which say what the attributes mean for their type.

    Attributes:
        kind: bool, int, float, str, list or dict.
        default: what holds where nothing is said.
        text: what it means, in one line.
        choices: the only values; () where others decide.
        aliases: other words for some of the choices; True and False may be among them.
        numbered: words that are values with a number behind them: step:5000.
        low, high: the smallest and the largest number; None: no bound.
        above: the bound that a number must exceed; None: no bound.
        also: numbers outside of the bounds that have a meaning of their own, such as -1 for 'all'.
        optional: whether None is a value.
        item: what the items of a list are.
        lengths: the lengths that a list may have; () for any.
        shortest: how many items it has at least.
        fields: the entries that a mapping may have.
        required: those that it must have.
        is_name: the name of a file or a folder, perhaps with the folders above it.
        needed: whether a text cannot be ''.
        is_path: the same, and `~` and `$VARIABLE` in a text are expanded.
        reason: why the choices are the only ones.
    """

    kind: type
    default: Any
    text: str
    choices: tuple = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    numbered: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    above: float | None = None
    also: tuple = ()
    optional: bool = False
    item: "Setting" = None  # type: ignore[assignment]  # all lists have one, and nothing else is asked for it
    lengths: tuple[int, ...] = ()
    shortest: int = 0
    fields: "Mapping[str, Setting]" = field(default_factory=dict)
    required: tuple[str, ...] = ()
    is_name: bool = False
    is_path: bool = False
    needed: bool = False
    reason: str = ""

    def read(self, value: object) -> Any:
        """`value` as this setting holds it. Raises ValueError, whose message continues after the setting's name.

        Whole numbers become floats where those are wanted, floats without a fraction whole numbers, tuples lists,
        paths and numbers text; what stands as text where no text is wanted is read by `read_text`. None is '' for
        a text.
        """
        if value is None and self.kind is str:
            return self._text("")
        if value is None and self.optional:
            return None
        if self.kind is list and isinstance(value, list | tuple):
            return self.of_items([self._item(entry) for entry in value])
        if self.kind is dict and isinstance(value, Mapping):
            return self.of_fields({name: self.field(name).read(entry) for name, entry in value.items()})
        if self.kind is str:
            if isinstance(value, bool) and str(value) in self.aliases:
                return self.aliases[str(value)]
            if isinstance(value, str | os.PathLike | int | float) and not isinstance(value, bool):
                return self._text(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
        elif isinstance(value, str):
            return self.read_text(value)
        elif self.kind is bool and isinstance(value, bool):
            return value
        elif self.kind in (int, float) and isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value)
        raise self.wrong_type(shown(value))

    def read_text(self, text: str, quoted: bool = False) -> Any:
        """What `text` says, by the rules of YAML 1.2: `010` is ten, `1e4` a number, and a text what stands there.

        A path may be none, written as one of `NONE`; `quoted` says that the word itself is meant. Lists and
        mappings are no text. Raises ValueError as `read` does.
        """
        if self.kind is str:
            none = not quoted and text in NONE and (self.is_path or "" in self.choices)
            if none:
                return self._text("")
            return self._text(_expanded(text) if self.is_path else text)
        word = text.strip()
        if self.optional and word in NONE:
            return None
        if self.kind is bool and word.lower() in _TRUE + _FALSE:
            return word.lower() in _TRUE
        if self.kind in (int, float) and len(word) <= _LONGEST_NUMBER:
            if _INTEGER.fullmatch(word):
                return self._number(int(word))
            if _NUMBER.fullmatch(word):
                return self._number(float(word))
            if match := _NOT_FINITE.fullmatch(word):
                return self._number(float(match[1] + match[2]))
        raise self.wrong_type(shown(text) if text else "nothing")

    def of_items(self, items: list) -> list:
        """A list of these items, which `item` has read. Raises ValueError for a length that it cannot have."""
        if (self.lengths and len(items) not in self.lengths) or len(items) < self.shortest:
            raise self.wrong_type(shown(items))
        return items

    def field(self, name: object) -> "Setting":
        """The entry `name` of a mapping. Raises ValueError where there is none."""
        if not isinstance(name, str) or name not in self.fields:
            raise ValueError(f"has {shown(name)}; it should have {', '.join(self.fields)}")
        return self.fields[name]

    def of_fields(self, values: dict) -> dict:
        """A mapping of these entries, which `fields` have read. Raises ValueError where one is missing."""
        for name in self.required:
            if name not in values:
                raise ValueError(f"has no {name}: it should be {self.description()}")
        return values

    def wrong_type(self, found: str) -> ValueError:
        """The refusal of a value of another type; `found` says what was found."""
        bounds = self._bounds()
        return ValueError(f"should be {self._noun()}, not {found}{f'; {bounds}' if bounds else ''}")

    def description(self) -> str:
        """What would be right, such as 'a whole number from 1 to 16'."""
        bounds = self._bounds()
        return self._noun() + (f" {bounds}" if bounds else "") + (" or None" if self.optional else "")

    def _noun(self) -> str:
        if self.choices:
            return self._choices()
        if self.kind is list:
            length = " or ".join(map(str, self.lengths)) or (f"at least {self.shortest}" if self.shortest else "")
            return f"a list{f' of {length}' if length else ''}, each item {self.item.description()}"
        if self.kind is dict:
            return "{" + ", ".join(f"{name}: {entry.description()}" for name, entry in self.fields.items()) + "}"
        if self.kind is str:
            return "a path" if self.is_path else "text"
        return {bool: "True or False", int: "a whole number", float: "a number"}[self.kind]

    def _choices(self) -> str:
        words = [str(choice) for choice in self.choices if choice != ""] + [f"{word}:N" for word in self.numbered]
        words = [alias for alias in ("True", "False") if alias in self.aliases] + words
        none = ", or '' for none" if "" in self.choices else ""
        return (words[0] if len(words) == 1 else f"one of: {', '.join(words)}") + none

    def _bounds(self) -> str:
        also = "".join(f", or {_digits(value)}" for value in self.also)
        high = "" if self.high is None else _digits(self.high)
        if self.above is not None:
            return f"above {_digits(self.above)}" + (f" and up to {high}" if high else "") + also
        if self.low is not None:
            return f"from {_digits(self.low)} " + (f"to {high}" if high else "on") + also
        return (f"up to {high}" if high else "") + also

    def _number(self, value: int | float) -> int | float:
        if self.kind is float and (isinstance(value, float) or abs(value) <= _LARGEST_FLOAT):
            value = float(value)
        elif self.kind is int and (isinstance(value, int) or value.is_integer()):
            value = int(value)
        else:
            raise self.wrong_type(shown(value))
        if not self._allowed(value):
            because = f": {self.reason}" if self.reason else ""
            right = self._choices() if self.choices else self._bounds() or "a finite number"
            raise ValueError(f"is {shown(value)}; it should be {right}{because}")
        return value

    def _allowed(self, value: int | float) -> bool:
        if self.choices or value in self.also:
            return value in self.choices + self.also
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and math.isfinite(value)
        )

    def _text(self, value: str) -> str:
        if self.choices:
            value = self.aliases.get(value, value)
            # NPU means npu, where no two choices differ in that alone.
            alike = [choice for choice in self.choices if choice.casefold() == value.casefold()]
            value = alike[0] if len(alike) == 1 else value
            name, colon, count = value.partition(":")
            if colon and name in self.numbered and _INTEGER.fullmatch(count):
                return f"{name}:{int(count)}"
            if value not in self.choices:
                because = f": {self.reason}" if self.reason else ""
                raise ValueError(f"is {shown(value)}; it should be {self._choices()}{because}")
            return value
        if self.needed and not value:
            raise self.wrong_type("nothing")
        is_name = self.is_name or self.is_path
        length = len(value.encode(errors="surrogatepass")) if is_name else len(value)
        if length > _LONGEST_TEXT:
            raise ValueError(f"is {shown(value)}; it should have at most {_LONGEST_TEXT} characters, not {length}")
        if re.search(r"[\x00-\x1f\x7f]" if is_name else r"[\x00-\x08\x0b-\x1f\x7f]", value):
            raise ValueError(f"is {shown(value)}; it should have no control characters")
        try:
            # Names that are not UTF-8 come with surrogates for their bytes, and so they go back.
            encoded = value.encode(errors="surrogateescape" if is_name else "strict")
        except UnicodeEncodeError:
            raise ValueError(f"is {shown(value)}, which is no Unicode text") from None
        if is_name and any(len(part) > _LONGEST_NAME for part in encoded.split(b"/")):
            raise ValueError(f"is {shown(value)}; a name in a path can have {_LONGEST_NAME} bytes")
        return value

    def _item(self, value: object) -> Any:
        try:
            return self.item.read(value)
        except ValueError as error:
            raise ValueError(f"has an item that {error}") from None


def shown(value: object) -> str:
    """A value in a message: one line, however long it is."""
    try:
        text = repr(value)
    except ValueError:  # a whole number in it has thousands of digits
        return "a number of too many digits"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def literal_path(path: str | os.PathLike) -> str:
    """The text that `Setting.read_text` reads as this path: nothing in it is expanded."""
    text = os.fspath(path).replace("$", "$$")
    return text if os.path.expanduser(text) == text else f"./{text}"


def _expanded(path: str) -> str:
    """`path` with the home folder for `~` and the values of variables; `$$` is a dollar sign."""

    def value(match: re.Match) -> str:
        variable = match[1] or match[2]
        if variable is None:
            return "$"
        if variable not in os.environ:
            raise ValueError(f"is {shown(path)}, and ${variable} is not set; a dollar sign is $$")
        return os.environ[variable]

    home, slash, below = path.partition("/") if path.startswith("~") else ("", "", path)
    return os.path.expanduser(home) + slash + _VARIABLE.sub(value, below)


def _digits(value: float) -> str:
    if value == math.inf:
        return ".inf"
    return str(value) if isinstance(value, int) else f"{value:.10g}"


def flag(default: bool, text: str) -> Setting:
    """True or False."""
    return Setting(bool, default, text)


def integer(
    default: int | None,
    text: str,
    low: int | None = 0,
    high: int | None = 2**31 - 1,
    *,
    also: Sequence[int] = (),
    choices: Sequence[int] = (),
    optional: bool = False,
    reason: str = "",
) -> Setting:
    """A whole number from `low` to `high`, or one of `also`."""
    return Setting(
        int,
        default,
        text,
        low=low,
        high=high,
        also=tuple(also),
        choices=tuple(choices),
        optional=optional,
        reason=reason,
    )


def number(
    default: float,
    text: str,
    low: float | None = 0.0,
    high: float | None = None,
    *,
    above: float | None = None,
    also: Sequence[float] = (),
) -> Setting:
    """A finite number from `low` (or above `above`) to `high`, or one of `also`."""
    low = None if above is not None else low
    return Setting(float, default, text, low=low, high=high, above=above, also=tuple(also))


def word(
    default: str,
    text: str,
    choices: Sequence[str],
    *,
    aliases: Mapping[str, str] | None = None,
    numbered: Sequence[str] = (),
    reason: str = "",
) -> Setting:
    """One of a few words, in capitals or not; '' among them means none.

    `aliases` are other words, and which of them each means; `numbered` are those that come with a number, as
    step:5000.
    """
    return Setting(
        str,
        default,
        text,
        choices=tuple(choices),
        aliases=aliases or {},
        numbered=tuple(numbered),
        reason=reason,
    )


def text(default: str, meaning: str) -> Setting:
    """Any text."""
    return Setting(str, default, meaning)


def name(default: str, text: str) -> Setting:
    """The name of a file or a folder below a certain other one. It is text: nothing in it is expanded."""
    return Setting(str, default, text, is_name=True)


def path(default: str, text: str, *, needed: bool = False) -> Setting:
    """A file or a folder; '' is none, where it is not `needed`."""
    return Setting(str, default, text, is_path=True, needed=needed)


def listing(
    default: Sequence, text: str, item: Setting, lengths: Sequence[int] = (), *, shortest: int = 0
) -> Setting:
    """A list of items that are alike."""
    return Setting(list, list(default), text, item=item, lengths=tuple(lengths), shortest=shortest)


def record(text: str, fields: Mapping[str, Setting], required: Sequence[str] = ()) -> Setting:
    """A mapping with entries of its own, some of them required: an item of a list. Nothing is added to it."""
    return Setting(dict, {}, text, fields=fields, required=tuple(required))


Tree = Mapping[str, "Setting | Tree"]


def flattened(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """('section.name', setting) of all settings of a tree, in its order."""
    for name, entry in tree.items():
        if isinstance(entry, Setting):
            yield prefix + name, entry
        else:
            yield from flattened(entry, f"{prefix}{name}.")
