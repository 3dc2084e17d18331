"""Settings: what a value or a text means to them, and what they refuse."""

import math
from pathlib import Path

import pytest

from ascendcv.utils.setting import (
    flag,
    integer,
    listing,
    literal_path,
    name,
    number,
    path,
    record,
    text,
    word,
)

COUNT = integer(1, "a count", low=1, high=16)
ALL_OR_COUNT = integer(-1, "a count, -1 for all", low=1, also=(-1,))
SIDE = integer(1, "pixels", low=1)
GROUP = record("a group", {"pattern": text("", "a name"), "factor": number(1.0, "a factor")}, required=("pattern",))


@pytest.mark.parametrize(
    ("setting", "written", "value"),
    [
        (COUNT, "010", 10),  # which YAML 1.1 read as eight
        (COUNT, "1e1", 10),
        (COUNT, "16.0", 16),
        (COUNT, " 4 ", 4),
        (ALL_OR_COUNT, "-1", -1),
        (integer(None, "perhaps", optional=True), "None", None),
        (integer(None, "perhaps", optional=True), "~", None),
        (number(1.0, "a factor"), "1", 1.0),
        (number(1.0, "a factor"), "1e-4", 1e-4),
        (number(1.0, "a factor"), ".5", 0.5),
        (number(0.0, "a step", also=(math.inf,)), ".inf", math.inf),
        (flag(False, "whether"), "true", True),
        (flag(False, "whether"), "Yes", True),
        (flag(True, "whether"), "off", False),
        (text("", "anything"), "off", "off"),
        (text("", "anything"), "1.10", "1.10"),
        (text("", "anything"), "1:30", "1:30"),
        (text("", "anything"), "null", "null"),
        (name("", "a folder"), "011", "011"),
        (name("", "a folder"), "$HOME", "$HOME"),
        (path("", "a file"), "None", ""),
        (path("", "a file"), "null", ""),
        (word("", "a choice", ("", "one")), "None", ""),
        (
            word("one", "a choice", ("one", "two words"), aliases={"two_words": "two words"}),
            "two_words",
            "two words",
        ),
    ],
)
def test_a_text_means_what_the_setting_wants(setting, written, value):
    read = setting.read_text(written)
    assert read == value
    assert type(read) is type(value)


def test_in_quotes_none_is_a_name():
    assert path("", "a file").read_text("None", quoted=True) == "None"


@pytest.mark.parametrize(
    ("setting", "value", "read"),
    [
        (COUNT, 4.0, 4),
        (number(1.0, "a factor"), 2, 2.0),
        (path("", "a file"), Path("/a/b"), "/a/b"),
        (path("", "a file"), None, ""),
        (path("", "a file"), "$HOME", "$HOME"),
        (text("", "anything"), 30, "30"),
        (listing([1], "sizes", SIDE, (2,)), (3, 4.0), [3, 4]),
        (listing([], "names", name("", "a name")), ["000", 11], ["000", "11"]),
        (listing([], "groups", GROUP), [{"pattern": "a", "factor": 2}], [{"pattern": "a", "factor": 2.0}]),
    ],
)
def test_an_object_becomes_what_the_setting_holds(setting, value, read):
    assert setting.read(value) == read


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        (COUNT, 0, "is 0; it should be from 1 to 16"),
        (COUNT, 17, "is 17; it should be from 1 to 16"),
        (COUNT, 1.5, "should be a whole number, not 1.5; from 1 to 16"),
        (COUNT, True, "should be a whole number, not True"),
        (COUNT, math.nan, "should be a whole number, not nan"),
        (COUNT, "many", "should be a whole number, not 'many'"),
        (COUNT, "1_0", "should be a whole number, not '1_0'"),
        (COUNT, "0x1", "should be a whole number, not '0x1'"),
        (COUNT, "", "should be a whole number, not nothing"),
        (COUNT, "9" * 6000, "should be a whole number, not '999"),
        pytest.param(COUNT, 10**6000, "a number of too many digits", id="ten to the 6000"),
        (ALL_OR_COUNT, -2, "from 1 to 2147483647, or -1"),
        (integer(1, "fixed", choices=(1,), reason="there is one"), 2, "is 2; it should be 1: there is one"),
        (number(1.0, "a factor"), ".nan", "is nan; it should be from 0 on"),
        (number(1.0, "a factor"), math.inf, "is inf; it should be from 0 on"),
        (number(1.0, "a factor", above=0.0, high=1.0), 0, "is 0.0; it should be above 0 and up to 1"),
        (number(0.5, "a decay", high=0.9999999), 1.0, "from 0 to 0.9999999"),
        pytest.param(number(1.0, "a factor"), 10**400, "should be a number, not 1000", id="ten to the 400"),
        (flag(False, "whether"), "maybe", "should be True or False, not 'maybe'"),
        (flag(False, "whether"), 1, "should be True or False, not 1"),
        (word("a", "a choice", ("a", "b")), "c", "is 'c'; it should be one of: a, b"),
        (word("v2", "a version", ("v2",), reason="it has no other"), "v1", "is 'v1'; it should be v2: it has no"),
        (text("", "anything"), "a\0b", "no control characters"),
        (text("", "anything"), "\ud800", "no Unicode text"),
        (text("", "anything"), "x" * 5000, "at most 4096 characters, not 5000"),
        (text("", "anything"), ["a"], r"should be text, not \['a'\]"),
        (name("", "a folder"), "x" * 300, "a name in a path can have 255 bytes"),
        (path("", "a file"), "a\nb", "no control characters"),
        (listing([1, 1], "sizes", SIDE, (2,)), [1], r"should be a list of 2, .*, not \[1\]"),
        (listing([1, 1], "sizes", SIDE, (2,)), [1, 0], "has an item that is 0; it should be from 1"),
        (listing([], "groups", GROUP), [{"factor": 1}], "has no pattern"),
        (listing([], "groups", GROUP), [{"pattern": "a", "rate": 1}], "has 'rate'; it should have pattern, factor"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(setting, value, message):
    with pytest.raises(ValueError, match=message) as error:
        setting.read(value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_home_and_variables_in_a_path_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("SCRATCH", "/scratch/~$HOME")
    file = path("", "a file")
    assert file.read_text("~/a/$$HOME") == "/home/me/a/$HOME"
    assert file.read_text("${SCRATCH}2/$SCRATCH.x") == "/scratch/~$HOME2//scratch/~$HOME.x"
    assert file.read_text("costs 5 $") == "costs 5 $"
    with pytest.raises(ValueError, match=r"is '\$NOWHERE/a', and \$NOWHERE is not set"):
        file.read_text("$NOWHERE/a")


@pytest.mark.parametrize("file", ["/a/b", "~/a", "$HOME", "a$$b", "~", "costs ${X}"])
def test_a_literal_path_is_read_as_itself(file):
    assert Path(path("", "a file").read_text(literal_path(file))) == Path(file)
