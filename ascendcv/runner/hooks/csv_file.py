"""`log.csv`: what the log line tells and what other hooks find, for spreadsheets and plots."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ascendcv.runner.hooks.hook import Hook
from ascendcv.utils.files import atomic_path


class CsvFile(Hook):
    """Adds a row to `path` whenever `trainer.scalars` holds something; a new scalar adds a column.

    A run that is continued keeps the rows up to its step.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._columns: list[str] = []

    def start(self, trainer) -> None:
        rows = [row for row in read_rows(self.path) if int(row["step"]) <= trainer.step]
        self._columns = list(rows[0]) if rows else ["step"]
        write_rows(self.path, rows, self._columns)

    def after_batch(self, trainer) -> None:
        if not trainer.scalars:
            return
        new = [name for name in trainer.scalars if name not in self._columns]
        if new:
            self._columns += new
            write_rows(self.path, read_rows(self.path), self._columns)
        row = {"step": trainer.step, **trainer.scalars}
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)


def read_rows(path: str | os.PathLike) -> list[dict[str, str]]:
    """The complete rows of a `log.csv` (a killed run may cut off the last one); [] without the file."""
    try:
        text = Path(path).read_text()
    except FileNotFoundError:
        return []
    complete = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(complete.splitlines()))


def write_rows(
    path: str | os.PathLike, rows: Sequence[Mapping[str, object]], columns: Sequence[str] | None = None
) -> None:
    """Writes a whole CSV file; without `columns` it has all that occur in a row, in order of appearance."""
    columns = columns or list(dict.fromkeys(name for row in rows for name in row))
    with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
