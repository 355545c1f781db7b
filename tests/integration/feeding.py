"""Putting commands into the log as ingress does, for workers under test."""

from typing import Any

from protocol import codec, keys
from protocol.commands import Command
from protocol.registry import Instrument
from runtime.connections import Channel
from runtime.functions import call
from runtime.registry import parse_instrument


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
    partition, symbol = instrument.partition, instrument.symbol
    arguments: list[Any] = [1, symbol]
    for command in commands:
        arguments += (1, command if isinstance(command, bytes) else codec.encode(command))
    reply: list[int] = channel.execute(
        *call(
            "append",
            [keys.heads(partition), keys.bell(partition), keys.orders(partition, symbol)],
            arguments,
        )
    )
    return reply
