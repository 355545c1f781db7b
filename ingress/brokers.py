"""Registering brokers and their keys; the exchange's own calls, behind the admin key."""

import time
import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from ingress.audit import AuditTrail
from ingress.refusals import broker_not_found, registration_unknown
from ingress.webhook_bodies import WEBHOOK_URL_LENGTH_MAX
from ingress.webhook_urls import check_webhook_url, new_webhook_secret
from protocol.endpoints import EndpointAdded
from protocol.registry import (
    BrokerRegistered,
    KeyIssued,
    KeysRevoked,
    RegistryEntry,
    RegistryEvent,
    hash_key,
)
from protocol.units import PLAIN_TEXT
from runtime.http.context import Context
from runtime.http.keyring import new_api_key
from runtime.redis.channel import AsyncChannel, NotConnected, RedisError
from runtime.redis.functions.register import register

NAME_LENGTH_MAX = 100


class RegisterBody(BaseModel):
    """A broker to register."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=NAME_LENGTH_MAX,
            pattern=PLAIN_TEXT,
            description="Shown in the broker's balance; no control characters.",
        ),
    ]
    webhook_url: (
        Annotated[
            str,
            Field(
                max_length=WEBHOOK_URL_LENGTH_MAX,
                description="Where the trades of the broker are told; it can add endpoints later.",
            ),
        ]
        | None
    ) = None


class RegisteredAnswer(BaseModel):
    """The new broker. Both secrets are shown here and never again."""

    model_config = ConfigDict(extra="forbid")

    broker_id: Annotated[str, Field(json_schema_extra={"format": "uuid"})]
    api_key: Annotated[str, Field(description="Send it as `Authorization: Bearer <api_key>`.")]
    webhook_secret: Annotated[
        str | None,
        Field(description="Verifies the signature of webhooks; only where a URL was given."),
    ] = None


class IssuedKeyAnswer(BaseModel):
    """The new key of a broker. It is shown here and never again."""

    model_config = ConfigDict(extra="forbid")

    api_key: Annotated[str, Field(description="Send it as `Authorization: Bearer <api_key>`.")]


def brokers_router(context: Context, channel: AsyncChannel, trail: AuditTrail) -> APIRouter:
    # Before the body is looked at: who has no key learns nothing about bodies.
    router = APIRouter(dependencies=[Depends(context.require_admin)], route_class=trail.route_class)

    async def write(events: list[RegistryEvent]) -> None:
        await write_registry(context, channel, events)

    def require_broker(broker_id: str) -> None:
        if broker_id not in context.directory.brokers:
            raise broker_not_found()

    @router.post("/register", status_code=201, response_model_exclude_none=True)
    async def register_broker(body: RegisterBody) -> RegisteredAnswer:
        """Register a broker (admin key). Both secrets are shown this once."""
        broker_id = str(uuid.uuid4())
        api_key = new_api_key()
        now_ms = time.time_ns() // 1_000_000
        events: list[RegistryEvent] = [
            BrokerRegistered(broker_id, body.name, now_ms),
            KeyIssued(broker_id, hash_key(api_key)),
        ]
        secret = None
        if body.webhook_url is not None:
            check_webhook_url(body.webhook_url, context.settings.is_development)
            secret = new_webhook_secret()
            events.append(
                EndpointAdded(
                    str(uuid.uuid4()), broker_id, body.webhook_url, secret, created_ms=now_ms
                )
            )
        await write(events)
        return RegisteredAnswer(broker_id=broker_id, api_key=api_key, webhook_secret=secret)

    @router.post("/admin/brokers/{broker_id}/api-key", status_code=201)
    async def rotate_key(broker_id: str) -> IssuedKeyAnswer:
        """Revoke a broker's keys and issue a new one (admin key)."""
        require_broker(broker_id)
        api_key = new_api_key()
        await write([KeysRevoked(broker_id), KeyIssued(broker_id, hash_key(api_key))])
        return IssuedKeyAnswer(api_key=api_key)

    @router.delete("/admin/brokers/{broker_id}/api-key", status_code=204)
    async def revoke_key(broker_id: str) -> Response:
        """Revoke all keys of a broker (admin key)."""
        require_broker(broker_id)
        await write([KeysRevoked(broker_id)])
        return Response(status_code=204)

    return router


async def write_registry(
    context: Context, channel: AsyncChannel, events: list[RegistryEvent]
) -> None:
    """Add an entry to the registry, and read it back. Raises ``outcome_unknown`` when nobody can
    tell whether it was written."""
    entry = RegistryEntry(events)
    try:
        await context.call(channel, lambda genesis: register(genesis.history_id, entry))
    except NotConnected:
        raise
    except RedisError as error:
        raise registration_unknown(error) from error
    await context.registry.refresh()
