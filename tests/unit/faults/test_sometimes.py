"""Oracle C13: what was never reached is told, once the rows that reach it have run."""

from collections import Counter

import pytest

from tests.faults import sometimes
from tests.faults.matrix import ROWS


@pytest.fixture(autouse=True)
def nothing_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sometimes, "REACHED", Counter())


def test_only_rows_that_have_run_must_have_reached_something() -> None:
    assert sometimes.unreached(["torn_log"]) == []
    assert sometimes.unreached(["redis_away"]) == ["answer 503 unavailable"]
    assert sometimes.unreached(["two_owners"]) == []  # frozen_workers could have reached it.


def test_what_was_reached_is_no_longer_missing() -> None:
    sometimes.note_answers({"503 unavailable": 3})
    assert sometimes.unreached(["redis_away"]) == []
    assert sometimes.table(["redis_away"]) == ["          3  answer 503 unavailable"]


def test_the_table_names_what_is_missing() -> None:
    assert sometimes.table(["full_memory"]) == ["          0  answer 503 overloaded  NEVER REACHED"]


def test_ends_of_workers_are_read_from_their_logs() -> None:
    sometimes.note_log(
        '{"message": "fenced"}\n{"message": "fenced"}\n{"message": "worker started"}'
    )
    assert sometimes.REACHED == {"worker fenced": 2}


def test_only_rows_of_the_matrix_are_expected_to_reach_anything() -> None:
    rows = {row.__name__ for row in ROWS}
    assert {name for names in sometimes.EXPECTED.values() for name in names} <= rows
