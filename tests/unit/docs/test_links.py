"""Every relative link, anchor and named source file in the documentation exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HIDDEN = re.compile(r"(^|/)[.][^/]+/|(^|/)(build|node_modules)/")
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not HIDDEN.search(page.relative_to(ROOT).as_posix()) and ".egg-info" not in page.as_posix()
)
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
LINK = re.compile(r"\]\(([^)\s]+)\)")
SOURCE = re.compile(r"`([a-z_]+(?:/[a-z_0-9]+)+\.(?:py|lua|toml|yml|conf|md)|[a-z_/]+/)`")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def prose(page: Path) -> str:
    """The text without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    found: dict[str, int] = {}
    result = set()
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        count = found.setdefault(anchor, 0)
        found[anchor] += 1
        result.add(f"{anchor}-{count}" if count else anchor)
    return result


def broken(page: Path) -> list[str]:
    wrong = []
    for target in LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        exists = linked.exists() and linked.is_relative_to(ROOT)
        if not exists or (anchor and anchor not in anchors(linked)):
            wrong.append(target)
    return wrong


def test_there_are_pages() -> None:
    assert "README.md" in NAMES
    assert "docs/README.md" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    assert broken(ROOT / name) == []


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("docs/decisions/")])
def test_every_source_file_that_is_named_exists(name: str) -> None:
    """Decisions are left out: they speak of the code of their day."""
    named = SOURCE.findall(prose(ROOT / name))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_page_of_the_documentation_can_be_reached_from_its_index() -> None:
    index = ROOT / "docs" / "README.md"
    reached, waiting = {index}, [index]
    while waiting:
        page = waiting.pop()
        for target in LINK.findall(prose(page)):
            linked = (page.parent / target.partition("#")[0]).resolve()
            if linked.suffix == ".md" and linked.exists() and linked not in reached:
                reached.add(linked)
                waiting.append(linked)
    assert {page for page in PAGES if (ROOT / "docs") in page.parents} <= reached
