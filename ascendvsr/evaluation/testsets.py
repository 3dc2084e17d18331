"""The papers' test sets by name: where they come from, what their folders are called, how their input was made."""

from dataclasses import dataclass
from typing import Literal

from ascendcv.utils.errors import InputError

_RELEASE = "https://github.com/JingyunLiang/VRT/releases/download/v0.0/testset_"


@dataclass(frozen=True)
class PublishedSet:
    """Clips that a paper measures on.

    Attributes:
        name: what results and commands call it.
        license: of the frames, in a few words.
        urls: archives (.tar.gz) that hold a folder `folder`, all of which make it up; (): it is not to be had from
            a server that gives it to programs.
        folder: the folder's name.
        lq, gt: folders of clips in it; both '' where the clips lie in it directly and are clean.
        made_by: how the input came from the ground truth, which is done again where the folder `lq` is missing;
            'pairs': it cannot be made.
        layout: what `data.layout` says of it.
        limit: the largest size of an archive, in bytes.
    """

    name: str
    license: str
    folder: str
    urls: tuple[str, ...] = ()
    lq: str = ""
    gt: str = ""
    made_by: Literal["bicubic x4", "blurred x4", "noise", "pairs"] = "pairs"
    layout: str = "pairs"
    limit: int = 8 << 30


def _of_release(*parts: str) -> tuple[str, ...]:
    return tuple(f"{_RELEASE}{part}.tar.gz" for part in parts)


_REDS = "CC-BY-4.0"
_RESEARCH = "none stated: research only"

TEST_SETS = (
    PublishedSet("REDS4", _REDS, "REDS4", _of_release("REDS4"), "sharp_bicubic", "GT", "bicubic x4"),
    PublishedSet("REDS4-blur", _REDS, "REDS4", (), "blur", "GT"),
    PublishedSet("REDS4-blur-bicubic", _REDS, "REDS4", (), "blur_bicubic", "GT"),
    PublishedSet("REDS4-blur-compressed", _REDS, "REDS4", (), "blur_comp", "GT"),
    PublishedSet("Vid4", _RESEARCH, "Vid4", _of_release("Vid4"), "BIx4", "GT", "bicubic x4"),
    PublishedSet("Vid4-BD", _RESEARCH, "Vid4", _of_release("Vid4"), "BDx4", "GT", "blurred x4"),
    PublishedSet("UDM10", _RESEARCH, "UDM10", _of_release("UDM10"), "BDx4", "GT", "blurred x4"),
    PublishedSet("DVD10", _RESEARCH, "DVD10", _of_release("DVD10"), "test_GT_blurred", "test_GT"),
    PublishedSet(
        "GoPro11",
        "CC-BY-4.0",
        "GoPro11",
        _of_release("GoPro11-part1", "GoPro11-part2"),
        "test_GT_blurred",
        "test_GT",
    ),
    PublishedSet(
        "DAVIS-test", "CC-BY-NC-4.0", "DAVIS-test", _of_release("DAVIS-test"), made_by="noise", layout="davis"
    ),
    PublishedSet("Set8", _RESEARCH, "Set8", _of_release("Set8"), made_by="noise", layout="davis"),
    PublishedSet("Vimeo-90K-T", _RESEARCH, "vimeo90k", layout="vimeo", lq="vimeo_septuplet_matlabLRx4"),
    PublishedSet("Vimeo-90K-T-BD", _RESEARCH, "vimeo90k", layout="vimeo", lq="vimeo_septuplet_BDLRx4"),
)


def find_test_set(name: str) -> PublishedSet | None:
    """The test set of this name, in whatever case; None: there is none."""
    return next((known for known in TEST_SETS if known.name.lower() == name.lower()), None)


def set_named(name: str) -> PublishedSet:
    """The same. Raises `InputError` where there is none."""
    found = find_test_set(name)
    if found is None:
        raise InputError(
            f"no test set is called {name!r}; there are {', '.join(known.name for known in TEST_SETS)}"
        )
    return found
