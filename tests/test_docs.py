"""The documentation: every link leads somewhere, and the site is built without a complaint."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT

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
