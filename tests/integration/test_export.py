"""``exchange export`` from a real PostgreSQL, with rows that the persister's own code stored."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from exchange.export import day as export_day
from exchange.export.day import ExportFailed, export
from exchange.export.formats import FileFormat
from exchange.local.installation import Addresses
from protocol import ids
from protocol.batches import GENESIS_HASH
from protocol.units import format_time, milliseconds
from tests.support.builders import ALICE, BOB, SYMBOL, ask, bid, cancel
from tests.support.stored_market import SAO_PAULO, Market

DAY = date(2026, 11, 24)
MORNING = milliseconds(datetime(2026, 11, 24, 10, 0, tzinfo=SAO_PAULO))
FIRST = milliseconds(datetime(2026, 11, 24, tzinfo=SAO_PAULO))
AFTER = milliseconds(datetime(2026, 11, 25, tzinfo=SAO_PAULO))
FAR = AFTER + 10**9


@pytest.fixture
def market(database_url: str) -> Iterator[Market]:
    market = Market(database_url)
    assert market.last == (0, GENESIS_HASH)
    yield market
    market.store.close()


def write(
    database_url: str, directory: Path, file_format: FileFormat = FileFormat.CSV
) -> tuple[dict[str, Any], str]:
    """The result of an export of the day, and what it printed."""
    console = Console(file=io.StringIO(), width=200)
    addresses = Addresses("", "", database_url, "")
    result = export(console, addresses, DAY, file_format, directory, SAO_PAULO)
    return result, console.file.getvalue()  # type: ignore[attr-defined]


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_orders_and_trades_of_a_day_are_written_as_the_api_shows_them(
    market: Market, database_url: str, tmp_path: Path
) -> None:
    market.at(MORNING, ask(1000, 1000, until=FAR))
    market.at(MORNING + 5, bid(1050, 400, until=FAR), ask(None, 5))
    result, _ = write(database_url, tmp_path)
    orders = lines(tmp_path / "orders-2026-11-24.csv")
    assert [(o["side"], o["state"], o["state_reason"], o["price"]) for o in orders] == [
        ("ask", "partially_filled", "", "1000"),
        ("bid", "filled", "", "1050"),
        ("ask", "canceled", "no_liquidity", ""),
    ]
    assert orders[1] == {
        "order_id": ids.encode(MORNING + 5, 1, 2),
        "client_order_id": ids.encode(MORNING + 5, 1, 2),
        "broker_id": ALICE,
        "document_number": "12345678901",
        "symbol": SYMBOL,
        "side": "bid",
        "order_type": "limit",
        "time_in_force": "gtd",
        "price": "1050",
        "stop_price": "",
        "quantity": "400",
        "display_quantity": "",
        "filled_quantity": "400",
        "remaining_quantity": "0",
        "filled_notional": "400000",
        "status": "closed",
        "state": "filled",
        "state_reason": "",
        "valid_until": format_time(FAR),
        "post_only": "false",
        "self_trade_prevention": "none",
        "memo": "",
        "created_at": "2026-11-24T13:00:00.005+00:00",
        "updated_at": "2026-11-24T13:00:00.005+00:00",
        "version": "2",
    }
    assert lines(tmp_path / "trades-2026-11-24.csv") == [
        {
            "trade_id": ids.encode(MORNING + 5, 1, 1, ids.TRADE),
            "symbol": SYMBOL,
            "price": "1000",
            "quantity": "400",
            "taker_side": "bid",
            "maker_order_id": ids.encode(MORNING, 1, 1),
            "taker_order_id": ids.encode(MORNING + 5, 1, 2),
            "maker_broker_id": BOB,
            "taker_broker_id": ALICE,
            "executed_at": "2026-11-24T13:00:00.005+00:00",
        }
    ]
    assert [file["rows"] for file in result["files"]] == [3, 1]


def test_a_day_is_from_midnight_to_midnight_by_the_clock_of_the_exchange(
    market: Market, database_url: str, tmp_path: Path
) -> None:
    market.at(FIRST - 1, ask(1000, 9, until=FAR))
    market.at(FIRST, bid(1000, 1, until=FAR))
    market.at(AFTER - 1, bid(1000, 2, until=FAR))
    market.at(AFTER, bid(1000, 3, until=FAR), cancel(1))
    write(database_url, tmp_path)
    assert [o["quantity"] for o in lines(tmp_path / "orders-2026-11-24.csv")] == ["1", "2"]
    assert [t["quantity"] for t in lines(tmp_path / "trades-2026-11-24.csv")] == ["1", "2"]


def test_parquet_has_the_same_values_as_csv(
    market: Market, database_url: str, tmp_path: Path
) -> None:
    market.at(MORNING, ask(1000, 1000, until=FAR), bid(1050, 400, until=FAR), ask(None, 5))
    write(database_url, tmp_path)
    write(database_url, tmp_path, FileFormat.PARQUET)
    for name in ("orders-2026-11-24", "trades-2026-11-24"):
        table = pq.read_table(tmp_path / f"{name}.parquet")
        expected = lines(tmp_path / f"{name}.csv")
        assert table.column_names == list(expected[0])
        assert [
            {key: shown(value) for key, value in row.items()} for row in table.to_pylist()
        ] == expected
    reasons = pq.read_table(tmp_path / "orders-2026-11-24.parquet", columns=["state_reason"])
    assert reasons.column(0).to_pylist() == [None, None, "no_liquidity"]


def shown(value: object) -> str:
    """As CSV writes it."""
    if isinstance(value, datetime):
        assert value.tzinfo is not None
        return format_time(milliseconds(value.astimezone(UTC)))
    return "" if value is None else str(value)


def test_a_day_is_read_in_pieces(
    market: Market, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.at(MORNING, *[ask(1000 + n, 1, until=FAR) for n in range(25)])
    monkeypatch.setattr(export_day, "ROWS_MAX", 10)
    write(database_url, tmp_path, FileFormat.PARQUET)
    read = pq.ParquetFile(tmp_path / "orders-2026-11-24.parquet")
    pieces = [read.metadata.row_group(at).num_rows for at in range(read.num_row_groups)]
    assert pieces == [10, 10, 5]
    assert read.read(["price"]).column(0).to_pylist() == [1000 + n for n in range(25)]


def test_a_day_that_is_not_over_is_written_and_told(
    market: Market, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for now, is_over in ((AFTER - 1, False), (AFTER, True)):

        def clock(_connection: object, now: int = now) -> int:
            return now

        monkeypatch.setattr(export_day, "now_ms", clock)
        result, printed = write(database_url, tmp_path)
        assert result["is_over"] is is_over
        assert ("not over" in printed) is not is_over


def test_a_database_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="files of 2026-11-24 are not whole"):
        write("postgresql://nobody@127.0.0.1:9/none", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_told(
    market: Market, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportFailed, match="not whole"):
        write(database_url, tmp_path / "file")
