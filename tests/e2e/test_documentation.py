"""The shell sessions of the documentation do what the pages say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import RunningExchange
from tests.support.shell_walk import ROOT, execute, masked, steps

PAGES = ("README.md", "docs/tutorial/first-trade.md")


@pytest.fixture(scope="module")
def fresh_exchange(short_dir: Path) -> Iterator[RunningExchange]:
    """As after the first `make up`: nobody has traded yet."""
    running = RunningExchange(short_dir / "d")
    running.start()
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("name", PAGES)
def test_the_session_of_a_page_gives_what_the_page_shows(
    fresh_exchange: RunningExchange, tmp_path: Path, name: str
) -> None:
    page = ROOT / name
    outputs = execute(page, fresh_exchange, tmp_path / "session")
    for step, output in zip(steps(page), outputs, strict=True):
        if step.output is not None:
            assert masked(output) == masked(step.output), (
                f"after\n{step.commands}it printed\n{output}"
            )
