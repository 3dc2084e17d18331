"""The command `settings`: finds settings and explains them; writes docs/settings.md and a JSON schema."""

import argparse
import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import NONE, Setting, Tree
from ascendvsr.config.schema import schema, settings

INTRODUCTION = """# Settings

`ascendvsr settings --markdown` writes this page; `ascendvsr settings WORD` searches it; `ascendvsr settings
--json-schema` writes a schema by which editors check and complete configuration files.

A configuration file holds settings by section:

    base: edvr/edvr_m_x4_sr_reds      # another file, or the name of one in configs/: say only what differs from it
    output_dir: $HOME/runs/mine
    data: {data_dir: ~/data/REDS, train_batch_size: 8}
    solver:
      lr_schedule: {base_lr: 2e-4, total_steps: [1e4, 2e4], restart_weights: [1, 0.5]}

`--config` names a file or one in `configs/`; on the command line `data.train_batch_size 8` changes one setting.
Values are read alike in both places, as the setting they are given to wants them:

- numbers are decimal (`010` is ten, `1e4` is 10000) and within the range below;
- names and other texts are what stands there: `010`, `yes`, `null` and `1.10` stay as they are;
- in paths `~` and `$VARIABLE` are expanded, `$$` is a dollar sign, and `None` is no path;
- a key or a section that stands twice, an unknown key and a value out of its range are refused.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="a word of a setting's name or explanation")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="write docs/settings.md: all settings")
    form.add_argument("--json-schema", action="store_true", help="write a JSON schema for editors")


def explain(arguments: argparse.Namespace) -> None:
    """Prints what was asked for. Raises `InputError` where no setting has all of the words."""
    if arguments.markdown:
        print(markdown(), end="")
    elif arguments.json_schema:
        print(json.dumps(json_schema(), indent=1))
    else:
        print("\n\n".join(paragraph(key, setting) for key, setting in found(arguments.words).items()))


def found(words: Sequence[str]) -> dict[str, Setting]:
    """The setting of this name, or those with all of the words in their names, explanations or values.

    Raises `InputError` where there is none, with names that are near.
    """
    known = settings()
    if len(words) == 1 and words[0] in known:
        return {words[0]: known[words[0]]}
    matches = {
        key: setting
        for key, setting in known.items()
        if all(word.lower() in f"{key} {setting.text} {setting.description()}".lower() for word in words)
    }
    if not matches:
        names = {key.rpartition(".")[2]: key for key in known} | {key: key for key in known}
        alike = difflib.get_close_matches(words[-1][:200], names, n=3, cutoff=0.0)
        near = ", ".join(dict.fromkeys(names[name] for name in alike))
        raise InputError(f"no setting has {' and '.join(map(repr, words))}; near ones are {near}")
    return matches


def paragraph(key: str, setting: Setting) -> str:
    """A setting for the terminal: its name and default, what it means and which values it takes."""
    return f"{key}: {written(setting.default)}\n    {setting.text}\n    {setting.description()}"


def markdown() -> str:
    """The page docs/settings.md."""
    return "\n".join([INTRODUCTION, *_tables(schema(), "")])


def json_schema() -> dict[str, Any]:
    """A JSON schema (draft 2020-12) of configuration files."""
    entries = _entries(schema())
    entries["base"] = {
        "type": ["string", "null"],
        "description": "another file, from which this one says what differs",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A configuration of ascendvsr",
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": entries,
    }


def written(value: object) -> str:
    """A value as it is written in a configuration."""
    if value == "":
        return "''"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


def _tables(tree: Tree, section: str) -> list[str]:
    """The lines of a section: its own settings in a table, then the sections in it."""
    own = {name: entry for name, entry in tree.items() if isinstance(entry, Setting)}
    lines = []
    if own:
        level = "#" * (2 + section.count("."))
        lines = [f"{level} {section or 'General'}", "", "| key | default | values | meaning |", "|---|---|---|---|"]
        for name, setting in own.items():
            cells = f"`{name}`", f"`{written(setting.default)}`", setting.description(), setting.text
            lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
        lines.append("")
    for name, entry in tree.items():
        if not isinstance(entry, Setting):
            lines += _tables(entry, f"{section}.{name}" if section else name)
    return lines


def _entries(tree: Tree) -> dict[str, Any]:
    return {
        name: _of_setting(entry)
        if isinstance(entry, Setting)
        else {"type": ["object", "null"], "additionalProperties": False, "properties": _entries(entry)}
        for name, entry in tree.items()
    }


def _of_setting(setting: Setting) -> dict[str, Any]:
    return {"description": setting.text, "default": setting.default} | _values(setting)


def _values(setting: Setting) -> dict[str, Any]:
    """Which values a setting takes. Editors read a text like 010 as a number: texts may look like anything."""
    if setting.kind is list:
        lengths = setting.lengths and {"minItems": min(setting.lengths), "maxItems": max(setting.lengths)}
        return {"type": "array", "items": _values(setting.item)} | (lengths or {})
    if setting.kind is dict:
        fields = {name: _of_setting(field) for name, field in setting.fields.items()}
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": fields,
            "required": list(setting.required),
        }
    if setting.kind is bool:
        return {"type": "boolean"}
    if setting.kind is str:
        if setting.choices:
            none = [None, *NONE[1:]] if "" in setting.choices else []
            off = [False] if "off" in setting.choices else []
            flags = [value for value in (True, False) if str(value) in setting.aliases]
            words = {"enum": [*setting.choices, *setting.aliases, *none, *off, *flags]}
            if not setting.numbered:
                return words
            return {"anyOf": [words, {"type": "string", "pattern": rf"^({'|'.join(setting.numbered)}):[0-9]+$"}]}
        return {"type": ["string", "number", "boolean", "null"]}
    if setting.choices:
        return {"enum": list(setting.choices)}
    return _number(setting)


def _number(setting: Setting) -> dict[str, Any]:
    bounds: Mapping[str, Any] = {
        "minimum": setting.low,
        "exclusiveMinimum": setting.above,
        "maximum": setting.high,
    }
    kind = "integer" if setting.kind is int else "number"
    number = {"type": kind} | {name: bound for name, bound in bounds.items() if bound is not None}
    others = [value for value in setting.also if value != float("inf")] + [None] * setting.optional
    if float("inf") in setting.also:
        others += [".inf"]
    return {"anyOf": [number, {"enum": others}]} if others else number
