"""The walk of an order in the architecture page is what the code does."""

from pathlib import Path

import pytest

from tests.support.order_walk import blocks

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "architecture.md"
BLOCKS = blocks()


@pytest.mark.parametrize("name", BLOCKS)
def test_the_page_shows_what_the_code_does(name: str) -> None:
    language, _, _ = name.partition(" ")
    shown = f"```{language}\n{BLOCKS[name]}\n```"
    assert shown in PAGE.read_text(), f"python -m tests.support.order_walk prints:\n{shown}"
