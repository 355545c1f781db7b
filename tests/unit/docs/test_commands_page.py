"""docs/reference/commands.md lists every command, with its group and its options."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from exchange.cli import app

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "commands.md").read_text()
EVERYWHERE = {"--data", "--json", "--help"}


def visible() -> Iterator[tuple[str, Any]]:
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        if not command.hidden:
            yield name, command


def options_on_the_page(name: str) -> set[str]:
    table = re.search(rf"^\| option of `{name}` .*?(?=^\n|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    if table is None:
        return set()
    cells = [line.split(" | ")[0] for line in table[0].splitlines()[2:]]
    return {option for cell in cells for option in re.findall(r"`(--[a-z0-9-]+)", cell)}


def test_the_page_lists_every_command_in_its_group() -> None:
    listed = {
        (section.splitlines()[0], name)
        for section in PAGE.split("\n## ")[1:]
        for name in re.findall(r"^\| `exchange ([a-z-]+)", section, re.MULTILINE)
    }
    assert listed == {(command.rich_help_panel, name) for name, command in visible()}


@pytest.mark.parametrize("name", [name for name, _ in visible()])
def test_the_page_lists_every_option_of_a_command(name: str) -> None:
    command = dict(visible())[name]
    offered = {
        option for p in command.params for option in p.opts if option.startswith("--")
    } - EVERYWHERE
    assert options_on_the_page(name) - EVERYWHERE == offered
