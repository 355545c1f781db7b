"""What the read API answers, from what Redis holds. Pure mapping."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from protocol import ids
from protocol.problems import Problem
from protocol.records import FillRecord, OrderRecord
from protocol.registry import Broker
from protocol.units import SYMBOL_PATTERN, format_time

_SYMBOL = re.compile(SYMBOL_PATTERN)
_INTEGER = re.compile("[0-9]{1,9}")

encode = msgspec.json.encode


def order_answer(order: OrderRecord, fills: Iterable[FillRecord]) -> bytes:
    """The body of ``GET /orders/{id}``; ``document_number`` stays out of it only for others,
    and only the order's own broker gets here."""
    return encode(
        {
            "id": order.order_id,
            "document_number": order.document_number,
            "symbol": order.symbol,
            "side": order.side.value,
            "order_type": order.order_type.value,
            "price": order.price,
            "quantity": order.quantity,
            "filled_quantity": order.filled_quantity,
            "remaining_quantity": order.open_quantity,
            "filled_notional": order.filled_notional,
            "status": "open" if order.state.is_open else "closed",
            "state": order.state.value,
            "state_reason": order.reason.value or None,
            "valid_until": _time(order.valid_until_ms),
            "created_at": format_time(order.created_ms),
            "updated_at": format_time(order.updated_ms),
            "version": order.version,
            "trades": [_fill(order.instrument_number, fill) for fill in fills],
        }
    )


def _fill(instrument_number: int, fill: FillRecord) -> dict[str, Any]:
    return {
        "trade_id": ids.encode(fill.executed_ms, instrument_number, fill.trade_number, ids.TRADE),
        "price": fill.price,
        "quantity": fill.quantity,
        "counterparty_broker": fill.counterparty_broker_id,
        "executed_at": format_time(fill.executed_ms),
    }


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)


def price_answer(symbol: str, prices: list[bytes]) -> bytes:
    """The body of ``GET /stocks/{symbol}/price``; ``prices`` oldest first.

    The average is that of the trades' prices, each trade counting once, in whole cents with half
    a cent rounded up.
    """
    if not prices:
        raise Problem("never_traded", f"{symbol} has no trade yet")
    count = len(prices)
    average = (2 * sum(map(int, prices)) + count) // (2 * count)
    return (
        f'{{"symbol":"{symbol}","last_price":{int(prices[-1])},'
        f'"average_price":{average},"trades_in_average":{count}}}'
    ).encode()


def balance_answer(broker: Broker, cash: Iterable[bytes | None]) -> bytes:
    """The body of ``GET /balance``; one amount per partition, absent where the broker never
    traded."""
    balance = sum(int(amount) for amount in cash if amount is not None)
    return encode({"broker_id": broker.broker_id, "broker_name": broker.name, "balance": balance})


def check_symbol(symbol: str) -> str:
    if not _SYMBOL.fullmatch(symbol):
        raise Problem("invalid_symbol", "1 to 12 of A-Z, 0-9 and the dot")
    return symbol


def integer_parameter(query: bytes, name: str, default: int, most: int) -> int:
    """An integer of the query string, from 1 to ``most``. Unknown parameters are refused."""
    if not query:
        return default
    value = default
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=10)
    except ValueError as error:
        raise Problem("invalid_parameter", "the query string cannot be read") from error
    for key, text in pairs:
        if key != name:
            raise Problem("invalid_parameter", f"unknown parameter; known: {name}")
        if not _INTEGER.fullmatch(text) or not 1 <= int(text) <= most:
            raise Problem("invalid_parameter", f"{name} is an integer from 1 to {most}")
        value = int(text)
    return value
