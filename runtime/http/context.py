"""What the HTTP services of one process share: settings, directory, keys, reads."""

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request

from protocol.broker_keys import Scope
from protocol.registry import Broker, Directory, Instrument
from runtime.http.callers import Asking, caller_of, refuse_key
from runtime.http.coalescer import Coalescer
from runtime.http.decisions import Decisions
from runtime.http.keyring import Keyring, now_ms
from runtime.http.problems import unauthorized
from runtime.http.rate_limit import RateLimits
from runtime.postgres import history
from runtime.postgres.archive import Archive
from runtime.process.errors import HistoryChanged
from runtime.process.networks import parse_networks
from runtime.process.promise import in_task
from runtime.process.settings import Settings
from runtime.redis.channel import (
    AsyncChannel,
    Channel,
    FunctionCall,
    RedisCommand,
    raise_errors,
)
from runtime.redis.genesis import Genesis
from runtime.redis.genesis import read as read_genesis
from runtime.redis.link import Link
from runtime.redis.registry import RegistryReader

T = TypeVar("T")

log = logging.getLogger(__name__)

READS_WAITING_MAX = 10_000
READS_BATCH_MAX = 512


class Context:
    """Opened by the application's lifespan, in the exchange of ``genesis``. ``on_failure`` must end
    the process, and may let it answer what it has begun.

    :meth:`read`, :meth:`fetch`, :meth:`authenticate` and :meth:`instrument` are for handlers that
    are driven by hand (``runtime.process.promise``), the others for tasks.
    """

    def __init__(
        self, settings: Settings, genesis: Genesis, on_failure: Callable[[Exception], None]
    ) -> None:
        self.settings = settings
        self.genesis = genesis
        self._on_failure = on_failure
        self.directory = Directory()
        self.registry = RegistryReader(
            settings.redis_url, settings.instance, self.directory, self.follow_history
        )
        self.keyring = Keyring(self.directory, settings.admin_key)
        self.trusted_proxies = parse_networks("EXCHANGE_TRUSTED_PROXIES", settings.trusted_proxies)
        self.rate_limits = RateLimits(self.directory, self.keyring)
        self.archive = Archive(settings.database_url)
        self._link = Link(settings.redis_url, f"reads-{settings.instance}")
        self._nodes = AsyncChannel(settings.redis_url, f"nodes-{settings.instance}")
        self._reads: Coalescer[tuple[RedisCommand, ...], list[object]] = Coalescer(
            self._flush_reads, READS_WAITING_MAX, READS_BATCH_MAX
        )
        self.decisions = Decisions(
            settings.redis_url, settings.instance, genesis.partitions, self.read
        )
        self._tail: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.registry.refresh()
        self.decisions.start()
        # A process whose registry has stopped would honor revoked keys.
        self._tail = asyncio.create_task(self.registry.tail())
        self.depends_on(self._tail)

    async def follow_history(self) -> None:
        """See that Redis has all of its history, and go over to it when it is a new one.

        For connections over which something is written, before they are used: Redis may have come
        back with less. And after a call was refused because it named another history: a reset or a
        restore has begun a new one. Raises :class:`~runtime.process.errors.ExchangeError`.
        """
        genesis = await asyncio.to_thread(self._verified_genesis)
        if genesis.history_id != self.genesis.history_id:
            await self.registry.rebuild()
            self.decisions.begin_anew()
            log.warning("a new history has begun", extra={"history_id": genesis.history_id})
            self.genesis = genesis

    async def call(self, channel: AsyncChannel, make: Callable[[Genesis], FunctionCall[T]]) -> T:
        """Call a Function that names the history; once more when a new one has begun, because a
        call that names another history does nothing."""
        try:
            return await channel.call(make(self.genesis))
        except HistoryChanged:
            await self.follow_history()
            return await channel.call(make(self.genesis))

    def _verified_genesis(self) -> Genesis:
        channel = Channel(self.settings.redis_url, f"history-{self.settings.instance}")
        try:
            history.verify(channel, self.settings.database_url)
            return read_genesis(channel)
        finally:
            channel.close()

    async def close(self) -> None:
        if self._tail is not None:
            self._tail.cancel()
            await asyncio.wait([self._tail])  # However it ended.
        await self.decisions.close()
        await self._reads.drain()
        await self._link.close()
        await self._nodes.close()
        await self.registry.close()
        await self.archive.close()

    async def read(self, *commands: RedisCommand) -> list[object]:
        """Replies to read commands, in one round trip shared with other requests.

        An error reply is raised."""
        return raise_errors(await self._reads.submit(commands))

    async def read_in_task(self, *commands: RedisCommand) -> list[object]:
        """:meth:`read` for a task."""
        return raise_errors(await self._reads.submit(commands).future())

    async def each_node(self, *command: str) -> list[bytes]:
        """The replies of all servers that hold a part of the exchange, as far as they answer; for a
        task. An error reply is raised."""
        return raise_errors(await self._nodes.each_node(*command))

    async def fetch(self, function: FunctionCall[T]) -> T:
        """What a Function that only reads has answered; see :meth:`read`."""
        (reply,) = await self.read(function.command)
        return function.read(reply)

    async def _flush_reads(
        self, batch: list[tuple[RedisCommand, ...]]
    ) -> list[list[object] | Exception]:
        replies = await self._link.pipeline([c for commands in batch for c in commands])
        results: list[list[object] | Exception] = []
        at = 0
        for commands in batch:
            results.append(replies[at : at + len(commands)])
            at += len(commands)
        return results

    async def authenticate(self, asking: Asking, scope: Scope) -> Broker:
        """The calling broker, whose key is good for this; a key issued a moment ago elsewhere is
        looked for once."""
        key = self.keyring.key(asking.authorization)
        if key is None:
            if self.keyring.looks_like_key(asking.authorization):
                await in_task(self.registry.refresh())
                key = self.keyring.key(asking.authorization)
            if key is None:
                raise unauthorized("api key")
        if not key.is_unrestricted:
            refuse_key(key, scope, asking, self.trusted_proxies, now_ms())
        return key.broker

    async def watcher(self, asking: Asking) -> str:
        """Who looks at the market: the id of a broker, or nothing for somebody who only watches
        (:meth:`Keyring.may_watch`)."""
        if self.keyring.may_watch(asking.authorization):
            return ""
        return (await self.authenticate(asking, Scope.READ)).broker_id

    def require_admin(self, request: Request) -> None:
        """Refuse a request of ordinary FastAPI that does not carry the admin key."""
        if not self.keyring.is_admin(caller_of(request).authorization):
            raise unauthorized("admin key")

    async def instrument(self, number: int) -> Instrument | None:
        """The instrument of an order id."""
        instrument = self.directory.instruments_by_number.get(number)
        # Numbers are dense, so one far beyond what is known was never given.
        if instrument is None and number <= len(self.directory.instruments_by_number) + 1000:
            await in_task(self.registry.refresh())
            instrument = self.directory.instruments_by_number.get(number)
        return instrument

    def depends_on(self, task: "asyncio.Task[None]") -> None:
        """End the process when this task fails."""
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._on_failure(error)
