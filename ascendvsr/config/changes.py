"""Keys of a configuration that is loaded already, and changes of it."""

from collections.abc import Mapping
from typing import Any

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.config.schema import settings


def changed(cfg: CfgNode, values: Mapping[str, object]) -> CfgNode:
    """A copy of `cfg`, frozen, in which these keys have these values: {'edvr.mid_channels': 64, ...}.

    Raises `InputError` for a value that the key does not take.
    """
    copy, known = cfg.clone(), settings()
    copy.defrost()
    for key, value in values.items():
        *parents, name = key.split(".")
        node = copy
        for parent in parents:
            node = node[parent]
        try:
            node[name] = known[key].read(value)
        except ValueError as error:
            raise InputError(f"{key} {error}") from None
    copy.freeze()
    return copy


def valued(cfg: CfgNode, key: str) -> Any:
    """The value of 'section.name'."""
    value = cfg
    for name in key.split("."):
        value = value[name]
    return value
