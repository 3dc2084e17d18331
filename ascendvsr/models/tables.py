"""The tables of published weights in README.md and docs/networks.md, made of the records.

`python -m ascendvsr.models.tables` writes them between their marks; a test compares them.
"""

import re
from pathlib import Path

from ascendvsr.models import CARDS
from ascendvsr.models.card import Card
from ascendvsr.models.zoo import Record, Result, Shipped

_PROJECT = Path(__file__).resolve().parents[2]
_MARK = "<!-- published weights: written by python -m ascendvsr.models.tables -->"
_END = "<!-- end of published weights -->"


def networks() -> list[str]:
    """A row for each network that restores frames and has published weights."""
    rows = ["| network | task | parameters (millions) | a published result |", "|---|---|---|---|"]
    for card in CARDS:
        if card.restores and card.zoo:
            tasks = ", ".join(dict.fromkeys(re.split(",| of ", record.task)[0] for record in card.zoo))
            result = _best(card)
            rows.append(f"| {card.title} | {tasks} | {_parameters(card)} | {result or ''} |")
    return rows


def weights() -> list[str]:
    """A row for each file."""
    rows = [
        "| name | task | parameters | license | published | s per megapixel | from |",
        "|---|---|---|---|---|---|---|",
    ]
    for card in CARDS:
        for record in card.zoo:
            cells = (
                f"`{record.name}`",
                f"{card.title}: {record.task}",
                f"{record.parameters:,}" if record.parameters else "",
                record.license,
                "; ".join(map(str, record.results)),
                f"{record.seconds:.2g}" if record.seconds else "",
                _origin(record),
            )
            rows.append(f"| {' | '.join(cells)} |")
    return rows


TABLES = {"README.md": networks, "docs/networks.md": weights}


def with_table(text: str, rows: list[str]) -> str:
    """`text` with these rows between the marks. Raises ValueError where they are missing."""
    pattern = f"{re.escape(_MARK)}\n.*?{re.escape(_END)}"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise ValueError(f"there are no marks {_MARK} ... {_END}")
    table = "\n".join([_MARK, "", *rows, "", _END])
    return re.sub(pattern, lambda _: table, text, count=1, flags=re.DOTALL)


def main() -> None:
    """Writes both tables."""
    for name, rows in TABLES.items():
        path = _PROJECT / name
        path.write_text(with_table(path.read_text(encoding="utf-8"), rows()), encoding="utf-8")


def _best(card: Card) -> Result | None:
    """The highest PSNR on the test set that comes first."""
    results = [result for record in card.zoo for result in record.results]
    comparable = [result for result in results if result.test_set == results[0].test_set]
    return max(comparable, key=lambda result: result.psnr, default=None)


def _parameters(card: Card) -> str:
    counts = sorted({round(record.parameters / 1e6, 1) for record in card.zoo if record.parameters})
    return f"{counts[0]:.1f}" + (f" to {counts[-1]:.1f}" if len(counts) > 1 else "")


def _origin(record: Record) -> str:
    from ascendvsr.weights.commands import origin

    return "shipped" if Shipped() in record.sources else origin(record)


if __name__ == "__main__":
    main()
