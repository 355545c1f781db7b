"""What one partition has committed, read for the channels that tell of it.

It is read only while somebody has subscribed. Nobody waits for this reader: entries that are stored
and notified leave Redis after about a second. A reader that was away so long knows that it has lost
some, because the numbers of batches have no gap, and its channels begin again.
"""

from collections.abc import Sequence
from typing import cast

from protocol import codec, keys
from protocol.batches import BatchEntry
from protocol.commits import Position
from readapi.feed.trades import TradesChannel
from runtime.redis.channel import RedisCommand
from runtime.redis.events import committed_batches
from runtime.redis.order_log import RawEntry

BATCHES_MAX = 200  # That are read at once.


class Tape:
    """``cursor`` is the number of the last batch that was read, ``None`` before the first."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.cursor: int | None = None
        self.trades: dict[str, TradesChannel] = {}
        self._asked: list[TradesChannel] = []

    @property
    def is_empty(self) -> bool:
        return not self.trades

    def is_behind(self, position: Position, symbol: str) -> bool:
        """Whether there are trades of the symbol that were not read."""
        channel = self.trades.get(symbol)
        return channel is not None and position.trade_number > (channel.sequence or 0)

    def commands(self) -> list[RedisCommand]:
        """What to read. The number of the batch comes first: all up to it must be found. The
        positions come last, so a channel that begins leaves out what they count."""
        partition, cursor = self.partition, self.cursor
        self._asked = [
            channel
            for channel in self.trades.values()
            if cursor is None or channel.sequence is None
        ]
        commands: list[RedisCommand] = [("HGET", keys.batch(partition), "number")]
        if cursor is not None:
            stream = ("STREAMS", keys.events(partition), f"{cursor}-0")
            commands.append(("XREAD", "COUNT", BATCHES_MAX, *stream))
        positions = keys.positions(partition)
        return commands + [("HGET", positions, c.instrument.symbol) for c in self._asked]

    def read(self, replies: Sequence[object]) -> bool:
        """Tell what has come. Returns whether there is more to read at once."""
        number = int(cast("bytes", replies[0] or b"0"))
        positions = replies[len(replies) - len(self._asked) :]
        more = False
        if self.cursor is None:
            self.cursor = number
        else:
            more = self._read_batches(self.cursor, number, cast("list[object]", replies[1]))
        for channel, position in zip(self._asked, positions, strict=True):
            trades = Position.parse(cast("bytes", position)).trade_number if position else 0
            channel.begin(trades)
        return more

    def _read_batches(self, cursor: int, number: int, reply: list[object] | None) -> bool:
        raw = cast(
            "list[RawEntry]",
            dict(cast("list[tuple[bytes, object]]", reply or ())).get(
                keys.events(self.partition).encode(), []
            ),
        )
        batches = committed_batches(raw)
        if number > cursor and (not batches or batches[0].number != cursor + 1):
            self.cursor = None  # What is missing has left Redis.
            return True
        by_symbol: dict[str, list[BatchEntry]] = {}
        for committed in batches:
            for entry in codec.decode_batch(committed.payload).entries:
                if entry.symbol in self.trades:
                    by_symbol.setdefault(entry.symbol, []).append(entry)
            self.cursor = committed.number
        for symbol, entries in by_symbol.items():
            self.trades[symbol].read(entries)
        return len(batches) == BATCHES_MAX
