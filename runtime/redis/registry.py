"""Keeping a :class:`~protocol.registry.Directory` up to date with the registry stream."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from protocol import codec, keys
from protocol.registry import Directory, Instrument, InstrumentListed, RegistryEntry
from runtime.process.errors import HistoryMismatch
from runtime.redis.channel import AsyncChannel, Channel, RedisCommand, RedisError
from runtime.redis.order_log import RawEntry

log = logging.getLogger(__name__)

LAST_REGISTERED: RedisCommand = ("XREVRANGE", keys.REGISTRY, "+", "-", "COUNT", 1)

TAIL_BLOCK_MS = 5000
TAIL_TIMEOUT_SECONDS = TAIL_BLOCK_MS / 1000 + 5


def registry_entries(raw: Sequence[RawEntry]) -> list[tuple[int, RegistryEntry]]:
    """Entries of the registry with their sequences. The field ``e`` holds an encoded entry, the
    field ``i`` an instrument."""
    return [(int(name[:-2]), _decode(*fields)) for name, fields in raw]


def _decode(field: bytes, value: bytes) -> RegistryEntry:
    if field == b"i":
        listed = Instrument.parse(value)
        return RegistryEntry([InstrumentListed(listed.symbol, listed.number, listed.partition)])
    return codec.decode_registry(value)


def apply_entries(directory: Directory, raw: Sequence[RawEntry]) -> None:
    """Entries at or below the directory's sequence are skipped; a gap is a lost registration."""
    for sequence, entry in registry_entries(raw):
        if sequence <= directory.sequence:
            continue
        if sequence != directory.sequence + 1:
            raise HistoryMismatch(
                f"the registry jumps from {directory.sequence} to {sequence}:"
                " Redis has lost entries; restore it from PostgreSQL"
            )
        directory.apply(sequence, entry)


def _read_command(directory: Directory) -> RedisCommand:
    return ("XRANGE", keys.REGISTRY, f"({directory.sequence}-0", "+")


def refresh(directory: Directory, channel: Channel) -> None:
    apply_entries(directory, channel.execute(*_read_command(directory)))


class RegistryReader:
    """The directory of an asyncio process: tailed in the background, refreshed on demand."""

    def __init__(
        self, url: str, name: str, directory: Directory, verify: Callable[[], Awaitable[None]]
    ) -> None:
        """``verify`` is awaited whenever Redis is back after it was away: it may have less now."""
        self.directory = directory
        self._asked = AsyncChannel(url, f"{name}-registry")
        self._tailed = AsyncChannel(url, f"{name}-registry-tail", TAIL_TIMEOUT_SECONDS, verify)
        self._refreshing: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read what is new. Callers at the same time share one read, so unknown keys and
        symbols cannot multiply the load on Redis."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        await asyncio.shield(self._refreshing)

    async def _refresh(self) -> None:
        apply_entries(self.directory, await self._asked.execute(*_read_command(self.directory)))

    async def rebuild(self) -> None:
        """Read all of it anew, because another history has begun: a restore may have brought back
        less than this process has seen."""
        fresh = Directory()
        apply_entries(fresh, await self._asked.execute(*_read_command(fresh)))
        self.directory.become(fresh)

    async def tail(self) -> None:
        """Follow the registry for ever, so that a revoked key ends within a moment."""
        while True:
            try:
                streams = await self._tailed.execute(
                    *("XREAD", "BLOCK", TAIL_BLOCK_MS, "STREAMS", keys.REGISTRY),
                    f"{self.directory.sequence}-0",
                )
            except RedisError as error:
                log.warning("registry unreachable", extra={"error": str(error)})
                await asyncio.sleep(0.5)
                continue
            for _, entries in streams or []:
                apply_entries(self.directory, entries)

    async def close(self) -> None:
        await self._asked.close()
        await self._tailed.close()
