"""How far a restoration is, and what takes the time."""

import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

_LINE_EVERY = 30.0  # seconds, where there is no terminal


@dataclass
class Rates:
    """Seconds that reading, computing and writing took, each on threads of its own, for `frames` frames."""

    frames: int = 0
    reading: float = 0.0
    computing: float = 0.0
    writing: float = 0.0

    def __str__(self) -> str:
        """Such as 'decoding 210, computing 3.1, encoding 95 frames/s'."""
        parts = {"decoding": self.reading, "computing": self.computing, "encoding": self.writing}
        rates = [f"{name} {self.frames / seconds:.3g}" for name, seconds in parts.items() if seconds > 0]
        return f"{', '.join(rates)} frames/s" if rates else ""


def timed(items: Iterable[Item], rates: Rates) -> Iterator[Item]:
    """Passes on what a source gives; the time that each takes counts as reading."""
    iterator = iter(items)
    while True:
        start = time.perf_counter()
        try:
            item = next(iterator)
        except StopIteration:
            return
        finally:
            rates.reading += time.perf_counter() - start
        yield item


def report_progress(items: Iterable[Item], total: int, name: str, rates: Rates | None = None) -> Iterator[Item]:
    """Passes on `items`; a bar with the remaining time on a terminal, a line every half minute elsewhere."""
    start = last = time.monotonic()
    with tqdm(desc=name, total=total or None, unit="frame", leave=False, disable=not sys.stderr.isatty()) as bar:
        for count, item in enumerate(items, start=1):
            yield item
            if rates is not None:
                bar.set_postfix_str(str(rates), refresh=False)
            bar.update()
            now = time.monotonic()
            if bar.disable and now - last > _LINE_EVERY:
                last, rate = now, count / (now - start)
                left = tqdm.format_interval((total - count) / rate) if total > count else "?"
                print(f"{name}: {count} of {total or '?'} frames, {rate:.2f} frames/s, {left} left", flush=True)
