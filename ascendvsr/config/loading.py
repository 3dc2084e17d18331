"""YAML files and KEY VALUE overrides -> one checked tree."""

import copy
import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendcv.utils.setting import NONE, Setting, literal_path, shown
from ascendvsr.config import nodes
from ascendvsr.config.files import find_file, read_file, show
from ascendvsr.config.nodes import Node, Scalar, read_nodes
from ascendvsr.config.schema import schema, sections, settings

COMMAND_LINE = "the command line"
_MOST_BASES = 20


def load_config(
    path: str | os.PathLike | None = None,
    overrides: Sequence[str] = (),
    settings: Mapping[str, object] = MappingProxyType({}),
) -> CfgNode:
    """The defaults, changed by a YAML file, by `settings` and then by `overrides`, frozen.

    `path` is that of a file, or the name of one of the project's own, such as edvr/edvr_m_x4_sr_reds. A file may
    say `base: OTHER.yaml` (relative to itself, or such a name) and only what differs from it. `settings` is
    {'edvr.mid_channels': 64, ...}; `overrides` is a command line's KEY VALUE KEY VALUE ...

    The key decides what a text means: names stay as they stand (`010`, `yes`, `1.10`), numbers are decimal. In
    paths `~` and `$VARIABLE` are expanded; `$$` is a dollar sign, and None is no path.

    Raises `InputError` for a file that cannot be read, an unknown key (naming the nearest valid one), one that
    stands twice and a value that the key does not allow: one line with the key, the value, where it stands and what
    would be right.
    """
    if len(overrides) % 2:
        raise InputError(f"overrides come as KEY VALUE pairs; {overrides[-1]!r} has no value")
    given = _read_file(find_file(path)) if path is not None else {}
    given |= {key: Given(_read(key, value, "these settings"), "these settings") for key, value in settings.items()}
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        given[key] = Given(_read(key, text, COMMAND_LINE), COMMAND_LINE)
    config = defaults()
    for key, (value, _) in given.items():
        _set(config, key, value)
    _check(config, {key: place for key, (_, place) in given.items()})
    config.freeze()
    return config


class Given(NamedTuple):
    """A value that is not the default, and where it stands."""

    value: Any
    place: str


def defaults() -> CfgNode:
    """The tree of all settings with their default values."""

    def node(tree) -> CfgNode:
        return CfgNode(
            {
                name: copy.deepcopy(entry.default) if isinstance(entry, Setting) else node(entry)
                for name, entry in tree.items()
            }
        )

    return node(schema())


def save_config(config: CfgNode, path: str | os.PathLike) -> None:
    """Writes the whole tree as YAML; `load_config` of that file gives it back."""

    def plain(tree: Mapping, entries: CfgNode) -> dict:
        return {
            name: (
                (literal_path(entries[name]) if entry.is_path else entries[name])
                if isinstance(entry, Setting)
                else plain(entry, entries[name])
            )
            for name, entry in tree.items()
        }

    with atomic_path(path) as temporary:
        temporary.write_text(yaml.dump(plain(schema(), config), Dumper=_Dumper, sort_keys=False))


