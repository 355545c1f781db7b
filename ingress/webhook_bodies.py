"""The bodies of the calls about webhook endpoints, and how an endpoint and a message are shown."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from protocol.endpoints import WebhookEndpoint
from protocol.enums import ReportType
from protocol.units import format_time
from protocol.webhooks import (
    DEFAULT_TYPES,
    DELIVERED_MAX,
    DeliveryStatus,
    DisabledReason,
    QueuedMessage,
)

WEBHOOK_URL_LENGTH_MAX = 2000

Identifier = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Url = Annotated[
    str,
    Field(
        max_length=WEBHOOK_URL_LENGTH_MAX,
        description="Absolute, with https, to a host that has public addresses only.",
    ),
]
Types = Annotated[
    list[Annotated[ReportType, Field(strict=False)]],
    Field(min_length=1, max_length=20, description="Which events are told."),
]
Secret = Annotated[str, Field(description="Verifies the signatures. It is shown this once.")]


class AddEndpointBody(BaseModel):
    """A webhook endpoint to add."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Url
    types: Types = [ReportType(name) for name in DEFAULT_TYPES]


class ChangeEndpointBody(BaseModel):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Url | None = None
    types: Types | None = None
    state: (
        Annotated[
            Literal["enabled", "disabled"],
            Field(description="While it is disabled nothing is queued for the endpoint."),
        ]
        | None
    ) = None


class EndpointAnswer(BaseModel):
    """A webhook endpoint."""

    model_config = ConfigDict(extra="forbid")

    endpoint_id: Identifier
    url: str
    types: list[ReportType]
    state: Literal["enabled", "disabled"]
    state_reason: Annotated[
        DisabledReason | None,
        Field(
            description="Why it is disabled. `gone`: it has answered 410. `failed`: all attempts of"
            " a message failed, and nothing was delivered meanwhile. `broker`: you wanted it so."
        ),
    ]
    disabled_at: Time | None
    created_at: Annotated[
        Time | None, Field(description="Null for an endpoint that an earlier version has added.")
    ]
    previous_secret_valid_until: Annotated[
        Time | None, Field(description="Until then messages are signed with two secrets.")
    ]


class AddedEndpointAnswer(EndpointAnswer):
    """The new endpoint with its secret."""

    secret: Secret


class EndpointsAnswer(BaseModel):
    """All endpoints of a broker, oldest first."""

    model_config = ConfigDict(extra="forbid")

    data: list[EndpointAnswer]


class RotatedSecretAnswer(BaseModel):
    """The new secret. Until the time that is told, messages are signed with both."""

    model_config = ConfigDict(extra="forbid")

    secret: Secret
    previous_secret_valid_until: Time


class QueuedAnswer(BaseModel):
    """The message is queued and will be sent within a moment."""

    model_config = ConfigDict(extra="forbid")

    message_id: Annotated[str, Field(description="The `webhook-id` of the call.")]


class DeliveryAnswer(BaseModel):
    """A message to an endpoint."""

    model_config = ConfigDict(extra="forbid")

    message_id: Annotated[str, Field(description="The `webhook-id` of every call.")]
    type: str
    sequence: Annotated[
        int | None, Field(description="That of the execution report; null where there is none.")
    ]
    status: DeliveryStatus
    attempts: Annotated[int, Field(ge=0, description="Calls that were made.")]
    last_result: Annotated[str | None, Field(description="What the last call has brought.")]
    queued_at: Time | None
    next_attempt_at: Annotated[Time | None, Field(description="Only while it is pending.")]
    ended_at: Annotated[
        Time | None, Field(description="When it was delivered or given up; null while pending.")
    ]
    body: Annotated[str, Field(description="The JSON that is sent, as it is signed.")]


class DeliveriesAnswer(BaseModel):
    """A page of messages."""

    model_config = ConfigDict(extra="forbid")

    data: list[DeliveryAnswer]
    next_cursor: str | None
    has_more: bool


STATUS_DESCRIPTION = (
    "`pending`: what waits, the next attempt first. `delivered`: what was taken in the last 24"
    f" hours, at most {DELIVERED_MAX} messages, newest first. `failed`: what was given up, newest"
    " first."
)


def endpoint_answer(endpoint: WebhookEndpoint, now_ms: int) -> EndpointAnswer:
    reason = endpoint.disabled_reason
    is_rotating = endpoint.previous_until_ms > now_ms
    return EndpointAnswer(
        endpoint_id=endpoint.endpoint_id,
        url=endpoint.url,
        types=[ReportType(name) for name in endpoint.types],
        state="enabled" if endpoint.is_enabled else "disabled",
        state_reason=DisabledReason(reason) if reason else None,
        disabled_at=_time(endpoint.disabled_ms),
        created_at=_time(endpoint.created_ms),
        previous_secret_valid_until=_time(endpoint.previous_until_ms) if is_rotating else None,
    )


def delivery_answer(
    message_id: str, queued: QueuedMessage, status: DeliveryStatus, time_ms: int
) -> DeliveryAnswer:
    """``time_ms`` is when the message is due, or when it was delivered or given up."""
    is_pending = status is DeliveryStatus.PENDING
    return DeliveryAnswer(
        message_id=message_id,
        type=queued.type,
        sequence=queued.sequence or None,
        status=status,
        attempts=queued.attempts,
        last_result=queued.result or None,
        queued_at=_time(queued.queued_ms),
        next_attempt_at=_time(time_ms) if is_pending else None,
        ended_at=None if is_pending else _time(time_ms),
        body=queued.payload.decode(),
    )


def _time(time_ms: int) -> str | None:
    return format_time(time_ms) if time_ms else None
