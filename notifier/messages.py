"""Makes webhook messages of execution reports. Pure: a report gives the same bytes each time.

A message wraps the report, which is its ``data``. The message of a trade also has, beside it, the
members that it had before there were reports. There ``price`` and ``quantity`` are those of the
trade, while in the report they are those of the order.
"""

from typing import Any

import msgspec

from protocol.enums import ReportType
from protocol.reports import Report, ReportBody
from protocol.webhooks import OutgoingMessage, QueuedMessage


def message_of(report: Report, sequence: int, now_ms: int) -> OutgoingMessage:
    """The message of a report that has this number among those of its broker."""
    queued = QueuedMessage(report.type.value, sequence, now_ms, _payload(report, sequence))
    return OutgoingMessage(report.message_id, queued)


def _payload(report: Report, sequence: int) -> bytes:
    told = report.told
    head: dict[str, Any] = {
        "type": told.type.value,
        "timestamp": told.timestamp,
        "sequence": sequence,
    }
    if told.type is ReportType.EXECUTED:
        head |= _trade(told)
    return msgspec.json.encode(head)[:-1] + b',"data":' + report.body(sequence) + b"}"


def _trade(told: ReportBody) -> dict[str, Any]:
    return {
        "event": "trade_executed",
        "trade_id": told.trade_id,
        "order_id": told.order_id,
        "symbol": told.symbol,
        "side": told.side.value,
        "price": told.last_price,
        "quantity": told.last_quantity,
        "order_remaining_quantity": told.remaining_quantity,
        "executed_at": told.timestamp,
    }
