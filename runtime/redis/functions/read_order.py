"""``read_order``: an order wherever it is in Redis."""

from typing import Any, NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call
from runtime.redis.order_log import LogEntry, log_entries


class StoredOrder(NamedTuple):
    """An order as a commit has left it, or, where ``record`` is ``None``, its entry in the log;
    both are ``None`` where Redis has neither. ``record`` and ``fills`` are encoded, the fills
    oldest first."""

    record: bytes | None
    fills: list[bytes]
    entry: LogEntry | None


def read_order(
    partition: int, symbol: str, instrument_number: int, sequence: int
) -> FunctionCall[StoredOrder]:
    """Read the order whose entry in the log of ``symbol`` is ``sequence``."""
    field = keys.order_field(instrument_number, sequence)
    return function_call(
        "read_order",
        [
            keys.open_orders(partition),
            keys.closed_order(partition, field),
            keys.fills(partition, field),
            keys.orders(partition, symbol),
        ],
        [field, f"{sequence}-0"],
        _read,
        "FCALL_RO",
    )


def _read(reply: list[Any]) -> StoredOrder:
    record, found = reply
    if record is not None:
        return StoredOrder(record, found, None)
    entries = log_entries(found)
    return StoredOrder(None, [], entries[0] if entries else None)
