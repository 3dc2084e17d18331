"""The documentation: every link leads somewhere, and the site is built without a complaint."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT
from tests.test_examples import PACKAGES as PUBLIC_PACKAGES

PAGES = [*sorted(PROJECT.glob("*.md")), *sorted(PROJECT.glob("docs/**/*.md")), PROJECT / "data/README.md"]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in addresses."""
    titles = HEADING.findall(CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_to_files_and_headings_that_are_there(page: Path):
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if link.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name) if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.needs("mkdocs", "mkdocstrings")
def test_the_site_is_built_without_a_complaint(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    pages = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "api.html", "settings.html"} <= pages
    page = (tmp_path / "site/api.html").read_text()
    assert "DeformableConv2D" in page
    assert not re.search(r'(src|href)="https?://(?!github\.com|squidfunk\.github\.io)', page)  # read from disk, too


def test_every_example_has_its_place_on_the_page_of_examples():
    page = (PROJECT / "docs/examples.md").read_text()
    tracked = subprocess.run(["git", "ls-files", "examples"], cwd=PROJECT, capture_output=True, text=True).stdout
    files = tracked.split() or [str(path.relative_to(PROJECT)) for path in (PROJECT / "examples").rglob("*.*")]
    assert [name for name in files if name not in page] == []


@pytest.mark.parametrize("package", [*PUBLIC_PACKAGES, "ascendvsr.weights"])
def test_every_public_name_is_on_the_page_of_the_library(package: str):
    page = (PROJECT / "docs/api.md").read_text()
    networks = importlib.import_module("ascendvsr").__all__ if package == "ascendvsr.models" else ()
    names = [name for name in importlib.import_module(package).__all__ if name not in networks]
    assert [name for name in names if f'heading: "{package}.{name}"' not in page] == []


def code(text: str) -> list[str]:
    """The lines in the code blocks of a page, without comments."""
    lines = [line for block in CODE.findall(text) for line in block.splitlines()[1:-1]]
    return [re.sub(r"\s*#.*", "", line) for line in lines]


def cells(text: str) -> list[list[str]]:
    """The cells of its tables."""
    rows = re.findall(r"^\|(.*)\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split("|")] for row in rows]


def test_the_chinese_page_says_what_the_english_one_says():
    english, chinese = ((PROJECT / name).read_text() for name in ("README.md", "README.zh-CN.md"))
    assert code(chinese) == code(english)
    rows = list(zip(cells(chinese), cells(english), strict=True))
    for theirs, ours in rows:
        if ours[0] not in ("network", "command"):  # the headings
            first, last = (theirs[0], theirs[2:]), (ours[0], ours[2:])
            assert first == last if len(ours) == 4 else theirs[:2] == ours[:2]
    assert len(HEADING.findall(CODE.sub("", chinese))) == len(HEADING.findall(CODE.sub("", english)))
    links = [
        sorted(set(LINK.findall(CODE.sub("", text))) - {"README.md", "README.zh-CN.md"})
        for text in (english, chinese)
    ]
    assert links[0] == links[1]
    commands = [sorted(set(re.findall(r"`([^`\n]+)`", CODE.sub("", text)))) for text in (english, chinese)]
    assert commands[0] == commands[1]
