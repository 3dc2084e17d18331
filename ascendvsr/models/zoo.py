"""Published weights: one record a file, in the folder of its network (`zoo.py`), free of Keras.

`ascendvsr models` lists them, `ascendvsr download` fetches them, `ascendvsr verify` measures them, and the tables
of README.md and docs/networks.md are made of them.
"""

import difflib
from dataclasses import dataclass
from typing import Literal

from ascendcv.utils.errors import InputError

GOOGLE_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="


@dataclass(frozen=True)
class Address:
    """A file that a server gives; where `member` is said, an archive that has the file under this name."""

    url: str
    member: str = ""

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        return self.url.split("/")[2]


@dataclass(frozen=True)
class Package:
    """A Python package that has the file inside, such as 'name==1.2.0'. Nothing of it is installed or run."""

    requirement: str
    member: str

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        return f"the package {self.requirement}"


@dataclass(frozen=True)
class Shipped:
    """A file that this package has itself, in `ascendvsr/weights/shipped`."""

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        return "this package"


@dataclass(frozen=True)
class Page:
    """A page from which a person takes the file: no program can."""

    url: str

    @property
    def origin(self) -> str:
        """Where it comes from, in a few words."""
        return self.url.split("/")[2]


Source = Address | Package | Shipped | Page


@dataclass(frozen=True)
class Result:
    """A number of a paper.

    Attributes:
        test_set: a name of `ascendvsr.evaluation.testsets`.
        psnr, ssim: as printed; ssim None: not told.
        protocol: whose way to measure, a name of `ascendvsr.evaluation.protocols`.
        channels: what it is measured on: RGB or Y.
        sigma: of the noise that is added, in 8-bit levels.
    """

    test_set: str
    psnr: float
    ssim: float | None
    protocol: str
    channels: Literal["RGB", "Y"] = "RGB"
    sigma: int = 0

    def __str__(self) -> str:
        noise = f" sigma {self.sigma}" if self.sigma else ""
        ssim = "" if self.ssim is None else f" / {self.ssim:.4f}"
        return f"{self.test_set}{noise} {self.psnr:.2f}{ssim} ({self.channels})"


@dataclass(frozen=True)
class Record:
    """A published file of weights.

    Attributes:
        name: what commands call it.
        task: what it is for, in a few words.
        file: its name.
        sha256: of its content, all 64 digits or the first ones; '': its publisher does not say, and that of the
            first download is kept and checked from then on.
        size: bytes; 0: not known.
        license: of the weights, in a few words.
        sources: where it comes from, the first one that answers counts.
        config: the configuration that it was trained by, '': none.
        results: what its paper reached with it.
        parameters: in the whole file; 0: not counted.
        seconds: per megapixel of output, measured on two cores; None: not measured.
    """

    name: str
    task: str
    file: str
    license: str
    sources: tuple[Source, ...]
    sha256: str = ""
    size: int = 0
    config: str = ""
    results: tuple[Result, ...] = ()
    parameters: int = 0
    seconds: float | None = None


def records() -> tuple[Record, ...]:
    """All of them, by network, in the order of the cards."""
    from ascendvsr.models import CARDS

    return tuple(record for card in CARDS for record in card.zoo)


def is_record(name: str) -> bool:
    """Whether there is a record of this name."""
    return any(record.name == name for record in records())


def record_named(name: str) -> Record:
    """The record of this name. Raises `InputError` for others, with the nearest ones."""
    known = {record.name: record for record in records()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"; near are {', '.join(near)}" if near else ""
        raise InputError(f"no published weights are called {name!r}{hint}: `ascendvsr models` lists all")
    return known[name]
