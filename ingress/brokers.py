"""Registering brokers and their keys; the exchange's own calls, behind the admin key."""

import base64
import secrets
import time
import uuid
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from protocol.registry import (
    BrokerRegistered,
    EndpointAdded,
    KeyIssued,
    KeysRevoked,
    RegistryEntry,
    RegistryEvent,
    hash_key,
)
from runtime.http.context import ADMIN_ONLY, Context
from runtime.http.keyring import new_api_key
from runtime.http.problems import FieldError, Problem
from runtime.redis.channel import AsyncChannel, NotConnected, RedisError
from runtime.redis.functions.register import register

WEBHOOK_SECRET_BYTES = 32


class RegisterBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=100, pattern="^[^\\x00-\\x1f\\x7f]+$")]
    webhook_url: Annotated[str, Field(max_length=2000)] | None = None


class Registered(BaseModel):
    """The secrets are shown here and never again."""

    broker_id: str
    api_key: str
    webhook_secret: str | None = None


class IssuedKey(BaseModel):
    api_key: str


def brokers_router(context: Context, channel: AsyncChannel) -> APIRouter:
    router = APIRouter(tags=["brokers"])

    async def write(events: list[RegistryEvent]) -> None:
        entry = RegistryEntry(events)
        try:
            await context.call(channel, lambda genesis: register(genesis.history_id, entry))
        except NotConnected:
            raise
        except RedisError as error:
            raise Problem(
                "outcome_unknown", f"the registry did not answer; register again ({error})"
            ) from error
        await context.registry.refresh()

    def require_broker(broker_id: str) -> None:
        if broker_id not in context.directory.brokers:
            raise Problem("broker_not_found", "no broker has this id")

    @router.post(
        "/register",
        status_code=201,
        response_model_exclude_none=True,
        openapi_extra=ADMIN_ONLY,
    )
    async def register_broker(body: RegisterBody, request: Request) -> Registered:
        """Register a broker (admin key). Both secrets are shown this once."""
        context.require_admin(request)
        broker_id = str(uuid.uuid4())
        api_key = new_api_key()
        events: list[RegistryEvent] = [
            BrokerRegistered(broker_id, body.name, time.time_ns() // 1_000_000),
            KeyIssued(broker_id, hash_key(api_key)),
        ]
        secret = None
        if body.webhook_url is not None:
            check_webhook_url(body.webhook_url, context.settings.is_development)
            secret = _new_webhook_secret()
            endpoint = EndpointAdded(str(uuid.uuid4()), broker_id, body.webhook_url, secret)
            events.append(endpoint)
        await write(events)
        return Registered(broker_id=broker_id, api_key=api_key, webhook_secret=secret)

    @router.post("/admin/brokers/{broker_id}/api-key", status_code=201, openapi_extra=ADMIN_ONLY)
    async def rotate_key(broker_id: str, request: Request) -> IssuedKey:
        """Revoke a broker's keys and issue a new one (admin key)."""
        context.require_admin(request)
        require_broker(broker_id)
        api_key = new_api_key()
        await write([KeysRevoked(broker_id), KeyIssued(broker_id, hash_key(api_key))])
        return IssuedKey(api_key=api_key)

    @router.delete("/admin/brokers/{broker_id}/api-key", status_code=204, openapi_extra=ADMIN_ONLY)
    async def revoke_key(broker_id: str, request: Request) -> Response:
        """Revoke all keys of a broker (admin key)."""
        context.require_admin(request)
        require_broker(broker_id)
        await write([KeysRevoked(broker_id)])
        return Response(status_code=204)

    return router


def check_webhook_url(url: str, is_development: bool) -> None:
    """What can be known before a delivery: scheme, host, no credentials. The address itself is
    judged at every attempt, because a name can change its mind."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_valid = urlsplit(""), False
    schemes = ("https", "http") if is_development else ("https",)
    usable = (
        parts.scheme in schemes
        and parts.hostname
        and port_is_valid
        and parts.username is None
        and url.isascii()
        and url.isprintable()
        and " " not in url
    )
    if not usable:
        detail = f"give an absolute {' or '.join(schemes)} URL without credentials"
        raise Problem(
            "invalid_webhook_url",
            detail,
            (FieldError("#/webhook_url", "invalid_webhook_url", detail),),
        )


def _new_webhook_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(WEBHOOK_SECRET_BYTES)).decode()
