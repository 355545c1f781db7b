"""``trades:SYMBOL``: every trade of the symbol, numbered from 1 without a gap."""

from typing import ClassVar

from protocol import ids
from protocol.batches import BatchEntry
from protocol.events import Trade
from protocol.registry import Instrument
from protocol.units import format_time
from readapi.feed.channel import Channel
from readapi.feed.messages import ChannelName, frame


class TradesChannel(Channel):
    conflates: ClassVar[bool] = False

    def __init__(self, name: ChannelName, instrument: Instrument) -> None:
        super().__init__(name)
        self.instrument = instrument

    def begin(self, sequence: int) -> None:
        """``sequence`` trades have been made. Whoever is subscribed learns where the channel goes
        on: at its beginning, and when trades between are not going to be sent."""
        if self.sequence is None or sequence > self.sequence:
            self.sequence = sequence
            self.publish(self.snapshot())

    def read(self, entries: list[BatchEntry]) -> None:
        """Tell the trades of some entries of the log. Those that were told before are left out."""
        if self.sequence is None:
            return
        frames = []
        for entry in entries:
            for event in entry.events:
                if isinstance(event, Trade) and event.trade_number > self.sequence:
                    self.sequence = event.trade_number
                    frames.append(self._render(entry, event))
        if frames:
            self.publish(b"".join(frames))

    def snapshot(self) -> bytes:
        return frame(channel=str(self.name), type="snapshot", sequence=self.sequence)

    def _render(self, entry: BatchEntry, trade: Trade) -> bytes:
        number = trade.trade_number
        return frame(
            channel=str(self.name),
            type="trade",
            sequence=number,
            trade_id=ids.encode(entry.time_ms, entry.instrument_number, number, ids.TRADE),
            price=trade.price,
            quantity=trade.quantity,
            aggressor_side=trade.taker_side.value,
            executed_at=format_time(entry.time_ms),
        )
