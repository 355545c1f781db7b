"""Putting commands into the log as ingress does, for workers under test."""

from protocol import codec, keys
from protocol.commands import Command
from protocol.registry import Instrument
from runtime.redis.channel import Channel
from runtime.redis.functions.library import call
from runtime.redis.order_log import AppendRequest, Limits, append_call
from runtime.redis.registry import parse_instrument


def list_symbol(channel: Channel, symbol: str, partitions: int = 16) -> Instrument:
    reply = channel.execute(
        *call(
            "list_instrument",
            [keys.INSTRUMENTS, keys.LISTED, keys.REGISTRY],
            [symbol, partitions],
        )
    )
    listed = parse_instrument(reply)
    return Instrument(listed.symbol, listed.number, listed.partition)


def append(channel: Channel, instrument: Instrument, *commands: Command | bytes) -> list[int]:
    """Append commands to one symbol; returns ``[time_ms, sequence...]``."""
    entries = [
        AppendRequest(instrument.symbol, c if isinstance(c, bytes) else codec.encode(c))
        for c in commands
    ]
    reply: list[int] = channel.execute(*append_call(instrument.partition, entries, Limits()))
    return reply
