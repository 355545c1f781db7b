"""Makes webhook messages of trades. Pure: the same batch gives the same messages, byte for byte."""

from typing import NamedTuple

import msgspec

from protocol import ids
from protocol.batches import Batch, BatchEntry
from protocol.enums import Side
from protocol.events import Trade
from protocol.units import format_time


class Message(NamedTuple):
    """One message to one broker. ``message_id`` is the ``webhook-id`` and stays the same when the
    call is repeated. ``body`` is JSON without its sequence, which the queue adds."""

    broker_id: str
    message_id: str
    body: bytes


def messages_of(batch: Batch) -> list[Message]:
    """Two messages per trade, one for each side."""
    messages = []
    for entry in batch.entries:
        for event in entry.events:
            if isinstance(event, Trade):
                taker_side = event.taker_side
                messages.append(_message(entry, event, taker_side, is_maker=False))
                messages.append(_message(entry, event, taker_side.opposite, is_maker=True))
    return messages


def _message(entry: BatchEntry, trade: Trade, side: Side, *, is_maker: bool) -> Message:
    number = entry.instrument_number
    if is_maker:
        broker_id, created_ms = trade.maker_broker_id, trade.maker_created_ms
        sequence, remaining = trade.maker_sequence, trade.maker_open_quantity
    else:
        broker_id, created_ms = trade.taker_broker_id, trade.taker_created_ms
        sequence, remaining = trade.taker_sequence, trade.taker_open_quantity
    trade_id = ids.encode(entry.time_ms, number, trade.trade_number, ids.TRADE)
    executed_at = format_time(entry.time_ms)
    body = {
        "type": "trade.executed",
        "timestamp": executed_at,
        "event": "trade_executed",
        "trade_id": trade_id,
        "order_id": ids.encode(created_ms, number, sequence),
        "symbol": entry.symbol,
        "side": side.value,
        "price": trade.price,
        "quantity": trade.quantity,
        "order_remaining_quantity": remaining,
        "executed_at": executed_at,
    }
    return Message(broker_id, f"{trade_id}-{side.value}", msgspec.json.encode(body))


class QueuedMessage(NamedTuple):
    """A message as the queue keeps it: ``SEQUENCE ATTEMPTS BODY``."""

    sequence: int
    attempts: int
    body: bytes

    @classmethod
    def decode(cls, stored: bytes) -> "QueuedMessage":
        sequence, attempts, body = stored.split(b" ", 2)
        return cls(int(sequence), int(attempts), body)

    def encode(self) -> bytes:
        return b"%d %d %s" % (self.sequence, self.attempts, self.body)

    def failed(self) -> "QueuedMessage":
        return self._replace(attempts=self.attempts + 1)

    @property
    def payload(self) -> bytes:
        """The bytes that are signed and sent, with the sequence."""
        return b'%s,"sequence":%d}' % (self.body[:-1], self.sequence)
