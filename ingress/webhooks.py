"""The webhook endpoints of a broker: adding, changing, removing and trying them."""

import time
import uuid
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from ingress.brokers import write_registry
from ingress.deliveries import Deliveries, page_wanted
from ingress.refusals import (
    delivery_not_found,
    endpoint_disabled,
    endpoint_not_found,
    too_many_changes,
    too_many_endpoints,
)
from ingress.webhook_bodies import (
    AddedEndpointAnswer,
    AddEndpointBody,
    ChangeEndpointBody,
    DeliveriesAnswer,
    EndpointAnswer,
    EndpointsAnswer,
    QueuedAnswer,
    RotatedSecretAnswer,
    endpoint_answer,
)
from ingress.webhook_urls import check_webhook_url, new_webhook_secret
from protocol.broker_keys import Scope
from protocol.endpoints import (
    EndpointAdded,
    EndpointChanged,
    EndpointDisabled,
    EndpointEnabled,
    EndpointRemoved,
    SecretRotated,
    WebhookEndpoint,
)
from protocol.enums import ReportType
from protocol.registry import Broker, RegistryEvent
from protocol.units import format_time
from protocol.webhooks import (
    ENDPOINTS_MAX,
    ROTATION_SECONDS,
    TEST_TYPE,
    DisabledReason,
    OutgoingMessage,
    QueuedMessage,
)
from runtime.http.callers import caller_of
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.http.rate_limit import Bucket
from runtime.process.promise import begin
from runtime.redis.channel import AsyncChannel
from runtime.redis.functions.bury_waiting import bury_waiting
from runtime.redis.functions.forget_hook import forget_hook
from runtime.redis.functions.push import push
from runtime.redis.functions.resend import resend

CHANGES_PER_HOUR = 120
"""Requests of one broker to one HTTP process that change or send something. The registry keeps all
changes for ever, and a test call reaches a machine that may not be the broker's own."""
_HOUR_SECONDS = 3600


