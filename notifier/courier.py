"""Delivers the messages that are due, to many endpoints at the same time."""

import asyncio
import logging
import random
import uuid
from collections import Counter
from collections.abc import Callable

from notifier import metrics
from notifier.delivery import Deliverer, Outcome
from notifier.messages import QueuedMessage
from notifier.queues import Queues
from notifier.retry import next_delay_seconds
from protocol.registry import Directory, WebhookEndpoint

log = logging.getLogger(__name__)


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
            if is_mine(endpoint_id) and busy[endpoint_id] < self._endpoint_calls_max
        }
        for endpoint_id, message_ids in (await self._queues.due(wanted)).items():
            endpoint = self._directory.endpoints[endpoint_id]
            for message_id in message_ids:
                if len(self._in_flight) >= self._calls_max:
                    return
                flight = (endpoint_id, message_id)
                if flight not in self._in_flight:
                    task = asyncio.create_task(self._send(endpoint, message_id))
                    self._in_flight[flight] = task

    async def proceed(self, seconds: float) -> None:
        """Wait for the calls in flight, at most so long."""
        if self._in_flight:
            await asyncio.wait(self._in_flight.values(), timeout=seconds)

    async def close(self) -> None:
        """End the calls in flight. Their messages are still in the queues."""
        for task in self._in_flight.values():
            task.cancel()
        await asyncio.gather(*self._in_flight.values(), return_exceptions=True)
        await self._deliverer.close()

    def _raise_failures(self) -> None:
        """Raise the exception of a call that failed, for example because Redis was away.

        It ends the process, as every exception of a step does.
        """
        for flight, task in list(self._in_flight.items()):
            if task.done():
                del self._in_flight[flight]
                task.result()

    async def _send(self, endpoint: WebhookEndpoint, message_id: str) -> None:
        queued = await self._queues.get(endpoint.endpoint_id, message_id)
        if queued is None:
            return
        outcome = await self._deliverer.deliver(endpoint, message_id, queued)
        metrics.ATTEMPTS.labels(outcome.verdict).inc()
        await self._record(endpoint, message_id, queued, outcome)

    async def _record(
        self, endpoint: WebhookEndpoint, message_id: str, queued: QueuedMessage, outcome: Outcome
    ) -> None:
        endpoint_id = endpoint.endpoint_id
        fields = {"endpoint": endpoint_id, "message_id": message_id, "detail": outcome.detail}
        match outcome.verdict:
            case "delivered":
                await self._queues.done(endpoint_id, message_id)
            case "gone":
                log.warning("endpoint disabled", extra=fields)
                if endpoint_id in self._directory.endpoints:
                    await self._queues.disable(endpoint_id)
            case "failed":
                failed = queued.failed()
                delay = next_delay_seconds(
                    failed.attempts, self._random.random(), outcome.retry_after_seconds
                )
                log.info("delivery failed", extra={**fields, "attempts": failed.attempts})
                if delay is None:
                    metrics.DEAD.inc()
                    await self._queues.bury(endpoint_id, message_id, failed)
                else:
                    await self._queues.again(endpoint_id, message_id, failed, delay)
