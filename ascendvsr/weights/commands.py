"""The commands `models` and `download`, and the question before a first download."""

import argparse
import sys
from pathlib import Path

from ascendcv.utils.errors import InputError
from ascendvsr.evaluation.testsets import TEST_SETS, find_test_set
from ascendvsr.models import CARDS
from ascendvsr.models.card import Card
from ascendvsr.models.zoo import Record, is_record, record_named
from ascendvsr.weights.cache import place_of


def models(arguments: argparse.Namespace) -> None:
    """The command `models`: a paragraph for each record in which all words are."""
    words = [word.lower() for word in arguments.words]
    shown = [
        (card, record)
        for card in CARDS
        for record in card.zoo
        if all(word in _text(card, record).lower() for word in words)
    ]
    if not shown:
        raise InputError(f"no published weights have {' and '.join(arguments.words)}; `ascendvsr models` lists all")
    print("\n".join(_text(card, record) for card, record in shown))
    if not words:
        names = ", ".join(published.name for published in TEST_SETS if published.urls)
        print(f"\ntest sets: {names}\n`ascendvsr download NAME` fetches either kind")


def _text(card: Card, record: Record) -> str:
    facts = [card.title, record.task]
    if record.parameters:
        facts.append(f"{record.parameters / 1e6:.1f} million parameters")
    if record.size:
        facts.append(f"{record.size / 1e6:.1f} MB")
    if record.seconds:
        facts.append(f"{record.seconds:.2g} s per megapixel on two cores")
    lines = [f"{record.name}: {', '.join(facts)}"]
    if record.results:
        lines.append(f"    published: {'; '.join(f'{each}, protocol {each.protocol}' for each in record.results)}")
    where = place_of(record)
    lines.append(f"    license: {record.license}")
    lines.append(f"    {'here' if where.exists() else 'not here'}: {record.file}, from {origin(record)}")
    return "\n".join(lines)


def origin(record: Record) -> str:
    """Where a record's file comes from, in a few words: the first source."""
    return record.sources[0].origin


def download(arguments: argparse.Namespace) -> None:
    """The command `download`: weights or a test set, by name."""
    from ascendvsr.weights.download import get_test_set, get_weights

    published = find_test_set(arguments.name)
    if published and not is_record(arguments.name):
        print(get_test_set(published, arguments.to))
        return
    try:
        record = record_named(arguments.name)
    except InputError as error:
        sets = ", ".join(published.name for published in TEST_SETS if published.urls)
        raise InputError(f"{error}; test sets are {sets}") from None
    print(get_weights(record, arguments.to))


def weights_file(name: str, *, yes: bool) -> str:
    """The path that `name` means: itself, or the file of published weights, which is fetched after a question.

    With `yes` there is no question. Raises `InputError` where nobody can answer it, or says no.
    """
    if Path(name).exists() or not is_record(name):
        return name
    from ascendvsr.weights.cache import local_file
    from ascendvsr.weights.download import get_weights

    record = record_named(name)
    if place_of(record).exists():
        return str(local_file(name))
    if not yes:
        _ask(record)
    return str(get_weights(record))


def _ask(record: Record) -> None:
    size = f"{record.size / 1e6:.1f} MB, " if record.size else ""
    what = f"{record.name} is not here yet: {record.file} ({size}license {record.license}) from {origin(record)}"
    how = f"say --yes, or `ascendvsr download {record.name}` first"
    if not sys.stdin.isatty():
        raise InputError(f"{what}: {how}")
    # On stderr: a restored video may go to stdout.
    print(f"{what}\ndownload it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError(f"not downloaded: {how}")