class Changes:
    """Counts what each broker has changed."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def take(self, broker_id: str) -> None:
        """Count one more. Raises ``rate_limited``."""
        hours = time.monotonic() / _HOUR_SECONDS
        bucket = self._buckets.setdefault(broker_id, Bucket(CHANGES_PER_HOUR, hours))
        if not bucket.take(hours):
            raise too_many_changes(CHANGES_PER_HOUR, _HOUR_SECONDS // CHANGES_PER_HOUR)


class Webhooks:
    """What the calls do. Its methods are for tasks."""

    def __init__(self, context: Context, channel: AsyncChannel) -> None:
        self._context = context
        self._channel = channel
        self._changes = Changes()
        self.deliveries = Deliveries(context)

    async def broker(self, request: Request) -> Broker:
        """The broker that calls, who may have too much changed already."""
        scope = Scope.READ if request.method == "GET" else Scope.TRADE
        broker = await begin(self._context.authenticate(caller_of(request), scope)).future()
        if request.method != "GET":
            self._changes.take(broker.broker_id)
        await self._context.registry.refresh()
        return broker

    def endpoint(self, broker: Broker, endpoint_id: str) -> WebhookEndpoint:
        """An endpoint of the broker. Raises ``endpoint_not_found``."""
        found = self._context.directory.endpoint(endpoint_id)
        if found is None or found.broker_id != broker.broker_id:
            raise endpoint_not_found()
        return found

    def enabled(self, broker: Broker, endpoint_id: str) -> WebhookEndpoint:
        """The same of one to which something can be sent. Raises ``endpoint_disabled``."""
        found = self.endpoint(broker, endpoint_id)
        if not found.is_enabled:
            raise endpoint_disabled()
        return found

    def own(self, broker: Broker) -> list[WebhookEndpoint]:
        return self._context.directory.endpoints_by_broker.get(broker.broker_id, [])

    async def add(self, broker: Broker, body: AddEndpointBody) -> WebhookEndpoint:
        """Add an endpoint. Raises ``invalid_webhook_url`` and ``too_many_endpoints``."""
        check_webhook_url(body.url, self._context.settings.is_development, "url")
        if len(self.own(broker)) >= ENDPOINTS_MAX:
            raise too_many_endpoints(ENDPOINTS_MAX)
        event = EndpointAdded(
            str(uuid.uuid4()),
            broker.broker_id,
            body.url,
            new_webhook_secret(),
            _in_order(body.types),
            _now_ms(),
        )
        await self._write([event])
        added = self._context.directory.endpoint(event.endpoint_id)
        if added is None:  # Another process has added the last one that there may be.
            raise too_many_endpoints(ENDPOINTS_MAX)
        return added

    async def change(
        self, broker: Broker, endpoint_id: str, body: ChangeEndpointBody
    ) -> WebhookEndpoint:
        before = self.endpoint(broker, endpoint_id)
        if body.url is not None:
            check_webhook_url(body.url, self._context.settings.is_development, "url")
        events = _changes(before, body)
        if events:
            await self._write(events)
        after = self.endpoint(broker, endpoint_id)
        if not after.is_enabled:
            await self._bury_waiting(endpoint_id)
        return after

    async def rotate(self, broker: Broker, endpoint_id: str) -> RotatedSecretAnswer:
        self.endpoint(broker, endpoint_id)
        until_ms = _now_ms() + ROTATION_SECONDS * 1000
        event = SecretRotated(endpoint_id, new_webhook_secret(), until_ms)
        await self._write([event])
        return RotatedSecretAnswer(
            secret=event.secret, previous_secret_valid_until=format_time(until_ms)
        )

    async def remove(self, broker: Broker, endpoint_id: str) -> None:
        """Remove an endpoint with its messages. Once more does no harm."""
        if self._context.directory.removed_endpoints.get(endpoint_id) != broker.broker_id:
            self.endpoint(broker, endpoint_id)
            await self._write([EndpointRemoved(endpoint_id)])
        await self._channel.call(forget_hook(endpoint_id))

    async def test(self, broker: Broker, endpoint_id: str) -> str:
        """Queue a message that tells nothing; returns its id."""
        self.enabled(broker, endpoint_id)
        now_ms = _now_ms()
        message = OutgoingMessage(
            f"test-{uuid.uuid4()}",
            QueuedMessage(TEST_TYPE, 0, now_ms, test_body(endpoint_id, now_ms)),
        )
        await self._context.call(
            self._channel,
            lambda genesis: push(genesis.history_id, genesis.epoch, endpoint_id, now_ms, message),
        )
        return message.message_id

    async def resend(self, broker: Broker, endpoint_id: str, message_id: str) -> None:
        """Queue a message once more, with its id and its bytes. Raises ``delivery_not_found``."""
        self.enabled(broker, endpoint_id)
        queued = await self.deliveries.message(endpoint_id, message_id)
        if queued is None:
            raise delivery_not_found()
        message = OutgoingMessage(message_id, queued.afresh())
        found = await self._context.call(
            self._channel,
            lambda genesis: resend(
                genesis.history_id, genesis.epoch, endpoint_id, _now_ms(), message
            ),
        )
        if not found:
            raise delivery_not_found()

    async def _write(self, events: list[RegistryEvent]) -> None:
        await write_registry(self._context, self._channel, events)

    async def _bury_waiting(self, endpoint_id: str) -> None:
        while await self._channel.call(bury_waiting(endpoint_id, _now_ms())):
            pass


def webhooks_router(context: Context, channel: AsyncChannel) -> APIRouter:
    webhooks = Webhooks(context, channel)
    router = APIRouter(prefix="/webhook-endpoints")
    caller = Annotated[Broker, Depends(webhooks.broker)]

    @router.get("")
    async def list_endpoints(broker: caller) -> EndpointsAnswer:
        now_ms = _now_ms()
        return EndpointsAnswer(data=[endpoint_answer(e, now_ms) for e in webhooks.own(broker)])

    @router.post("", status_code=201)
    async def add_endpoint(broker: caller, body: AddEndpointBody) -> AddedEndpointAnswer:
        added = await webhooks.add(broker, body)
        shown = endpoint_answer(added, _now_ms())
        return AddedEndpointAnswer(**shown.model_dump(), secret=added.secret)

    @router.get("/{endpoint_id}")
    async def get_endpoint(broker: caller, endpoint_id: str) -> EndpointAnswer:
        return endpoint_answer(webhooks.endpoint(broker, endpoint_id), _now_ms())

    @router.patch("/{endpoint_id}")
    async def change_endpoint(
        broker: caller, endpoint_id: str, body: ChangeEndpointBody
    ) -> EndpointAnswer:
        return endpoint_answer(await webhooks.change(broker, endpoint_id, body), _now_ms())

    @router.delete("/{endpoint_id}", status_code=204)
    async def remove_endpoint(broker: caller, endpoint_id: str) -> Response:
        await webhooks.remove(broker, endpoint_id)
        return Response(status_code=204)

    @router.post("/{endpoint_id}/rotate-secret")
    async def rotate_secret(broker: caller, endpoint_id: str) -> RotatedSecretAnswer:
        return await webhooks.rotate(broker, endpoint_id)

    @router.post("/{endpoint_id}/test", status_code=202)
    async def test_endpoint(broker: caller, endpoint_id: str) -> QueuedAnswer:
        return QueuedAnswer(message_id=await webhooks.test(broker, endpoint_id))

    @router.get("/{endpoint_id}/deliveries")
    async def list_deliveries(
        broker: caller, endpoint_id: str, request: Request
    ) -> DeliveriesAnswer:
        webhooks.endpoint(broker, endpoint_id)
        return await webhooks.deliveries.page(endpoint_id, page_wanted(request.url.query))

    @router.post("/{endpoint_id}/deliveries/{message_id}/resend", status_code=202)
    async def resend_delivery(broker: caller, endpoint_id: str, message_id: str) -> QueuedAnswer:
        await webhooks.resend(broker, endpoint_id, message_id)
        return QueuedAnswer(message_id=message_id)

    return router


def test_body(endpoint_id: str, now_ms: int) -> bytes:
    """The body of a test call."""
    content = {
        "type": TEST_TYPE,
        "timestamp": format_time(now_ms),
        "data": {"endpoint_id": endpoint_id},
    }
    return msgspec.json.encode(content)


def nothing_to_change() -> Problem:
    return Problem("nothing_to_amend", "send one of url, types and state")


def _changes(endpoint: WebhookEndpoint, body: ChangeEndpointBody) -> list[RegistryEvent]:
    """What the registry is told; nothing where the endpoint is so already. Raises
    ``nothing_to_amend``."""
    if body.url is None and body.types is None and body.state is None:
        raise nothing_to_change()
    events: list[RegistryEvent] = []
    url = None if body.url == endpoint.url else body.url
    types = None if body.types is None else _in_order(body.types)
    if types == endpoint.types:
        types = None
    if url is not None or types is not None:
        events.append(EndpointChanged(endpoint.endpoint_id, url, types))
    if body.state == "disabled" and endpoint.is_enabled:
        reason = DisabledReason.BROKER.value
        events.append(EndpointDisabled(endpoint.endpoint_id, reason, _now_ms()))
    if body.state == "enabled" and not endpoint.is_enabled:
        events.append(EndpointEnabled(endpoint.endpoint_id))
    return events


def _in_order(types: list[ReportType]) -> tuple[str, ...]:
    """Each type once, in the order of :class:`ReportType`."""
    return tuple(known.value for known in ReportType if known in types)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
