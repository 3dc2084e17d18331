"""The whole schema: what every key refuses, in a file and on the command line."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import Setting
from ascendvsr.config import load_config, save_config
from ascendvsr.config.schema import sections, settings
from ascendvsr.models import CARDS

SETTINGS = settings()

# Of the wrong type for most keys, or not readable at all. A key may take one of them, but then it means something.
ODD = (
    "",
    "~",
    "None",
    "no",
    "many words",
    "-1",
    "0",
    "1.5",
    "010",
    "0x_",
    "1_000",
    "2020-13-45",
    "1:30",
    ".nan",
    "-.inf",
    "1e999",
    "9" * 6000,
    "x" * 10_000,
    "[]",
    "[a, 1, .nan]",
    "[[1, 1], [1, 1]]",
    "[" * 100,
    "[" + "1, " * 300 + "1]",
    "{a: 1}",
    "{pattern: a}",
    "*a",
    "&a [*a]",
    "!!float 1",
    "$NOT_SET_HERE",
    "'",
    "\t",
    "\ud800",
    "\u2028\x85",
)


def outside(setting: Setting) -> Iterator[str]:
    """Texts of numbers just outside of the range of a setting, or of its items."""
    if setting.kind is list:
        length = setting.lengths[-1] if setting.lengths else max(setting.shortest, 1)
        for number in outside(setting.item):
            yield f"[{', '.join([number] * length)}]"
        for wrong in {length - 1, length + 1} - set(setting.lengths):
            if setting.lengths:
                yield str([setting.item.default] * wrong)
    elif setting.kind in (int, float):
        step = 1 if setting.kind is int else 0.0
        for bound, direction in ((setting.low, -1), (setting.high, 1), (setting.above, 0)):
            if bound is None:
                continue
            number = bound + direction * step if step else math.nextafter(bound, bound + direction * math.inf)
            if direction == 0:
                number = bound
            if not setting.choices and number not in setting.also:
                yield repr(number)
        yield from (".nan", "-.inf") if setting.also else (".nan", ".inf", "-.inf")


def refusal(load) -> str | None:
    """What `load` refuses with; None where it does not. Anything but an `InputError` comes through."""
    try:
        load()
    except InputError as error:
        return str(error)
    return None


def nested(key: str, text: str) -> str:
    """The file that gives a key this text."""
    *parents, name = key.split(".")
    return "".join(f"{'  ' * depth}{part}:\n" for depth, part in enumerate(parents)) + (
        f"{'  ' * len(parents)}{name}: {text}\n"
    )


@pytest.mark.parametrize("key", SETTINGS)
def test_the_default_is_allowed_and_explained(key):
    setting = SETTINGS[key]
    assert setting.read(setting.default) == setting.default
    assert setting.text
    assert "\n" not in setting.text
    assert setting.description()
    if setting.kind is float or (setting.kind is int and not setting.choices):
        assert setting.low is not None or setting.above is not None, "every number has a range"


@pytest.mark.parametrize("key", SETTINGS)
def test_numbers_outside_of_the_range_are_refused(key, tmp_path):
    file = tmp_path / "a.yaml"
    for text in outside(SETTINGS[key]):
        said = refusal(lambda text=text: load_config(None, [key, text]))
        assert said, f"{key} takes {text}"
        assert said.startswith(key)
        assert said.endswith("(the command line)")
        file.write_text(nested(key, text))
        said = refusal(lambda: load_config(file))
        assert said, f"{key} takes {text} in a file"
        assert said.startswith(key)
        assert said.endswith(f"({file}, line {1 + key.count('.')})")


@pytest.mark.parametrize("key", SETTINGS)
def test_whatever_is_given_is_refused_in_a_line_or_harmless(key, tmp_path):
    for number, text in enumerate(ODD):
        file = tmp_path / f"{number}.yaml"
        file.write_text(nested(key, text), errors="surrogatepass")
        for source, load in (
            ("the command line", lambda text=text: load_config(None, [key, text])),
            (str(file), lambda file=file: load_config(file)),
        ):
            said = refusal(lambda load=load: accepted(key, load(), tmp_path))
            if said is not None:
                assert source in said
                assert len(said.splitlines()) == 1
                assert len(said) < 1000


def accepted(key: str, config, folder: Path) -> None:
    """A configuration that was taken holds a value of the key's type and range, and can be saved and read again."""
    value = config
    for name in key.split("."):
        value = value[name]
    setting = SETTINGS[key]
    assert setting.read(value) == value
    if value != setting.default:
        save_config(config, folder / "saved.yaml")
        assert load_config(folder / "saved.yaml") == config


def test_sections_are_no_keys():
    assert not sections() & set(SETTINGS)
    for section in sections():
        assert refusal(lambda section=section: load_config(None, [section, "1"])).startswith("unknown key")


def test_a_network_cannot_hide_a_setting_of_another():
    trees = {}
    for card in CARDS:
        for name, tree in card.settings.items():
            assert trees.setdefault(name, tree) is tree, f"{card.name} has another section {name}"
