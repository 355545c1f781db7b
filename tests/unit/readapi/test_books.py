"""A snapshot of a book and how deep it is shown."""

import json

from protocol import books
from readapi.answers import book_answer


def test_a_snapshot_renders_to_the_depth_asked_for() -> None:
    stored = books.snapshot(9, books.level(10, 5, 1) + books.level(9, 7, 2), "")
    assert json.loads(book_answer("X", stored, 1)) == {
        "symbol": "X",
        "depth": 1,
        "bids": [{"price": 10, "total_quantity": 5, "order_count": 1}],
        "asks": [],
        "sequence": 9,
    }
    assert len(json.loads(book_answer("X", stored, 50))["bids"]) == 2
    assert json.loads(book_answer("X", books.EMPTY, 10))["sequence"] == 0
