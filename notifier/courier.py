"""Delivers the messages that are due, to many endpoints at the same time."""

import asyncio
import logging
import random
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable

from notifier import metrics
from notifier.delivery import Deliverer, Outcome
from notifier.notices import notices
from notifier.queues import Queues
from notifier.retry import next_delay_seconds
from protocol.endpoints import WebhookEndpoint
from protocol.registry import Directory
from protocol.webhooks import DisabledReason, OutgoingMessage, QueuedMessage

log = logging.getLogger(__name__)

TIDY_SECONDS = 1.0
"""How often it looks after the endpoints that are disabled."""


def home_partition(endpoint_id: str, partitions: int) -> int:
    """The partition of an endpoint. The notifier that owns it delivers to the endpoint."""
    return uuid.UUID(endpoint_id).int % partitions


class Courier:
    """Keeps up to ``endpoint_calls_max`` calls in flight per endpoint and ``calls_max`` in all."""

    def __init__(
        self,
        queues: Queues,
        deliverer: Deliverer,
        directory: Directory,
        endpoint_calls_max: int,
        calls_max: int,
    ) -> None:
        self._queues = queues
        self._deliverer = deliverer
        self._directory = directory
        self._endpoint_calls_max = endpoint_calls_max
        self._calls_max = calls_max
        self._in_flight: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._disabled: dict[str, int] = {}  # Endpoint id → the entry of the registry to come.
        self._told: set[tuple[str, int]] = set()
        self._tidied = 0.0
        self._random = random.Random()  # noqa: S311 - jitter is no secret.

    @property
    def is_busy(self) -> bool:
        """Whether calls are in flight, or were at the last look at what is due."""
        return bool(self._in_flight)

    async def send_due(self, is_mine: Callable[[str], bool]) -> None:
        """Start a call for every message whose time has come and whose endpoint has room."""
        self._raise_failures()
        busy = Counter(endpoint_id for endpoint_id, _ in self._in_flight)
        # The queue still holds the messages in flight, so the answer may be full of them: ask
        # for as many as an endpoint may have in flight.
        wanted = {
            endpoint_id: self._endpoint_calls_max
            for endpoint_id in self._directory.endpoints
            if is_mine(endpoint_id)
            and busy[endpoint_id] < self._endpoint_calls_max
            and not self._is_ending(endpoint_id)
        }
        due = (await self._queues.due(wanted)).items()
        flights = [
            (endpoint_id, message_id)
            for endpoint_id, message_ids in due
            for message_id in message_ids
            if (endpoint_id, message_id) not in self._in_flight
        ][: self._calls_max - len(self._in_flight)]
        for flight, queued in zip(flights, await self._queues.get(flights), strict=True):
            if queued is not None:
                endpoint = self._directory.endpoints[flight[0]]
                sending = self._send(endpoint, flight[1], queued)
                self._in_flight[flight] = asyncio.create_task(sending)

    async def tidy(self, is_mine: Callable[[str], bool]) -> None:
        """Give up what waits for endpoints that are disabled, and tell of them; now and then."""
        if time.monotonic() < self._tidied + TIDY_SECONDS:
            return
        self._tidied = time.monotonic()
        await self._queues.bury_waiting(
            [e for e in self._directory.disabled_endpoints if is_mine(e)]
        )
        for endpoint_id, sequence, message in notices(self._directory, is_mine):
            if (endpoint_id, sequence) not in self._told:
                await self._queues.tell(endpoint_id, message, sequence)
                self._told.add((endpoint_id, sequence))

    async def proceed(self, seconds: float) -> None:
        """Wait for the calls in flight, at most so long."""
        if self._in_flight:
            await asyncio.wait(self._in_flight.values(), timeout=seconds)

    async def close(self) -> None:
        """End the calls in flight. Their messages are still in the queues."""
        for task in self._in_flight.values():
            task.cancel()
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)
        await self._queues.close()
        await self._deliverer.close()

    def _raise_failures(self) -> None:
        """Raise the exception of a call that failed, for example because Redis was away.

        It ends the process, as every exception of a step does.
        """
        for flight, task in list(self._in_flight.items()):
            if task.done():
                del self._in_flight[flight]
                task.result()

    async def _send(
        self, endpoint: WebhookEndpoint, message_id: str, queued: QueuedMessage
    ) -> None:
        outcome = await self._deliverer.deliver(endpoint, message_id, queued)
        metrics.ATTEMPTS.labels(outcome.verdict).inc()
        await self._record(endpoint.endpoint_id, message_id, queued, outcome)

    async def _record(
        self, endpoint_id: str, message_id: str, queued: QueuedMessage, outcome: Outcome
    ) -> None:
        tried = OutgoingMessage(message_id, queued.tried(outcome.detail))
        match outcome.verdict:
            case "delivered":
                await self._queues.done(endpoint_id, tried)
            case "gone":
                await self._queues.bury(endpoint_id, tried)
                await self._disable(endpoint_id, DisabledReason.GONE)
            case "failed":
                await self._fail(endpoint_id, tried, outcome.retry_after_seconds)

    async def _fail(
        self, endpoint_id: str, tried: OutgoingMessage, retry_after_seconds: float | None
    ) -> None:
        """Try it again later, or give it up; with it an endpoint that has taken nothing since."""
        queued = tried.queued
        fields = {"endpoint": endpoint_id, "message_id": tried.message_id, "detail": queued.result}
        log.info("delivery failed", extra={**fields, "attempts": queued.attempts})
        delay = next_delay_seconds(queued.attempts, self._random.random(), retry_after_seconds)
        if delay is not None:
            await self._queues.again(endpoint_id, tried, delay)
            return
        metrics.DEAD.inc()
        await self._queues.bury(endpoint_id, tried)
        if not await self._queues.has_delivered_since(endpoint_id, queued.queued_ms):
            await self._disable(endpoint_id, DisabledReason.FAILED)

    def _is_ending(self, endpoint_id: str) -> bool:
        """Whether an endpoint is disabled by an entry of the registry that is not read yet."""
        return self._disabled.get(endpoint_id, 0) > self._directory.sequence

    async def _disable(self, endpoint_id: str, reason: DisabledReason) -> None:
        if endpoint_id not in self._directory.endpoints or self._is_ending(endpoint_id):
            return
        log.warning("endpoint disabled", extra={"endpoint": endpoint_id, "reason": reason.value})
        self._disabled[endpoint_id] = sys.maxsize  # Until the number of the entry is known.
        self._disabled[endpoint_id] = await self._queues.disable(endpoint_id, reason)
        await self._queues.bury_waiting([endpoint_id])
