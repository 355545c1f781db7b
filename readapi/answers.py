"""What the read API answers, from what Redis holds. Pure mapping."""

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

import msgspec

from protocol.registry import Broker
from protocol.units import SYMBOL_PATTERN
from runtime.http.problems import Problem

_SYMBOL = re.compile(SYMBOL_PATTERN)
_INTEGER = re.compile("[0-9]{1,9}")

encode = msgspec.json.encode


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
