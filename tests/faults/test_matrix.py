"""A short selection of the fault matrix; `make faults` runs all of it."""

from collections.abc import Callable

import pytest

from tests.faults import matrix
from tests.faults.matrix import SHORT, Budget, Row

SELECTION = (
    matrix.kills,
    matrix.failpoints,
    matrix.frozen_workers,
    matrix.two_owners,
    matrix.redis_killed,
    matrix.redis_away,
    matrix.lost_replies,
    matrix.torn_log,
    matrix.cut_log,
    matrix.flipped_digit,
    matrix.postgres_away,
    matrix.full_memory,
    matrix.poison,
)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("row", SELECTION, ids=lambda row: row.__name__)
def test_nothing_is_lost_and_nothing_done_twice(row: Callable[[int, Budget], Row]) -> None:
    result = row(1, SHORT)
    assert result.passed, result.line()
    assert result.verdict.acknowledged > 0
