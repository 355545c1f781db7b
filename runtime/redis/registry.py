"""Keeping a :class:`~protocol.registry.Directory` up to date with the registry stream."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from protocol import codec, keys
from protocol.registry import Directory, InstrumentListed, RegistryEntry
from runtime.process.errors import HistoryMismatch
from runtime.redis.channel import AsyncChannel, Channel, RedisCommand, RedisError

log = logging.getLogger(__name__)

TAIL_BLOCK_MS = 5000
TAIL_TIMEOUT_SECONDS = TAIL_BLOCK_MS / 1000 + 5


def decode_entry(fields: list[bytes]) -> RegistryEntry:
    """A stream entry's fields: ``e`` an encoded entry, or ``i`` ``SYMBOL:number:partition``."""
    if fields[0] == b"i":
        return RegistryEntry([parse_instrument(fields[1])])
    return codec.decode_registry(fields[1])


def parse_instrument(text: bytes) -> InstrumentListed:
    symbol, number, partition = text.decode().split(":")
    return InstrumentListed(symbol, int(number), int(partition))


def apply_entries(directory: Directory, entries: list[tuple[bytes, list[bytes]]]) -> None:
    """Entries at or below the directory's sequence are skipped; a gap is a lost registration."""
    for entry_id, fields in entries:
        sequence = int(entry_id.split(b"-")[0])
        if sequence <= directory.sequence:
            continue
        if sequence != directory.sequence + 1:
            raise HistoryMismatch(
                f"the registry jumps from {directory.sequence} to {sequence}:"
                " Redis has lost entries; restore it from PostgreSQL"
            )
        directory.apply(sequence, decode_entry(fields))


def _read_command(directory: Directory) -> RedisCommand:
    return ("XRANGE", keys.REGISTRY, f"({directory.sequence}-0", "+")


def refresh(directory: Directory, channel: Channel) -> None:
    apply_entries(directory, channel.execute(*_read_command(directory)))


class RegistryReader:
    """The directory of an asyncio process: tailed in the background, refreshed on demand."""

    def __init__(
        self, url: str, name: str, directory: Directory, verify: Callable[[], Awaitable[None]]
    ) -> None:
        """``verify`` is called whenever Redis is back after it was away: it may have less now."""
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
