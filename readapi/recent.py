"""What matchers have committed and PostgreSQL may not have yet: the end of each partition's events,
kept decoded in memory from one request to the next.

PostgreSQL is a moment behind. So a list is what PostgreSQL had stored, and over it the batches that
it had not. Redis is read first and PostgreSQL afterwards. So every batch that PostgreSQL lacks is
among those that were read: nothing leaves the events before it is stored
(docs/decisions/0026-lists-of-two-stores.md).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from protocol import codec, ids, keys
from protocol.batches import BatchEntry
from protocol.enums import Side
from protocol.events import Trade, TradeBusted
from protocol.partitions import all_partitions, partition_name
from protocol.records import OrderRecord
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.postgres.lists import Stored, StoredFill
from runtime.redis.channel import AsyncChannel, RedisCommand
from runtime.redis.events import committed_batches
from runtime.redis.order_log import RawEntry

BATCHES_MAX = 50
"""Batches of a partition that are read at once."""
TRIES = 3
BYTES_MAX = 64 * 2**20
"""Encoded batches that may be kept. A longer rest means that PostgreSQL does not keep up."""


class RecentBatch:
    """One batch, by broker: ``orders`` by id, ``fills``, what trades and busts add to ``holdings``
    by symbol; and of all brokers the trades that were ``busted``, and the taker's fill of each
    trade in ``taken``, in order."""

    __slots__ = ("busted", "fills", "holdings", "number", "orders", "size", "taken")

    def __init__(self, number: int, payload: bytes) -> None:
        self.number = number
        self.size = len(payload)
        self.orders: defaultdict[str, dict[str, OrderRecord]] = defaultdict(dict)
        self.fills: defaultdict[str, list[StoredFill]] = defaultdict(list)
        self.holdings: defaultdict[str, defaultdict[str, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        self.busted: set[tuple[int, int]] = set()
        self.taken: list[StoredFill] = []
        batch = codec.decode_batch(payload)
        for encoded in batch.orders:
            record = codec.decode_order(encoded)
            self.orders[record.broker_id][record.order_id] = record
        for entry in batch.entries:
            for event in entry.events:
                if type(event) is Trade:
                    self._add_trade(entry, event)
                elif type(event) is TradeBusted:
                    self._add_bust(entry, event)

    def _add_trade(self, entry: BatchEntry, trade: Trade) -> None:
        for fill, broker_id in fills_of(entry, trade):
            self.fills[broker_id].append(fill)
            sign = 1 if fill.side == Side.BID.value else -1
            self.holdings[broker_id][entry.symbol] += sign * trade.quantity
        self.taken.append(fill)  # The taker's fill is the second one.

    def _add_bust(self, entry: BatchEntry, bust: TradeBusted) -> None:
        self.busted.add((entry.instrument_number, bust.trade_number))
        self.holdings[bust.buyer_broker_id][entry.symbol] -= bust.quantity
        self.holdings[bust.seller_broker_id][entry.symbol] += bust.quantity


def fills_of(entry: BatchEntry, trade: Trade) -> Iterator[tuple[StoredFill, str]]:
    """The two sides of a trade, each with its broker."""
    number = entry.instrument_number
    trade_id = ids.encode(entry.time_ms, number, trade.trade_number, ids.TRADE)
    maker = (trade.maker_created_ms, trade.maker_sequence, trade.maker_broker_id)
    taker = (trade.taker_created_ms, trade.taker_sequence, trade.taker_broker_id)
    for liquidity, side, mine, other in (
        ("maker", trade.taker_side.opposite, maker, taker),
        ("taker", trade.taker_side, taker, maker),
    ):
        created_ms, sequence, broker_id = mine
        fill = StoredFill(
            trade_id=trade_id,
            liquidity=liquidity,
            instrument_number=number,
            trade_number=trade.trade_number,
            symbol=entry.symbol,
            order_id=ids.encode(created_ms, number, sequence),
            side=side.value,
            price=trade.price,
            quantity=trade.quantity,
            counterparty_broker_id=other[2],
            executed_ms=entry.time_ms,
            is_busted=False,
        )
        yield fill, broker_id


class Part(NamedTuple):
    """The end of one partition's events: the ``batches`` after the number ``base``, without a gap,
    up to the number ``last``. What is at or below ``base`` is stored."""

    history_id: str
    base: int
    last: int
    batches: tuple[RecentBatch, ...]


class View(NamedTuple):
    """What there was at one moment, by partition. It stays as it is."""

    history_id: str
    parts: dict[int, Part]

    def is_continued_by(self, stored: Stored) -> bool:
        """Whether ``stored``, which was read later, and these batches leave nothing out."""
        return stored.history_id == self.history_id and all(
            part.base <= stored.numbers.get(partition_name(partition), 0)
            for partition, part in self.parts.items()
        )

    def beyond(self, stored: Stored | None = None) -> Iterator[RecentBatch]:
        """The batches that are not in ``stored``, each partition in its order; else all."""
        for partition, part in self.parts.items():
            number = 0
            if stored is not None:
                number = stored.numbers.get(partition_name(partition), 0)
            for batch in part.batches:
                if batch.number > number:
                    yield batch


class Recent:
    """The end of all events, as far as this process has read it. It has a connection of its own,
    so that no other read waits behind its long answers."""

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._channel = AsyncChannel(settings.redis_url, f"recent-{settings.instance}")
        self._context = context
        self._parts: dict[int, Part] = {}
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        await self._channel.close()

    async def view(self) -> View:
        """All batches that PostgreSQL may lack, as of now or later.

        Raises ``unavailable`` where the partitions are in two histories, which is so for a moment
        while a new one begins, and where PostgreSQL is too far behind.
        """
        partitions = all_partitions(self._context.genesis.partitions)
        async with self._lock:
            unknown = [p for p in partitions if p not in self._parts]
            if unknown:
                await self._begin(unknown)
            behind: tuple[int, ...] | list[int] = partitions
            while behind:
                behind = await self._read(behind)
                if sum(b.size for part in self._parts.values() for b in part.batches) > BYTES_MAX:
                    self._parts.clear()
                    raise Problem("unavailable", "PostgreSQL is too far behind; try again later")
            parts = dict(self._parts)
        histories = {part.history_id for part in parts.values()}
        if len(histories) != 1:
            raise Problem("unavailable", "a new history begins; try again after Retry-After")
        return View(histories.pop(), parts)

    def forget(self, stored: Stored) -> None:
        """Let go of what is stored. Views that were given out keep it."""
        for partition, part in self._parts.items():
            number = stored.numbers.get(partition_name(partition), 0)
            if stored.history_id == part.history_id and part.base < number <= part.last:
                batches = tuple([b for b in part.batches if b.number > number])
                self._parts[partition] = part._replace(base=number, batches=batches)

    async def together(
        self, view: View, read: Callable[[View], Awaitable[Stored]]
    ) -> tuple[View, Stored]:
        """What is stored, and a view that was taken before and leaves nothing out.

        Raises ``unavailable`` where there is no PostgreSQL, or one of another history.
        """
        if not self._context.archive.is_there:
            raise Problem("unavailable", "this process does not know the address of PostgreSQL")
        for _ in range(TRIES):
            stored = await read(view)
            if view.is_continued_by(stored):
                self.forget(stored)
                return view, stored
            view = await self.view()  # A new history has begun.
        raise Problem("unavailable", "Redis and PostgreSQL are in two histories; try again later")

    async def _begin(self, partitions: list[int]) -> None:
        """Start where PostgreSQL stands by the word of Redis, which is never too much."""
        commands: list[RedisCommand] = []
        for partition in partitions:
            # The history first: if another one begins in between, the next look will tell.
            commands.append(("HGET", keys.batch(partition), "history"))
            commands.append(("GET", keys.stored(partition)))
        replies: list[bytes | None] = await self._channel.all_ok(commands)
        for partition, history, stored in zip(partitions, replies[::2], replies[1::2], strict=True):
            number = int(stored or 0)
            self._parts[partition] = Part((history or b"").decode(), number, number, ())

    async def _read(self, partitions: tuple[int, ...] | list[int]) -> list[int]:
        """Read what is new; returns the partitions that may have more."""
        commands: list[RedisCommand] = []
        for partition in partitions:
            batch, last = keys.batch(partition), self._parts[partition].last
            commands += [
                ("HMGET", batch, "history", "number"),
                ("XRANGE", keys.events(partition), f"{last + 1}-0", "+", "COUNT", BATCHES_MAX),
                ("HGET", batch, "history"),
            ]
        replies = await self._channel.all_ok(commands)
        more = []
        for at, partition in enumerate(partitions):
            (before, number), raw, after = replies[3 * at : 3 * at + 3]
            part = self._parts[partition]
            if before != after or (before or b"").decode() != part.history_id:
                await self._begin([partition])
                more.append(partition)
                continue
            self._parts[partition] = _continued(part, int(number or 0), raw)
            if len(raw) == BATCHES_MAX:
                more.append(partition)
            await asyncio.sleep(0)  # Decoding takes its time, and others have requests too.
        return more


def _continued(part: Part, number: int, raw: list[RawEntry]) -> Part:
    """The part with the batches that were read. ``number`` is of the last commit before that."""
    found = [RecentBatch(b.number, b.payload) for b in committed_batches(raw)]
    # Where the first one does not follow, those between were trimmed: they are stored.
    first = found[0].number if found else max(part.last, number) + 1
    if first == part.last + 1:
        last = found[-1].number if found else part.last
        return part._replace(last=last, batches=(*part.batches, *found))
    last = found[-1].number if found else first - 1
    return Part(part.history_id, first - 1, last, tuple(found))
