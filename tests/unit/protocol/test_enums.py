"""Sides and their opposites."""

from protocol.enums import Side


def test_sides_have_opposites() -> None:
    assert [side.opposite for side in Side] == [Side.ASK, Side.BID]
