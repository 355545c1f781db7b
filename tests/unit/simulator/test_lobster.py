"""Any LOBSTER pair: made-up days of an independent market, recorded as LOBSTER does it."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from exchange.engine_venue import EngineVenue
from simulator.errors import SimulationFailed
from simulator.recorded.lobster import Replay
from simulator.recorded.lobster_files import (
    DELETE,
    EXECUTION,
    HIDDEN_EXECUTION,
    NEW,
    PARTIAL_CANCEL,
    Book,
    Message,
    Recording,
    symbol_of,
)
from simulator.recorded.replay import replay_recording
from tests.support.lobster_day import write_day


def replayed(files: tuple[Path, Path], limit: int = 0) -> dict[str, Any]:
    result = replay_recording(Console(quiet=True), EngineVenue, lobster=files, b3=None, limit=limit)
    (row,) = result["recordings"]
    found: dict[str, Any] = row
    return found


@pytest.mark.parametrize(("seed", "depth"), [(1, 5), (2, 10), (3, 1), (4, 10)])
def test_a_day_of_any_depth_agrees(tmp_path: Path, seed: int, depth: int) -> None:
    row = replayed(write_day(tmp_path, seed, depth, 6_000))
    assert row["symbol"] == "MADE"
    assert row["judged"] > 200
    assert row["judged"] > (0.8 if depth >= 5 else 0.25) * (row["judged"] + row["unjudged"])
    assert row["hit_first"] >= 0.999 * row["judged"], row
    assert row["books"] == row["events"]
    assert row["books_equal"] == row["books"], row
    assert row["unjudged"] > 0, "some orders of before the recording are executed"


@pytest.mark.parametrize("packed", ["gzip", "zip"])
def test_packed_files_are_the_same(tmp_path: Path, packed: str) -> None:
    plain = replayed(write_day(tmp_path, 5, 5, 1_500))
    other = replayed(write_day(tmp_path, 5, 5, 1_500, packed))
    assert {**plain, "per_second": 0} == {**other, "per_second": 0}


def test_a_market_that_does_not_keep_priority_is_noticed(tmp_path: Path) -> None:
    """The last order of a level is executed first: the replay must not agree with that."""
    flow = [
        Message(NEW, "1", 10, 100, "ask"),
        Message(NEW, "2", 10, 100, "ask"),
        Message(EXECUTION, "2", 4, 100, "ask"),
        Message(EXECUTION, "1", 10, 100, "ask"),  # Counted anew after the level was mended.
    ]
    result = run(flow)
    assert (result.judged, result.hit_first) == (2, 1)


def test_a_partial_cancel_keeps_the_turn() -> None:
    result = run(
        [
            Message(NEW, "1", 10, 100, "ask"),
            Message(NEW, "2", 10, 100, "ask"),
            Message(PARTIAL_CANCEL, "1", 3, 100, "ask"),
            Message(EXECUTION, "1", 7, 100, "ask"),
            Message(DELETE, "2", 10, 100, "ask"),
        ]
    )
    assert (result.judged, result.hit_first) == (1, 1)


def test_an_execution_of_an_order_that_was_never_seen_is_unjudged() -> None:
    result = run([Message(NEW, "5", 10, 100, "ask"), Message(EXECUTION, "2", 4, 100, "ask")])
    assert (result.judged, result.unjudged) == (0, 1)


def test_a_first_message_that_changes_no_order_leaves_the_first_book_as_it_is() -> None:
    """A hidden execution has the price of a level, and its size is no part of that level."""
    flow = [Message(HIDDEN_EXECUTION, "0", 30, 100, "bid"), Message(NEW, "7", 10, 101, "bid")]
    books: list[Book] = [([(100, 50)], [(102, 5)]), ([(101, 10), (100, 50)], [(102, 5)])]
    result = run(flow, books)
    assert (result.books, result.books_equal) == (2, 2)


def test_nothing_to_replay_is_refused_with_a_sentence() -> None:
    with pytest.raises(SimulationFailed, match="nothing to replay"):
        replay_recording(Console(quiet=True), EngineVenue, lobster=None, b3=None, limit=0)


def test_what_is_not_lobster_is_refused_with_a_sentence(tmp_path: Path) -> None:
    text = tmp_path / "x.csv"
    text.write_text("a,b\n")
    with pytest.raises(SimulationFailed, match="not a pair of LOBSTER files"):
        replayed((text, text))
    with pytest.raises(SimulationFailed, match="cannot be read"):
        replayed((tmp_path / "none", text))


def test_the_symbol_is_in_the_name_of_the_file() -> None:
    assert symbol_of(Path("AAPL_2012-06-21_34200000_57600000_message_10.csv")) == "AAPL"
    assert symbol_of(Path("lobster_MSFT_2012-06-21_0930-1030_message_50.csv.gz")) == "MSFT"
    assert symbol_of(Path("flow.csv")) == "RECORDED"


def run(flow: list[Message], books: list[Book] | None = None) -> Any:
    replay = Replay(EngineVenue("X"), Recording("X", flow, books or [], 10, 100))
    replay.seed()
    for message in flow:
        replay.apply(message)
    return replay.result
