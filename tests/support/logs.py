"""What is in the logs."""

from protocol import codec, keys
from protocol.commands import Command
from protocol.registry import Instrument
from runtime.redis.channel import Channel
from runtime.redis.order_log import log_entries


def commands_of(redis_url: str, symbol: str) -> list[Command]:
    """All commands in the log of a listed symbol."""
    channel = Channel(redis_url, "tests-log")
    try:
        instrument = Instrument.parse(channel.execute("HGET", keys.INSTRUMENTS, symbol))
        log = keys.orders(instrument.partition, symbol)
        entries = log_entries(channel.execute("XRANGE", log, "-", "+"))
        return [codec.decode_command(entry.command) for entry in entries]
    finally:
        channel.close()
