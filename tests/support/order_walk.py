"""The example of docs/explanation/architecture.md: one order on its way through the real code.

``python -m tests.support.order_walk`` prints the blocks as the page must show them.
"""

import json
import re
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import DateTime, Table

from ingress.intake import accepted, parse_order
from matcher.changes import Changes
from matcher.engine import Engine
from matcher.market import Market
from notifier.messages import message_of
from persister.rows import TRADE_COLUMNS, Rows, StoredBatch
from protocol import codec, ids, keys
from protocol.batches import GENESIS_HASH, BatchEntry, CommittedBatch, chain_hash
from protocol.commits import Commit
from protocol.events import Event
from protocol.records import Special
from protocol.reports import reports_of
from protocol.units import format_time, timestamp
from readapi.answers import book_answer
from runtime.postgres import tables
from runtime.postgres.binary import EPOCH_MS
from runtime.postgres.order_rows import OrderRow

SELLER = "0b2f64a4-7b1c-4c5d-9a3e-5f0a6c1d2e01"
BUYER = "c7d1e9f2-3a4b-4d6c-8e5f-1a2b3c4d5e02"
SYMBOL, INSTRUMENT, PARTITION = "PETR4", 1, 3
ASKED_MS = 1_795_438_800_000  # 2026-11-23T13:00:00Z, a Monday in the session.
BID_MS = ASKED_MS + 250

ASK_BODY = """\
{"document_number": "11122233344", "side": "ask", "order_type": "limit", "symbol": "PETR4",
 "price": 1000, "quantity": 1000, "valid_until": "2030-01-01T00:00:00Z"}"""
BID_BODY = """\
{"document_number": "55566677788", "side": "bid", "order_type": "limit", "symbol": "PETR4",
 "price": 1050, "quantity": 400, "valid_until": "2030-01-01T00:00:00Z"}"""


def blocks() -> dict[str, str]:
    """The code blocks of the page, by the language and the name of their step."""
    _, ask = parse_order(ASK_BODY.encode(), SELLER)
    symbol, bid = parse_order(BID_BODY.encode(), BUYER)
    payload = codec.encode(bid)
    order_id = ids.encode(BID_MS, INSTRUMENT, 2)

    engine = Engine()
    market = engine.market(symbol, INSTRUMENT)
    first, _ = _apply(engine, market, 1, ASKED_MS, codec.encode(ask), (0, GENESIS_HASH))
    commit, events = _apply(engine, market, 2, BID_MS, payload, (first.number, first.hash))
    batch = codec.decode_batch(commit.payload)
    book = first.snapshots[symbol] + commit.book_changes[symbol]
    rows = Rows()
    committed = CommittedBatch(commit.number, commit.hash, commit.payload)
    rows.add(StoredBatch(batch, committed, timestamp(BID_MS).date()))
    message = message_of(reports_of(batch, BUYER)[-1], 2, BID_MS)  # 1 was accepted.
    field = keys.order_field(INSTRUMENT, 2)
    return {
        "json body": BID_BODY,
        "text command": _shown(bid),
        "text bytes": f"{_array(payload)}\n{len(payload)} bytes: {_hex(payload)}",
        "text log": _table(
            ("stream", keys.orders(PARTITION, symbol)),
            ("entry id", "2-0"),
            ("field t", f"{BID_MS}"),
            ("field c", f"the {len(payload)} bytes of step 3"),
            (
                "bell",
                f"{keys.bell(PARTITION)}  s={symbol}  t={BID_MS}  {symbol} 2-0=the same bytes",
            ),
        ),
        "json answer": _json(accepted(symbol, bid, order_id, BID_MS)),
        "text events": "\n".join(_shown(event) for event in events),
        "text record": _shown(codec.decode_order(commit.closed_orders[field])),
        "text commit": _table(
            *_changes(commit),
        ),
        "text batch": _array(commit.payload),
        "text rows": "\n\n".join(
            f"{table.name}\n{_row(table, row)}"
            for table, row in (
                (tables.orders, _plain(rows.new_orders[0])),
                (tables.trades, dict(zip(TRADE_COLUMNS, rows.trades[0], strict=True))),
                (
                    tables.balances,
                    {
                        "partition": PARTITION,
                        "broker_id": BUYER,
                        "cash": rows.balances[PARTITION, BUYER],
                    },
                ),
            )
        ),
        "json book": _json(book_answer(symbol, book, 5)),
        "json webhook": _json(message.queued.payload),
    }


