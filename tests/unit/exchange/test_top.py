"""What ``exchange top`` shows: everything fits on 80 columns, and what is wrong is said."""

import io
from datetime import UTC, date, datetime

import msgspec
import pytest
from rich.console import Console

from client import Health, Ticker
from client.health import ExchangeState, Owners, PartitionState, Traffic, WorkerState
from exchange.commands.top import WELL, busiest, picture

COLUMNS = 80


def shown(health: Health, tickers: list[Ticker], lines: int | None = None) -> str:
    console = Console(file=io.StringIO(), width=COLUMNS)
    console.print(picture(health, tickers, lines))
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def health(*complaints: str, matcher: str | None = "matcher-16") -> Health:
    """Of a busy exchange with long names and large figures."""
    partitions = tuple(
        PartitionState(
            partition=f"p{number:02}",
            owners=Owners(matcher=matcher, persister="persister-16", notifier="notifier-16"),
            symbols=29,
            open_orders=123_456,
            logged=10**9,
            backlog=20_000,
            batch=10**8,
            to_store=100_000,
            to_notify=100_001,
        )
        for number in range(16)
    )
    return Health(
        read_at=datetime(2026, 11, 24, tzinfo=UTC),
        complaints=complaints,
        redis=True,
        postgresql=True,
        state=ExchangeState(
            passed=True,
            history_id="h",
            execution_price="maker",
            redis_memory_bytes=48 * 2**20,
            redis_memory_bytes_max=8192 * 2**20,
            partitions=partitions,
            workers=(
                http(1, 1000.0, 1.0, 4.0),
                http(2, 3000.0, 2.0, 8.5),
                *(worker(kind) for kind in ("matcher", "persister", "notifier")),
            ),
        ),
    )


def worker(kind: str) -> WorkerState:
    """The sixteenth of its kind, which owns everything."""
    return WorkerState(
        kind=kind,
        instance=f"{kind}-16",
        host="h",
        pid=4711,
        seen_ms_ago=400,
        alive=True,
        health="ready",
        memory_bytes=120 * 2**20,
        traffic=None,
    )


def http(number: int, often: float, p50: float, p99: float) -> WorkerState:
    return WorkerState(
        kind="http",
        instance=f"http-{number}",
        host="h",
        pid=4711,
        seen_ms_ago=20_400 if number == 2 else 400,
        alive=number != 2,
        health="ready" if number != 2 else "no answer",
        memory_bytes=120 * 2**20,
        traffic=Traffic(requests_per_second=often, p50_ms=p50, p99_ms=p99),
    )


def ticker(symbol: str, notional: int) -> Ticker:
    return Ticker(
        symbol=symbol,
        day=date(2026, 11, 24),
        last_price=1_000_000_000,
        previous_close=999_999_000,
        change=1_000,
        open=1,
        high=1,
        low=1,
        volume=123_456_789,
        notional=notional,
        trades=1_234_567,
        best_bid=None,
        best_ask=None,
        trade_sequence=1,
        book_sequence=1,
    )


def test_everything_fits_on_80_columns() -> None:
    lines = shown(health(), [ticker("ABCDEFGHIJKL", 5)]).splitlines()
    assert max(len(line) for line in lines) <= COLUMNS
    rows = [line.split() for line in lines if line.startswith((" p0", " p1", "p0", "p1"))]
    assert len(rows) == 16
    assert rows[3] == ["p03", "29", "123,456", "20,000", "100,000", "100,001"]
    (symbol,) = [line.split() for line in lines if "ABCDEFGHIJKL" in line]
    assert symbol[1:] == ["10,000,000.00", "+10.00", "123,456,789", "1,234,567"]
    (persister,) = [line.split() for line in lines if "persister-16" in line]
    assert persister == ["persister-16", "ready", "p00-p15", "120", "MiB"]


@pytest.mark.parametrize("lines", [24, 30, 60])
def test_everything_fits_on_24_lines(lines: int) -> None:
    tickers = [ticker(f"S{number}", 5) for number in range(5)]
    found = shown(health("One thing is wrong.", "Another one too."), tickers, lines).splitlines()
    assert len(found) <= lines
    text = "\n".join(found)
    for name in ("http-1", "notifier-16", "S0", "p00"):
        assert name in text
    if lines == 24:
        (others,) = [line.split() for line in found if " others " in line]
        count = int(others[0])
        assert others[2:4] == [str(count * 29), f"{count * 123_456:,}"]
        named = [line for line in found if line.strip()[:2] in ("p0", "p1")]
        assert len(named) == 16 - count


def test_the_busiest_partitions_come_first() -> None:
    before = health()
    assert before.state is not None
    quiet, *others = before.state.partitions
    changed = [
        msgspec.structs.replace(quiet, backlog=0, to_store=0, to_notify=0),
        *others[:5],
        msgspec.structs.replace(others[5], to_store=100_001),
        *others[6:],
    ]
    state = msgspec.structs.replace(before.state, partitions=tuple(changed))
    lines = shown(msgspec.structs.replace(before, state=state), []).splitlines()
    names = [line.split()[0] for line in lines if line.strip()[:2] in ("p0", "p1")]
    assert (names[0], names[-1]) == ("p06", "p00")


def test_the_processes_are_put_together() -> None:
    text = " ".join(shown(health(), []).split())
    assert "requests 4,000/s p50 1.8 ms p99 8.5 ms" in text
    assert "memory of the workers 480 MiB, of Redis 48 MiB of 8,192 MiB" in text
    assert "silent 20 s" in text


def test_what_is_wrong_is_said_and_otherwise_that_nothing_is() -> None:
    assert WELL in shown(health(), [])
    said = shown(health("No matcher works for p00-p15.", matcher=None), [])
    assert WELL not in said
    assert "No matcher works" in said
    (matcher,) = [line.split() for line in said.splitlines() if "matcher-16" in line]
    assert matcher == ["matcher-16", "ready", "120", "MiB"]


def test_while_redis_is_away_only_that_is_said() -> None:
    away = Health(
        read_at=datetime(2026, 11, 24, tzinfo=UTC),
        complaints=("Redis does not answer.",),
        redis=False,
        postgresql=None,
        state=None,
    )
    assert shown(away, []).strip() == "Redis does not answer."


def test_the_busiest_symbols_come_first_and_idle_ones_not_at_all() -> None:
    tickers = [ticker(f"S{money}", money) for money in (3, 0, 9, 1, 7, 2, 5)]
    assert [found.symbol for found in busiest(tickers)] == ["S9", "S7", "S5", "S3", "S2"]
