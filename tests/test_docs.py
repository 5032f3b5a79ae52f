"""The pages hold together: every link and every path to a page leads somewhere."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(```+).*?^\1\s*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")


def files(*suffixes: str) -> list[Path]:
    """Files of the repository, without what is installed or made in it."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in MADE]
        found += [Path(folder) / name for name in names if name.endswith(suffixes)]
    return sorted(found)


MADE = {"dist", "demo-output", "runs", "node_modules", "__pycache__"}
PAGES = files(".md")


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a link into a page may name, as GitHub makes it of the headings."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+?)\s*$", prose(page), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        again = sum(anchor == re.sub(r"-\d+$", "", other) for other in found)
        found.append(f"{anchor}-{again}" if anchor in found else anchor)
    return set(found)


def broken(page: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    missing = []
    for target in LINK.findall(prose(page)):
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            missing.append(target)
    return missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_seen(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Why\n## Why\n### An `a-b`: one\n```\n# no heading\n```\n")
    page = tmp_path / "a.md"
    good = "[1](b.md) [2](b.md#why-1) ![3](b.md#an-a-b-one) [4](https://gone.example) [5](#here)"
    page.write_text(f"# Here\n{good}\n[6](c.md) [7](b.md#no-heading) [8](#gone)\n")
    assert broken(page) == ["c.md", "b.md#no-heading", "#gone"]


@pytest.mark.parametrize("file", files(".py", ".md", ".yaml", ".toml"), ids=str)
def test_pages_that_are_named_exist(file: Path) -> None:
    named = set(re.findall(r"\bdocs/[\w./-]+\.(?:md|jpg|png)", file.read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_page_and_picture_is_in_the_index_or_on_a_page() -> None:
    """The index names every page; a picture is shown somewhere."""
    index = {target.partition("#")[0] for target in LINK.findall(prose(DOCS / "README.md"))}
    pages = {page.relative_to(DOCS).as_posix() for page in PAGES if page.is_relative_to(DOCS)}
    assert pages - index - {"README.md"} == set()
    shown = {
        (page.parent / target).resolve() for page in PAGES for target in LINK.findall(prose(page))
    }
    pictures = {picture for picture in files(".jpg", ".png") if picture.is_relative_to(DOCS)}
    assert pictures - shown == set()