def _apply(
    engine: Engine,
    market: Market,
    sequence: int,
    time_ms: int,
    payload: bytes,
    last: tuple[int, str],
) -> tuple[Commit, list[Event]]:
    """A batch of one entry, as the matcher makes it."""
    events = engine.apply(market, sequence, time_ms, codec.decode_command(payload))
    changes = Changes(PARTITION, engine)
    entry = BatchEntry(market.symbol, INSTRUMENT, sequence, time_ms, payload, events)
    changes.add(market, [entry])
    return _sorted(changes.take(*last, bell=sequence), last[1]), events


def _sorted(commit: Commit, last_hash: str) -> Commit:
    """The same commit with its balances in one order. The matcher takes them from a set, whose
    order is another in every process."""
    balances = dict(sorted(commit.balances.items()))
    batch = msgspec.structs.replace(codec.decode_batch(commit.payload), balances=balances)
    payload = codec.encode(batch)
    changed = {"payload": payload, "hash": chain_hash(last_hash, payload)}
    return msgspec.structs.replace(commit, balances=balances, **changed)


def _changes(commit: Commit) -> Iterator[tuple[str, str]]:
    """What the Function ``commit`` writes, as commands of Redis."""
    for field, record in commit.closed_orders.items():
        yield f"SET {keys.closed_order(PARTITION, field)}", f"the record, {len(record)} bytes"
    for field, record in commit.open_orders.items():
        yield f"HSET {keys.open_orders(PARTITION)}", f"{field} → the record, {len(record)} bytes"
    for field, fills in commit.fills.items():
        for fill in fills:
            yield f"RPUSH {keys.fills(PARTITION, field)}", _array(fill)
    for symbol, position in commit.positions.items():
        yield f"HSET {keys.positions(PARTITION)}", f"{symbol} → {position}"
    for symbol, snapshot in commit.snapshots.items():
        yield f"SET {keys.book(PARTITION, symbol)}", snapshot.decode()
    for symbol, change in commit.book_changes.items():
        yield f"APPEND {keys.book(PARTITION, symbol)}", json.dumps(change.decode())
    for symbol, prices in commit.prices.items():
        yield f"RPUSH {keys.prices(PARTITION, symbol)}", " ".join(map(str, prices))
    for broker, cash in commit.balances.items():
        yield f"HSET {keys.balances(PARTITION)}", f"{broker[:8]}… → {cash}"
    short = f"{commit.hash[:8]}…"
    yield f"XADD {keys.events(PARTITION)} {commit.number}-0", f"h={short}  b=the batch"
    yield f"HSET {keys.batch(PARTITION)}", f"number → {commit.number}, hash → {short}"
    yield f"SPUBLISH {keys.decided(PARTITION)}", _array(commit.decided)


def _shown(struct: Any) -> str:
    return _wrapped(re.sub(r"<(\w+\.\w+): '\w*'>", r"\1", repr(struct)))


def _array(payload: bytes) -> str:
    """msgpack as a list, with the bytes inside it left out."""
    return _wrapped(_short(msgspec.msgpack.decode(payload)))


def _short(value: Any) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return json.dumps(value)


def _hex(payload: bytes) -> str:
    return f"{payload[:12].hex(' ')} …"


def _json(body: bytes) -> str:
    return _wrapped(json.dumps(json.loads(body)))


def _wrapped(text: str) -> str:
    """Lines of at most 96 characters, broken after a comma."""
    lines = [""]
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if len(joined) < 96:
            lines[-1] = joined
        else:
            lines[-1] += ","
            lines.append(f"  {part}")
    return "\n".join(lines)


def _table(*rows: tuple[str, str]) -> str:
    width = max(len(left) for left, _ in rows)
    return "\n".join(f"{left:{width}}  {right}" for left, right in rows)


def _plain(row: OrderRow) -> dict[str, Any]:
    """Without the columns that only special orders have."""
    values = row._asdict()
    assert all(values[name] is None for name in Special.__struct_fields__)
    return {name: v for name, v in values.items() if name not in Special.__struct_fields__}


def _row(table: Table, row: dict[str, Any]) -> str:
    return _table(
        *[(f"  {name}", str(_read(table, name, value)) or "''") for name, value in row.items()]
    )


def _read(table: Table, column: str, value: Any) -> Any:
    """A value as a query finds it."""
    if isinstance(value, bytes):
        return uuid.UUID(bytes=value)
    if isinstance(table.c[column].type, DateTime):
        return timestamp(EPOCH_MS + value // 1000)
    return value


if __name__ == "__main__":
    assert format_time(ASKED_MS).startswith("2026-11-23T13:00:00")
    for name, text in blocks().items():
        language, _, step = name.partition(" ")
        sys.stdout.write(f"{step}\n```{language}\n{text}\n```\n\n")
