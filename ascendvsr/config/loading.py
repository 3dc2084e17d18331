"""YAML files and KEY VALUE overrides -> one checked tree."""

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import yaml
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.config.defaults import CHOICES, DEFAULTS, FIXED, OPTIONAL_TYPES


def load_config(
    path: str | os.PathLike | None = None,
    overrides: Sequence[str] = (),
    settings: Mapping[str, object] = MappingProxyType({}),
) -> CfgNode:
    """The defaults, changed by a YAML file, by `settings` and then by `overrides`, frozen.

    A file may begin with `base: OTHER.yaml` (relative to itself) and say only what differs from it.
    `settings` is {'edvr.mid_channels': 64, ...}; `overrides` is a command line's KEY VALUE KEY VALUE ...
    Raises `InputError` for a file that cannot be read, an unknown key (naming the nearest valid one), a value
    of the wrong type or one that the key does not allow.
    """
    config = DEFAULTS.clone()
    if path is not None:
        for key, value in _read_yaml(Path(path)).items():
            _set(config, key, value, source=str(path))
    for key, value in settings.items():
        _set(config, key, value, source="these settings")
    if len(overrides) % 2:
        raise InputError(f"overrides come as KEY VALUE pairs; {overrides[-1]!r} has no value")
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        _set(config, key, text, source="the command line", parse=_parse)
    _check(config)
    config.freeze()
    return config


def save_config(config: CfgNode, path: str | os.PathLike) -> None:
    """Writes the whole tree as YAML; `load_config` of that file gives it back."""
    with atomic_path(path) as temporary:
        temporary.write_text(config.dump())


def _read_yaml(path: Path) -> dict[str, object]:
    """{'data.num_threads': 8, ...} of a file and of the files that it is based on."""
    try:
        tree = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"no configuration file {path}; the project's own are in configs/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the configuration file {path}: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{path} should hold `key: value` lines, not {type(tree).__name__}")
    base = tree.pop("base", None)
    settings = _read_yaml(path.parent / base) if base else {}
    return settings | _flatten(tree)


def _flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    flat = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _parse(text: str) -> object:
    """A command-line value, read as YAML reads it: 4 | True | [64, 64] | a word."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _keys(config: CfgNode, prefix: str = "") -> list[str]:
    keys = []
    for key, value in config.items():
        keys += _keys(value, f"{prefix}{key}.") if isinstance(value, CfgNode) else [f"{prefix}{key}"]
    return keys


def _set(config: CfgNode, key: str, value: object, source: str, parse: Callable | None = None) -> None:
    known = _keys(DEFAULTS)
    if key not in known:
        nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        raise InputError(f"unknown key {key!r} in {source}; the nearest one is {nearest[0]!r}")
    *parents, name = key.split(".")
    node, default = config, DEFAULTS
    for parent in parents:
        node, default = node[parent], default[parent]
    if parse is not None and not isinstance(default[name], str):
        value = parse(value)
    node[name] = _coerce(value, default[name], key, source)


def _coerce(value: object, default: object, key: str, source: str) -> object:
    """`value` as the type of `default`: whole numbers become floats, numbers written as 1e-4 too."""
    kind = OPTIONAL_TYPES.get(key, type(default))
    if key in OPTIONAL_TYPES and value is None:
        return None
    if isinstance(value, kind) and not (kind in (int, float) and isinstance(value, bool)):
        if kind is list and default:
            return [_coerce(item, default[0], key, source) for item in value]
        return value
    if kind is list and isinstance(value, tuple):
        return _coerce(list(value), default, key, source)
    if kind is str and value is None:
        return ""
    if kind is str and value is False:
        return "off"  # YAML reads the bare word as a truth value
    if kind is str and isinstance(value, int | float):
        return str(value)
    if kind is float and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    raise InputError(f"{key} in {source} should be {_kind_name(kind)}, not {value!r}")


def _kind_name(kind: type) -> str:
    names = {int: "a whole number", float: "a number", bool: "True or False", str: "a word", list: "a list"}
    return names[kind]


def _check(config: CfgNode) -> None:
    for key, allowed in CHOICES.items():
        value = _get(config, key)
        if value not in allowed:
            words = ", ".join(str(word) for word in allowed if word != "")
            raise InputError(f"{key} is {value!r}; it should be one of: {words}")
    for key, (only, reason) in FIXED.items():
        if _get(config, key) != only:
            raise InputError(f"{key} is {_get(config, key)!r}, which cannot be had: {reason}; use {only!r}")
    schedule = config.solver.lr_schedule
    restarts = "Restart" in schedule.type or schedule.type == "CA"
    if restarts and len(schedule.total_steps) != len(schedule.restart_weights):
        raise InputError(
            "solver.lr_schedule.total_steps and restart_weights should have one entry a period, not "
            f"{schedule.total_steps} and {schedule.restart_weights}"
        )


def _get(config: CfgNode, key: str) -> object:
    for name in key.split("."):
        config = config[name]
    return config
