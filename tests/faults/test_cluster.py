"""The rows of the fault matrix on a Redis Cluster of three nodes."""

from collections.abc import Callable

import pytest

from tests.faults import cluster_rows
from tests.faults.row import SHORT, Budget, Row

SELECTION = (
    cluster_rows.node_killed,
    cluster_rows.slot_moved,
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("row", SELECTION, ids=lambda row: row.__name__)
def test_nothing_is_lost_and_nothing_done_twice(row: Callable[[int, Budget], Row]) -> None:
    result = row(1, SHORT)
    assert result.passed, result.line()
    assert result.verdict.acknowledged > 0
