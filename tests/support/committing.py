"""Batches put on a partition's events by hand, for what stores and reads them."""

from protocol import codec, keys
from protocol.batches import GENESIS_HASH, Batch, BatchEntry, chain_hash
from protocol.commands import Tick
from protocol.events import Event
from protocol.records import InstrumentRecord, OrderRecord
from protocol.registry import Instrument
from runtime.redis.channel import Channel

TICK = codec.encode(Tick())


def entry(instrument: Instrument, sequence: int, time_ms: int, *events: Event) -> BatchEntry:
    """An entry of the instrument's log; the command does not matter to who reads events."""
    return BatchEntry(instrument.symbol, instrument.number, sequence, time_ms, TICK, [*events])


def commit(
    channel: Channel,
    partition: int,
    *entries: BatchEntry,
    orders: tuple[OrderRecord, ...] = (),
    instruments: tuple[InstrumentRecord, ...] = (),
) -> int:
    """Publish the next batch of a partition; returns its number."""
    number, last_hash = channel.execute("HMGET", keys.batch(partition), "number", "hash")
    batch = Batch(
        number=int(number or 0) + 1,
        partition=partition,
        entries=[*entries],
        orders=[codec.encode(record) for record in orders],
        balances={},
        instruments={record.symbol: codec.encode(record) for record in instruments},
    )
    payload = codec.encode(batch)
    chained = chain_hash((last_hash or GENESIS_HASH.encode()).decode(), payload)
    channel.all_ok(
        [
            ("XADD", keys.events(partition), f"{batch.number}-0", "h", chained, "b", payload),
            ("HSET", keys.batch(partition), "number", batch.number, "hash", chained),
        ]
    )
    return batch.number
