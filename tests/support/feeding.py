"""Putting commands into the log and entries into the registry as ingress does, for workers under
test."""

from protocol import codec
from protocol.commands import Command
from protocol.enums import ExecutionPrice
from protocol.registry import Directory, Instrument, RegistryEntry
from runtime.redis import genesis
from runtime.redis.channel import Channel
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace, append_to
from runtime.redis.functions.register import register as register_call
from runtime.redis.functions.register_instrument import register_instrument
from runtime.redis.genesis import Genesis


def history_of(channel: Channel) -> str:
    """The name of the present history."""
    return genesis.read(channel).history_id


class KnownExchange:
    """What an appender knows of the exchange on a Redis: the history as of the last look."""

    def __init__(self, url: str, *instruments: Instrument) -> None:
        self.directory = Directory(instruments={i.symbol: i for i in instruments})
        self.genesis = Genesis("unknown yet", 0, 16, ExecutionPrice.MAKER, 1)
        self._url = url

    async def follow_history(self) -> None:
        channel = Channel(self._url, "tests-history")
        try:
            self.genesis = genesis.read(channel)
        finally:
            channel.close()


def list_symbol(channel: Channel, symbol: str, partitions: int = 16) -> Instrument:
    return channel.call(register_instrument(history_of(channel), symbol, partitions))


def register(channel: Channel, entry: RegistryEntry) -> None:
    channel.call(register_call(history_of(channel), entry))


def send(
    channel: Channel, partition: int, *requests: AppendRequest, limits: Limits | None = None
) -> list[LogPlace | None]:
    """Append requests to the logs of a partition; ``None`` for each that was refused."""
    call = append_to(history_of(channel), partition, requests, limits or Limits())
    return channel.call(call)


def append(channel: Channel, instrument: Instrument, *commands: Command | bytes) -> list[LogPlace]:
    """Append commands to the log of one symbol, where none of them is refused."""
    requests = [
        AppendRequest(instrument.symbol, c if isinstance(c, bytes) else codec.encode(c))
        for c in commands
    ]
    places = [p for p in send(channel, instrument.partition, *requests) if p is not None]
    assert len(places) == len(commands), "one was refused"
    return places
