"""What training programs put around a network's weights: dicts in dicts, averages beside them, prefixes of names.

Several of these lie in one another: a checkpoint has `ema`, that has `state_dict`, whose names all begin with
`module.generator.`. Which of the weights themselves and their moving average is taken, `weights` says: 'raw',
'ema', or 'auto', which is the average where there is one, because that is what the programs evaluate.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ascendcv.utils.errors import InputError

CHOICES = ("auto", "raw", "ema")

# Keys of a checkpoint under which programs keep a network, the one that is taken first before others.
_KEYS = (
    *("params", "state_dict", "model_state_dict", "model", "network", "module", "weights"),
    *("checkpoint", "net", "model_state"),
)
# What they put before all names. A program that trains an adversary calls the restoring network a generator.
_PREFIXES = {
    *("module", "_orig_mod", "model", "network", "Network", "net", "netG", "net_g", "generator"),
    *("online_model", "params", "state_dict"),
}
# How many steps or averages there have been, as a tensor beside the weights.
_COUNTERS = {
    *("n_averaged", "steps", "step_counter", "num_updates", "decay", "initted", "step"),
}
_COUNTER_OF_AVERAGES = "n_averaged"

_AVERAGE = {
    *("ema", "swa", "averaged", "average", "avg", "shadow"),
}
_NO_NETWORK = {
    *("optimizer", "optimizers", "optim", "optimizer_states", "optimizer_state_dict", "optimizer_g"),
    *("optimizer_d", "scheduler", "schedulers", "lr_scheduler", "lr_schedulers", "param_schedulers"),
    *("scaler", "amp", "rng_state", "message_hub", "hparams", "args", "config", "meta"),
}
_MAX_NESTING = 6
_MAX_ITEMS = 500_000  # that are looked at, because a dict may lie in many, or in itself


class Found(NamedTuple):
    """Weights by name, and what they are: '' where the file has nothing else, or a few words."""

    arrays: dict[str, Any]
    kind: str = ""  # 'raw' or 'ema' where the file says which
    words: str = ""


def check_choice(weights: str) -> None:
    """Raises `InputError` for another word than `CHOICES`."""
    if weights not in CHOICES:
        raise InputError(f"`weights` is {weights!r}; it should be one of {', '.join(CHOICES)}")


def find_network(tree: Any, is_array: Callable[[object], bool], source: str, weights: str = "auto") -> Found:
    """The arrays of the one network in nested dicts, by name.

    Args:
        tree: what the file holds.
        is_array: whether a value is a weight.
        source: names the file in messages.
    Raises:
        InputError: no network, several, or not the chosen kind of weights.
    """
    networks = _networks(tree, is_array, source)
    averages = {keys: arrays for keys, arrays in networks.items() if _is_average(keys, tree)}
    raw = {keys: arrays for keys, arrays in networks.items() if keys not in averages}
    if averages and weights != "raw":
        keys = _most_likely(averages, source)
        rest = ", not the weights themselves" if raw else ""
        return Found(averages[keys], "ema", f"the moving average{_named([keys])}{rest}")
    if raw:
        keys = _most_likely(raw, source)
        if not averages:
            return Found(raw[keys])
        return Found(raw[keys], "raw", f"the weights{_named([keys])}, not the moving average{_named(averages)}")
    if averages:
        raise _only_averages(source, _named(averages))
    raise InputError(f"{source} holds no tensors under names{_described(tree)}: it is no network's state dict")


def _networks(tree: Any, is_array: Callable[[object], bool], source: str) -> dict[tuple[str, ...], dict]:
    """All dicts with arrays, by the keys that lead to them. A few numbers make no network."""
    found, visited = {}, 0

    def visit(node: dict, keys: tuple[str, ...]) -> None:
        nonlocal visited
        visited += 1 + len(node)
        if visited > _MAX_ITEMS:
            raise InputError(f"{source} is refused: its dicts hold more than {_MAX_ITEMS:,} items")
        arrays = {name: value for name, value in node.items() if isinstance(name, str) and is_array(value)}
        if any(len(value.shape) for value in arrays.values()):
            found[keys] = arrays
        if len(keys) < _MAX_NESTING:
            for key, value in node.items():
                if isinstance(value, dict) and isinstance(key, str) and key not in _NO_NETWORK:
                    visit(value, (*keys, key))

    if isinstance(tree, dict):
        visit(tree, ())
        # Numbers alone are a network only where there is nothing else.
        if not found and (arrays := {name: value for name, value in tree.items() if is_array(value)}):
            found[()] = arrays
    return found


def _is_average(keys: tuple[str, ...], tree: Mapping) -> bool:
    meta = tree.get("meta")
    if keys[:1] in (("state_dict",), ("ema_state_dict",)) and isinstance(meta, dict) and "mmengine_version" in meta:
        # MMEngine exchanges both when it saves a run that averages, so that `state_dict` is what it evaluates.
        return keys[0] == "state_dict" and "ema_state_dict" in tree
    return any(_names_average(key) for key in keys)


def _names_average(key: str) -> bool:
    return not _AVERAGE.isdisjoint(_words(key))


def _words(key: str) -> list[str]:
    return re.split(r"[_\-.]", key.lower())


def _most_likely(networks: Mapping[tuple[str, ...], dict], source: str) -> tuple[str, ...]:
    """The keys of the network: under names of `_KEYS`, else at the top, else the only one."""
    usual = [keys for keys in networks if keys and all(_rank(key) is not None for key in keys)]
    if usual:
        return min(usual, key=lambda keys: [_rank(key) for key in keys])
    if () in networks:
        return ()
    if len(networks) > 1:
        names = ", ".join(".".join(keys) for keys in networks)
        raise InputError(f"{source} holds several networks ({names}): save the one you want alone")
    return next(iter(networks))


def _rank(key: str) -> int | None:
    """The place of a key in `_KEYS`, whatever it says of averages; None for others."""
    plain = "_".join(word for word in _words(key) if word not in _AVERAGE)
    return -1 if not plain else _KEYS.index(plain) if plain in _KEYS else None


def _named(networks: Iterable[tuple[str, ...]]) -> str:
    names = " and ".join(".".join(keys) for keys in networks if keys)
    return f" {names}" if names else ""


def _described(tree: object) -> str:
    name = getattr(tree, "name", "")
    if name:
        return f", but an object of the class {name}; save its state_dict()"
    return f" (its keys: {', '.join(map(str, tree))[:200]})" if isinstance(tree, dict) else ""


def _only_averages(source: str, names: str) -> InputError:
    return InputError(f"{source} holds the moving average alone ({names.strip()}): leave --weights raw out")


def without_prefixes(found: Found, source: str, weights: str = "auto") -> Found:
    """The same arrays under the network's own names.

    Prefixes that all names have are removed, as often as there are any. Where half of the names begin with what
    means a moving average, `weights` chooses. Counters are dropped. Raises `InputError` where there is not what
    `weights` asks for.
    """
    arrays, kind, words = found
    while True:
        counters = {name for name, array in arrays.items() if name in _COUNTERS and array.size == 1}
        if len(counters) == len(arrays):
            break
        if _COUNTER_OF_AVERAGES in counters and not kind:
            kind, words = "ema", f"a moving average ({_COUNTER_OF_AVERAGES})"
        arrays = {name: array for name, array in arrays.items() if name not in counters}
        firsts = dict.fromkeys(name.partition(".")[0] if "." in name else "" for name in arrays)
        averages = [first for first in firsts if _names_average(first)]
        others = [first for first in firsts if first not in averages]
        if len(averages) > 1 or len(others) > 1 or not {*others} <= _PREFIXES:
            break
        if averages and others and kind:
            break
        taken = (averages or others)[0] if weights != "raw" else (others or averages)[0]
        if averages and not kind:
            kind = "ema" if taken in averages else "raw"
            rest = f", not {(others if kind == 'ema' else averages)[0]}" if others else ""
            words = f"the {'moving average' if kind == 'ema' else 'weights'} {taken}{rest}"
        arrays = {
            name.removeprefix(f"{taken}."): each for name, each in arrays.items() if name.startswith(f"{taken}.")
        }
    if weights == "raw" and kind == "ema":
        raise _only_averages(source, words)
    if weights == "ema" and kind != "ema":
        raise InputError(f"{source} holds no moving average of weights: leave --weights ema out")
    return Found(arrays, kind, words)