class _Dumper(yaml.SafeDumper):
    """Writes YAML of which `read_nodes` gives the same text back."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    # A name like None is quoted, for without quotes it is none.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if text in NONE else None)


_Dumper.add_representer(str, _represent_text)


def _read_file(path: Path, above: Sequence[Path] = ()) -> dict[str, Given]:
    """{'data.num_threads': Given(8, ...), ...} of a file and of its bases; it is a base of the files `above`."""
    real = path.resolve()
    if real in above:
        chain = " -> ".join(show(file) for file in (*above[above.index(real) :], real))
        raise InputError(f"{show(path)} is its own base: {chain}")
    if len(above) == _MOST_BASES:
        raise InputError(f"{show(path)} is a base of a base, and so on, of more than {_MOST_BASES} files")
    source = show(path)
    tree = read_nodes(read_file(path), source)
    if _is_none(tree):
        return {}
    if not isinstance(tree, nodes.Mapping):
        found = "a list" if isinstance(tree, nodes.Sequence) else shown(tree.text)
        raise InputError(f"{source} should hold `key: value` lines, not {found}")
    lines: dict[str, int] = {}
    for key, line, _ in tree.entries:
        _once(lines, key, line, source)
    based_on: dict[str, Given] = {}
    for key, line, node in tree.entries:
        if key == "base" and not _is_none(node):
            based_on = _read_file(_find_base(node, path, f"{source}, line {line}"), (*above, real))
    return based_on | _read_section([entry for entry in tree.entries if entry[0] != "base"], "", source, {})


def _find_base(node: Node, path: Path, place: str) -> Path:
    """The file that `base` in the file `path` means."""
    if not isinstance(node, Scalar):
        raise InputError(f"base should be the path of one file, not {_described(node)} ({place})")
    try:
        return find_file(node.text, beside=path.parent)
    except InputError as error:
        raise InputError(f"{error} (base of {place})") from None


def _read_section(
    entries: Sequence[tuple[str, int, Node]], prefix: str, source: str, lines: dict[str, int]
) -> dict[str, Given]:
    """The settings of a section. `lines` are those in which keys and sections stand, to find what stands twice."""
    values = {}
    for name, line, node in entries:
        key = prefix + name
        _once(lines, key, line, source)
        if key not in sections():
            place = f"{source}, line {line}"
            values[key] = Given(_read(key, node, place), place)
        elif isinstance(node, nodes.Mapping):
            values |= _read_section(node.entries, f"{key}.", source, lines)
        elif not _is_none(node):
            raise InputError(
                f"{key} is a section, which has settings, not {_described(node)} ({source}, line {line})"
            )
    return values


def _once(lines: dict[str, int], key: str, line: int, source: str) -> None:
    if key in lines:
        what = "section" if key in sections() else "key"
        raise InputError(
            f"the {what} {shown(key)} stands twice in {source}: in line {lines[key]} and in line {line}"
        )
    lines[key] = line


def _read(key: str, value: object, place: str) -> Any:
    """The value of a setting: a node of a file, a text of the command line, or an object as it is."""
    setting = settings().get(key)
    if setting is None:
        nearest = difflib.get_close_matches(str(key)[:200], settings(), n=1, cutoff=0.0)[0]
        raise InputError(f"unknown key {shown(key)} in {place}; the nearest one is {nearest!r}")
    try:
        if isinstance(value, str) and setting.kind in (list, dict):
            value = read_nodes(value, f"{key} ({place})")
        elif isinstance(value, str):
            return setting.read_text(value)
        return _read_node(setting, value) if isinstance(value, Node) else setting.read(value)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{key} {error} ({place})") from None


def _read_node(setting: Setting, node: Node) -> Any:
    """What a node means to a setting. Raises ValueError as `Setting.read` does."""
    if isinstance(node, Scalar) and setting.kind not in (list, dict):
        return setting.read_text(node.text, node.quoted)
    if isinstance(node, nodes.Sequence) and setting.kind is list:
        items = []
        for number, item in enumerate(node.items, 1):
            try:
                items.append(_read_node(setting.item, item))
            except ValueError as error:
                raise ValueError(f"has an item (number {number}) that {error}") from None
        return setting.of_items(items)
    if isinstance(node, nodes.Mapping) and setting.kind is dict:
        values = {}
        for name, _, entry in node.entries:
            if name in values:
                raise ValueError(f"has {shown(name)} twice")
            field = setting.field(name)
            try:
                values[name] = _read_node(field, entry)
            except ValueError as error:
                raise ValueError(f"has {shown(name)}, which {error}") from None
        return setting.of_fields(values)
    raise setting.wrong_type(_described(node))


def _is_none(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.quoted and node.text in NONE


def _described(node: Node) -> str:
    """A node in a message."""
    if isinstance(node, Scalar):
        return shown(node.text) if node.text else "nothing"
    return "a list" if isinstance(node, nodes.Sequence) else "a section"


def _set(config: CfgNode, key: str, value: object) -> None:
    *parents, name = key.split(".")
    for parent in parents:
        config = config[parent]
    config[name] = value


def _check(config: CfgNode, places: Mapping[str, str]) -> None:
    """What settings want of each other, whatever the command; `places` say where those that are given stand."""
    schedule = config.solver.lr_schedule
    periods, weights = len(schedule.total_steps), len(schedule.restart_weights)
    if ("Restart" in schedule.type or schedule.type == "CA") and periods != weights:
        keys = ("solver.lr_schedule.total_steps", "solver.lr_schedule.restart_weights")
        stand = "; ".join(f"{key.rpartition('.')[2]}: {places.get(key, 'the default')}" for key in keys)
        raise InputError(
            f"{keys[0]} and restart_weights should have one entry a period, not {periods} and {weights} ({stand})"
        )
    if len(set(config.device_ids)) < len(config.device_ids):
        raise InputError(
            f"device_ids is {shown(config.device_ids)}; it should name a device once "
            f"({places.get('device_ids', 'the default')})"
        )
