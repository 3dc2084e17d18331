"""`--part K/N`: which part of the work a process does, where a queue or several hosts run one command N times."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from ascendcv.utils.errors import InputError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, counted from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def label(self) -> str:
        """What files of this part are called after: 'part-2-of-8'."""
        return f"part-{self.number}-of-{self.count}"

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The items of this part, in their order: every `count`-th; parts differ by one at most.

        >>> Part(2, 3).of("abcdefg")
        ['b', 'e']
        """
        return list(items[self.number - 1 :: self.count])


def read_part(text: str | None) -> Part | None:
    """`--part K/N`, such as 3/8; None: all of the work. Raises `InputError` for anything else."""
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--part should be K/N, such as 3/8: part 3 of 8, counted from 1; not {text!r}")
    return Part(int(found[1]), int(found[2]))


def add_part_option(parser: argparse._ActionsContainer) -> None:
    """`--part`, read by `read_part`."""
    text = "do part K of N, for a job array or any queue that runs all of them"
    parser.add_argument("--part", metavar="K/N", help=text)
