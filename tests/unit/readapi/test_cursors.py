"""A cursor is good for the list that made it, and for no other."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readapi import cursors
from runtime.http.problems import Problem

SCOPE = cursors.scope("h", "orders", "b", {"status": "open", "symbol": "PETR4"})


@given(st.binary(max_size=40))
def test_a_cursor_gives_its_position_back(position: bytes) -> None:
    cursor = cursors.seal(SCOPE, position)
    assert cursors.unseal(SCOPE, cursor) == position
    assert cursor.isascii()
    assert "=" not in cursor
    assert "+" not in cursor
    assert "/" not in cursor


@pytest.mark.parametrize(
    "scope",
    [
        cursors.scope("another", "orders", "b", {"status": "open", "symbol": "PETR4"}),
        cursors.scope("h", "trades", "b", {"status": "open", "symbol": "PETR4"}),
        cursors.scope("h", "orders", "c", {"status": "open", "symbol": "PETR4"}),
        cursors.scope("h", "orders", "b", {"status": "closed", "symbol": "PETR4"}),
        cursors.scope("h", "orders", "b", {"status": "open"}),
    ],
)
def test_the_cursor_of_another_list_is_refused(scope: bytes) -> None:
    cursor = cursors.seal(scope, bytes(16))
    with pytest.raises(Problem, match="invalid_cursor"):
        cursors.unseal(SCOPE, cursor)


def test_filters_in_another_order_are_the_same_list() -> None:
    same = cursors.scope("h", "orders", "b", {"symbol": "PETR4", "status": "open"})
    assert cursors.unseal(SCOPE, cursors.seal(same, b"x")) == b"x"


@given(st.text(max_size=300))
def test_what_nobody_has_sealed_is_refused(cursor: str) -> None:
    with pytest.raises(Problem, match="invalid_cursor"):
        cursors.unseal(SCOPE, cursor)


def test_a_cursor_that_was_changed_is_refused() -> None:
    raw = bytearray(base64.urlsafe_b64decode(cursors.seal(SCOPE, bytes(15))))
    for at in range(len(raw)):
        changed = bytes(raw[:at]) + bytes([raw[at] ^ 1]) + bytes(raw[at + 1 :])
        with pytest.raises(Problem, match="invalid_cursor"):
            cursors.unseal(SCOPE, base64.urlsafe_b64encode(changed).decode().rstrip("="))
