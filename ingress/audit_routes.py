"""Reading the audit trail, which is in the registry; behind the admin key."""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from protocol import keys
from protocol.audit import AdminAnswered, AdminCalled
from protocol.registry import RegistryEntry
from protocol.units import format_time
from runtime.http.context import Context
from runtime.redis.channel import AsyncChannel
from runtime.redis.registry import registry_entries

LIMIT_MAX = 100
LIMIT_DEFAULT = 50
READ_COUNT = 500
READS_MAX = 10
"""The registry has other entries too; after so many reads a page may be short."""


class CalledAnswer(BaseModel):
    """A call that was going to be carried out."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["called"] = "called"
    sequence: Annotated[int, Field(ge=1, description="Of the entry in the registry.")]
    time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    key_id: Annotated[
        str, Field(description="The beginning of the SHA-256 of the admin key that was used.")
    ]
    address: Annotated[str, Field(description="Of the caller; empty where nobody can tell.")]
    request_id: str
    method: str
    path: str
    body: Annotated[str, Field(description="At most 4096 characters of it.")]
    body_hash: Annotated[str, Field(description="SHA-256 of the whole body.")]


class AnsweredAnswer(BaseModel):
    """The outcome of a call."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["answered"] = "answered"
    sequence: Annotated[int, Field(ge=1, description="Of the entry in the registry.")]
    time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    call: Annotated[int, Field(ge=1, description="The sequence of the call.")]
    status: Annotated[int, Field(ge=200, le=599, description="Of the answer.")]


class AuditAnswer(BaseModel):
    """A page of the audit trail, newest first. A page may be shorter than asked for, and even
    empty, while there is more."""

    model_config = ConfigDict(extra="forbid")

    data: list[CalledAnswer | AnsweredAnswer]
    next_before: Annotated[
        int | None, Field(description="For `before` of the next page; `null` on the last one.")
    ]


def audit_router(context: Context, channel: AsyncChannel) -> APIRouter:
    router = APIRouter(prefix="/admin/audit", dependencies=[Depends(context.require_admin)])

    @router.get("")
    async def audit(
        limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = LIMIT_DEFAULT,
        before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
    ) -> AuditAnswer:
        """A page of the audit trail (admin key)."""
        data: list[CalledAnswer | AnsweredAnswer] = []
        end = "+" if before is None else f"({before}-0"
        for _ in range(READS_MAX):
            raw = await channel.execute(
                *("XREVRANGE", keys.REGISTRY, end, "-", "COUNT", READ_COUNT)
            )
            entries = registry_entries(raw)
            for sequence, entry in entries:
                data += shown(sequence, entry)
                if len(data) >= limit:
                    return AuditAnswer(data=data, next_before=sequence if sequence > 1 else None)
            if len(entries) < READ_COUNT:
                return AuditAnswer(data=data, next_before=None)
            end = f"({entries[-1][0]}-0"
        return AuditAnswer(data=data, next_before=entries[-1][0])

    return router


def shown(sequence: int, entry: RegistryEntry) -> Iterator[CalledAnswer | AnsweredAnswer]:
    """What an entry of the registry says of calls; one that the trail wrote has one event."""
    for event in entry.events:
        if isinstance(event, AdminCalled):
            fields = {name: getattr(event, name) for name in event.__struct_fields__}
            time_ms = fields.pop("time_ms")
            yield CalledAnswer(sequence=sequence, time=format_time(time_ms), **fields)
        elif isinstance(event, AdminAnswered):
            yield AnsweredAnswer(
                sequence=sequence,
                time=format_time(event.time_ms),
                call=event.call,
                status=event.status,
            )
