"""Keys of a broker that may not do everything: with scopes, an end, and networks. Behind the admin
key."""

import time
from datetime import datetime
from ipaddress import ip_network
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from ingress.audit import AuditTrail
from ingress.brokers import write_registry
from ingress.refusals import broker_not_found, key_not_found, too_many_keys
from protocol.broker_keys import (
    KEYS_MAX,
    NAME_LENGTH_MAX,
    NETWORKS_MAX,
    KeyAdded,
    KeyRevoked,
    Scope,
)
from protocol.registry import ApiKey, hash_key
from protocol.units import PLAIN_TEXT, format_time, milliseconds
from runtime.http.context import Context
from runtime.http.keyring import new_api_key
from runtime.http.problems import FieldError, Problem, field_problem
from runtime.redis.channel import AsyncChannel

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_TIME_LENGTH_MAX = 40
_NETWORK_LENGTH_MAX = 50


class AddKeyBody(BaseModel):
    """A key to add."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=NAME_LENGTH_MAX,
            pattern=PLAIN_TEXT,
            description="For people; no control characters.",
        ),
    ]
    scopes: Annotated[
        list[Annotated[str, Field(pattern="^(read|trade)$")]],
        Field(
            min_length=1,
            max_length=len(Scope),
            description="`read` is for everything that changes nothing, `trade` for the rest. None"
            " of them includes the other.",
        ),
    ]
    expires_at: (
        Annotated[
            str,
            Field(
                max_length=_TIME_LENGTH_MAX,
                description="From this moment the key is refused; without it the key has no end.",
                json_schema_extra={"format": "date-time"},
            ),
        ]
        | None
    ) = None
    allowed_networks: Annotated[
        list[Annotated[str, Field(max_length=_NETWORK_LENGTH_MAX)]],
        Field(
            max_length=NETWORKS_MAX,
            description="Networks in CIDR form, or single addresses, of IPv4 and IPv6. Without any"
            " the key may be used from everywhere.",
        ),
    ] = []


class KeyAnswer(BaseModel):
    """A key of a broker, without the key itself."""

    model_config = ConfigDict(extra="forbid")

    key_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    name: Annotated[str, Field(description="Empty for a key that was not added with a name.")]
    scopes: list[str]
    created_at: Annotated[
        Time | None, Field(description="`null` for a key that was not added with a name.")
    ]
    expires_at: Time | None
    allowed_networks: list[str]


class AddedKeyAnswer(KeyAnswer):
    """The new key. It is shown here and never again."""

    api_key: Annotated[str, Field(description="Send it as `Authorization: Bearer <api_key>`.")]


class KeysAnswer(BaseModel):
    """All keys of a broker that are not revoked, oldest first; also those that have expired."""

    model_config = ConfigDict(extra="forbid")

    data: list[KeyAnswer]


def broker_keys_router(context: Context, channel: AsyncChannel, trail: AuditTrail) -> APIRouter:
    router = APIRouter(
        prefix="/admin/brokers/{broker_id}/keys",
        dependencies=[Depends(context.require_admin)],
        route_class=trail.route_class,
    )

    async def keys_of(broker_id: str) -> list[ApiKey]:
        await context.registry.refresh()
        if broker_id not in context.directory.brokers:
            raise broker_not_found()
        return context.directory.keys_of(broker_id)

    @router.post("", status_code=201)
    async def add_key(broker_id: str, body: AddKeyBody) -> AddedKeyAnswer:
        """Give a broker one more key (admin key). It is shown this once."""
        if sum(not key.is_unrestricted for key in await keys_of(broker_id)) >= KEYS_MAX:
            raise too_many_keys(KEYS_MAX)
        api_key = new_api_key()
        added = key_added(broker_id, api_key, body, time.time_ns() // 1_000_000)
        await write_registry(context, channel, [added])
        shown = key_answer(context.directory.keys[added.key_hash])
        return AddedKeyAnswer(**shown.model_dump(), api_key=api_key)

    @router.get("")
    async def list_keys(broker_id: str) -> KeysAnswer:
        """The keys of a broker (admin key)."""
        return KeysAnswer(data=[key_answer(key) for key in await keys_of(broker_id)])

    @router.delete("/{key_id}", status_code=204)
    async def revoke_key(broker_id: str, key_id: str) -> Response:
        """Revoke one key of a broker (admin key)."""
        for key in await keys_of(broker_id):
            if key.key_id == key_id:
                await write_registry(context, channel, [KeyRevoked(broker_id, key.key_hash)])
                return Response(status_code=204)
        raise key_not_found()

    return router


def key_added(broker_id: str, api_key: str, body: AddKeyBody, now_ms: int) -> KeyAdded:
    """What the registry is told. Raises a problem for a time or a network that is none."""
    return KeyAdded(
        broker_id,
        hash_key(api_key),
        body.name,
        sorted({Scope(scope) for scope in body.scopes}),
        now_ms,
        0 if body.expires_at is None else _end(body.expires_at, now_ms),
        [_network(at, text) for at, text in enumerate(body.allowed_networks)],
    )


def key_answer(key: ApiKey) -> KeyAnswer:
    return KeyAnswer(
        key_id=key.key_id,
        name=key.name,
        scopes=sorted(scope.value for scope in key.scopes),
        created_at=format_time(key.created_ms) if key.created_ms else None,
        expires_at=format_time(key.expires_ms) if key.expires_ms else None,
        allowed_networks=[str(network) for network in key.networks],
    )


def _end(text: str, now_ms: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise field_problem("expires_at", "invalid_field", f"it is no time ({error})") from error
    if moment.tzinfo is None:
        raise field_problem("expires_at", "invalid_field", "it needs a time zone, for example Z")
    end_ms = milliseconds(moment)
    if end_ms <= now_ms:
        raise field_problem("expires_at", "invalid_field", "it is not in the future")
    return end_ms


def _network(at: int, text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        detail = f"it is no network in CIDR form ({error})"
        where = FieldError(f"#/allowed_networks/{at}", "invalid_field", detail)
        raise Problem("invalid_field", f"allowed_networks: {detail}", (where,)) from error
