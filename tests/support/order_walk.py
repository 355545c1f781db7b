"""The example of docs/explanation/architecture.md: one order on its way through the real code.

``python -m tests.support.order_walk`` prints the blocks as the page must show them.
"""

import json
import re
import sys
from typing import Any

import msgspec

from ingress.intake import accepted, parse_order
from matcher.engine import Engine
from notifier.messages import messages_of
from persister.rows import (
    BALANCE_COLUMNS,
    ORDER_COLUMNS,
    TRADE_COLUMNS,
    Rows,
    StoredBatch,
)
from protocol import books, codec, ids, keys
from protocol.batches import GENESIS_HASH, Batch, BatchEntry, chain_hash
from protocol.events import Trade
from protocol.records import FillRecord
from protocol.units import format_time

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
    first_hash = _first_batch_hash(engine, codec.encode(ask))
    events = engine.apply(market, 2, BID_MS, codec.decode_command(payload))
    (trade,) = [event for event in events if isinstance(event, Trade)]
    records = [order.record(symbol, INSTRUMENT) for order in market.changed.values()]
    offered, bought = sorted(records, key=lambda record: record.sequence)
    fills = {
        keys.order_field(INSTRUMENT, sequence): FillRecord(
            trade.trade_number, trade.price, trade.quantity, counterparty, BID_MS
        )
        for sequence, counterparty in ((1, BUYER), (2, SELLER))
    }
    snapshot = market.view.refresh(market.sequence)
    assert snapshot is not None

    balances = dict(sorted(engine.balances.items()))
    entry = BatchEntry(symbol, INSTRUMENT, 2, BID_MS, payload, events)
    encoded = [codec.encode(record) for record in records]
    batch = Batch(2, PARTITION, [entry], encoded, balances)
    batch_payload = codec.encode(batch)
    batch_hash = chain_hash(first_hash, batch_payload)
    rows = Rows()
    rows.add(StoredBatch(batch, batch_hash, batch_payload))
    message = messages_of(batch)[0]

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
            ("bell", f"{keys.bell(PARTITION)}  s={symbol}"),
        ),
        "json answer": _json(accepted(symbol, bid, order_id, BID_MS)),
        "text events": "\n".join(_shown(event) for event in events),
        "text record": _shown(bought),
        "text commit": _table(
            (
                f"SET {keys.closed_order(PARTITION, field)}",
                f"the record, {len(codec.encode(bought))} bytes",
            ),
            (
                f"HSET {keys.open_orders(PARTITION)}",
                f"{INSTRUMENT}:1 → the record, {len(codec.encode(offered))} bytes",
            ),
            *[
                (f"RPUSH {keys.fills(PARTITION, order)}", _array(codec.encode(fill)))
                for order, fill in fills.items()
            ],
            (f"HSET {keys.positions(PARTITION)}", f"{symbol} → 2:{market.trade_number}"),
            (f"HSET {keys.books(PARTITION)}", f"{symbol} → {snapshot.decode()}"),
            (f"RPUSH {keys.prices(PARTITION, symbol)}", f"{trade.price}"),
            *[
                (f"HSET {keys.balances(PARTITION)}", f"{broker[:8]}… → {cash}")
                for broker, cash in balances.items()
            ],
            (f"XADD {keys.events(PARTITION)} 2-0", f"h={batch_hash[:8]}…  b=the batch"),
            (f"HSET {keys.batch(PARTITION)}", f"number → 2, hash → {batch_hash[:8]}…"),
        ),
        "text batch": _array(batch_payload),
        "text rows": "\n\n".join(
            f"{table}\n{_row(columns, row)}"
            for table, columns, row in (
                ("orders", ORDER_COLUMNS, rows.orders[order_id]),
                ("trades", TRADE_COLUMNS, rows.trades[0]),
                ("balances", BALANCE_COLUMNS, rows.balances[PARTITION, BUYER]),
            )
        ),
        "json book": _json(books.render(symbol, snapshot, 5)),
        "json webhook": _json(message.body),
    }


def _first_batch_hash(engine: Engine, ask: bytes) -> str:
    """Apply the ask, as the batch before this one did."""
    market = engine.market(SYMBOL, INSTRUMENT)
    events = engine.apply(market, 1, ASKED_MS, codec.decode_command(ask))
    records = [codec.encode(o.record(SYMBOL, INSTRUMENT)) for o in market.changed.values()]
    market.changed.clear()
    entry = BatchEntry(SYMBOL, INSTRUMENT, 1, ASKED_MS, ask, events)
    return chain_hash(GENESIS_HASH, codec.encode(Batch(1, PARTITION, [entry], records, {})))


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


def _row(columns: tuple[str, ...], row: tuple[Any, ...]) -> str:
    return _table(
        *[(f"  {name}", str(value) or "''") for name, value in zip(columns, row, strict=True)]
    )


if __name__ == "__main__":
    assert format_time(ASKED_MS).startswith("2026-11-23T13:00:00")
    for name, text in blocks().items():
        language, _, step = name.partition(" ")
        sys.stdout.write(f"{step}\n```{language}\n{text}\n```\n\n")
