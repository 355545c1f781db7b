"""The options of ``make faults``."""

import pytest

from tests.faults.__main__ import budget_of, parse
from tests.faults.row import SHORT, Budget


@pytest.mark.parametrize(
    ("arguments", "kills", "away"),
    [
        ([], Budget().kills, Budget().away_seconds),
        (["--short"], SHORT.kills, SHORT.away_seconds),
        (["--short", "--kills", "3"], 3, SHORT.away_seconds),
        (["--kills", "7"], 7, Budget().away_seconds),
    ],
)
def test_short_is_short_unless_kills_says_otherwise(
    arguments: list[str], kills: int, away: tuple[float, ...]
) -> None:
    budget = budget_of(parse(arguments))
    assert (budget.kills, budget.away_seconds) == (kills, away)
