"""A short selection of the fault matrix; `make faults` runs all of it."""

from collections.abc import Callable

import pytest

from tests.faults import engine_rows, feed_rows, log_rows, postgres_rows, redis_rows, worker_rows
from tests.faults.row import SHORT, Budget, Row

SELECTION = (
    worker_rows.kills,
    worker_rows.failpoints,
    worker_rows.frozen_workers,
    worker_rows.two_owners,
    redis_rows.redis_killed,
    redis_rows.redis_away,
    worker_rows.lost_replies,
    log_rows.torn_log,
    log_rows.cut_log,
    log_rows.back_with_less,
    log_rows.flipped_digit,
    postgres_rows.postgres_away,
    redis_rows.full_memory,
    log_rows.poison,
    feed_rows.readapi_killed,
    feed_rows.cut_readers,
    feed_rows.decisions_lost,
    feed_rows.hostile_subscribers,
    engine_rows.reference,
)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("row", SELECTION, ids=lambda row: row.__name__)
def test_nothing_is_lost_and_nothing_done_twice(row: Callable[[int, Budget], Row]) -> None:
    result = row(1, SHORT)
    assert result.passed, result.line()
    assert result.verdict.acknowledged > 0
