"""What OpenAPI says of the calls about webhook endpoints."""

from typing import Any

from pydantic import BaseModel

from ingress import refusals
from ingress.admin_documentation import invalid
from ingress.deliveries import Position, cursor_of, invalid_cursor, page_wanted
from ingress.webhook_bodies import (
    STATUS_DESCRIPTION,
    AddedEndpointAnswer,
    AddEndpointBody,
    ChangeEndpointBody,
    DeliveriesAnswer,
    EndpointAnswer,
    EndpointsAnswer,
    QueuedAnswer,
    RotatedSecretAnswer,
    delivery_answer,
    endpoint_answer,
)
from ingress.webhook_urls import check_webhook_url
from ingress.webhooks import CHANGES_PER_HOUR, nothing_to_change, test_body
from protocol.endpoints import WebhookEndpoint
from protocol.enums import ReportType
from protocol.units import PAGE_DEFAULT, PAGE_MAX, format_time
from protocol.webhooks import ENDPOINTS_MAX, TEST_TYPE, DeliveryStatus, QueuedMessage
from runtime.http import samples
from runtime.http.operations import Operation, Success, query_parameter, raised
from runtime.http.problems import invalid_body, unauthorized, unavailable

_URL = "https://broker.example/executions"
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a sample.
_ENDPOINT = endpoint_answer(
    WebhookEndpoint(
        samples.ENDPOINT_ID,
        samples.BROKER.broker_id,
        _URL,
        _SECRET,
        (ReportType.EXECUTED.value, ReportType.CANCELED.value),
        samples.TIME_MS,
    ),
    samples.TIME_MS,
)
_QUEUED = QueuedMessage(
    TEST_TYPE,
    0,
    samples.TIME_MS,
    test_body(samples.ENDPOINT_ID, samples.TIME_MS),
    1,
    "HTTP 500",
)
_DELIVERIES = DeliveriesAnswer(
    data=[
        delivery_answer(samples.MESSAGE_ID, _QUEUED, DeliveryStatus.PENDING, samples.TIME_MS + 5000)
    ],
    next_cursor=cursor_of(Position(DeliveryStatus.PENDING, samples.TIME_MS, samples.MESSAGE_ID)),
    has_more=True,
)


def _sent(answer: BaseModel) -> bytes:
    return answer.model_dump_json().encode()


_ALWAYS = (unauthorized("api key"), unavailable())
_FOUND = (*_ALWAYS, refusals.endpoint_not_found())
_WRITTEN = (
    refusals.too_many_changes(CHANGES_PER_HOUR, 30),
    refusals.registration_unknown(ConnectionError("Connection closed by server.")),
)
_BODIES = (
    invalid_body([{"loc": ("body", 0), "type": "json_invalid", "msg": "JSON decode error"}]),
    invalid_body([{"loc": ("body",), "type": "missing", "msg": "Field required"}]),
    raised(check_webhook_url, "/executions", False, "url"),
)

LIST_ENDPOINTS = Operation(
    operation_id="list_webhook_endpoints",
    summary="List your webhook endpoints",
    answers={
        200: Success("All of them.", EndpointsAnswer, _sent(EndpointsAnswer(data=[_ENDPOINT])))
    },
    problems=_ALWAYS,
)

ADD_ENDPOINT = Operation(
    operation_id="add_webhook_endpoint",
    summary="Add a webhook endpoint",
    description=f"You may have {ENDPOINTS_MAX}. Without `types` only `trade.executed` is told. The"
    " secret is shown this once.",
    body=AddEndpointBody,
    body_examples={
        "trades": {"url": _URL},
        "trades and cancels": {"url": _URL, "types": ["trade.executed", "order.canceled"]},
    },
    answers={
        201: Success(
            "The endpoint is told what happens from now on.",
            AddedEndpointAnswer,
            _sent(AddedEndpointAnswer(**_ENDPOINT.model_dump(), secret=_SECRET)),
        )
    },
    problems=(
        *_ALWAYS,
        *_WRITTEN,
        *_BODIES,
        refusals.too_many_endpoints(ENDPOINTS_MAX),
        invalid(AddEndpointBody),
        invalid(AddEndpointBody, url=_URL, types=[]),
        invalid(AddEndpointBody, url=_URL, type="trade.executed"),
    ),
)

GET_ENDPOINT = Operation(
    operation_id="get_webhook_endpoint",
    summary="Read a webhook endpoint",
    answers={200: Success("The endpoint.", EndpointAnswer, _sent(_ENDPOINT))},
    problems=_FOUND,
)

CHANGE_ENDPOINT = Operation(
    operation_id="change_webhook_endpoint",
    summary="Change a webhook endpoint",
    description="Messages that wait go to the new URL. An endpoint that is disabled is told nothing"
    " of what happens meanwhile, and what waited for it counts as `failed`.",
    body=ChangeEndpointBody,
    body_examples={
        "all types": {"types": [kind.value for kind in ReportType]},
        "enable it again": {"state": "enabled"},
    },
    answers={200: Success("The changed endpoint.", EndpointAnswer, _sent(_ENDPOINT))},
    problems=(
        *_FOUND,
        *_WRITTEN,
        *_BODIES,
        invalid(ChangeEndpointBody, state="gone"),
        invalid(ChangeEndpointBody, secret=""),
        nothing_to_change(),
    ),
)

REMOVE_ENDPOINT = Operation(
    operation_id="remove_webhook_endpoint",
    summary="Remove a webhook endpoint",
    description="Its messages go with it. To send the request again does no harm.",
    answers={204: Success("Nothing is sent there any more.")},
    problems=(*_FOUND, *_WRITTEN),
)

ROTATE_SECRET = Operation(
    operation_id="rotate_webhook_secret",
    summary="Give a webhook endpoint a new secret",
    description="For 24 hours messages are signed with both secrets, and the header"
    " `webhook-signature` has two signatures. A secret that was older ends at once.",
    answers={
        200: Success(
            "The new secret is used from now on.",
            RotatedSecretAnswer,
            _sent(
                RotatedSecretAnswer(
                    secret=_SECRET,
                    previous_secret_valid_until=format_time(samples.TIME_MS + 86_400_000),
                )
            ),
        )
    },
    problems=(*_FOUND, *_WRITTEN),
)

TEST_ENDPOINT = Operation(
    operation_id="test_webhook_endpoint",
    summary="Send a test message",
    description="A message of type `webhook.test`. It is repeated and listed as any other.",
    answers={
        202: Success(
            "The message is queued.",
            QueuedAnswer,
            _sent(QueuedAnswer(message_id=samples.MESSAGE_ID)),
        )
    },
    problems=(
        *_FOUND,
        refusals.too_many_changes(CHANGES_PER_HOUR, 30),
        refusals.endpoint_disabled(),
    ),
)


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


LIST_DELIVERIES = Operation(
    operation_id="list_webhook_deliveries",
    summary="List the messages of a webhook endpoint",
    parameters=(
        _query(
            "status",
            STATUS_DESCRIPTION,
            {
                "type": "string",
                "enum": [status.value for status in DeliveryStatus],
                "default": DeliveryStatus.PENDING.value,
            },
        ),
        query_parameter("limit", "How many items the page may have.", PAGE_DEFAULT, PAGE_MAX),
        _query(
            "cursor",
            "The `next_cursor` of the page before, sent with the same status.",
            {"type": "string"},
        ),
    ),
    answers={200: Success("A page of messages.", DeliveriesAnswer, _sent(_DELIVERIES))},
    problems=(*_FOUND, raised(page_wanted, "limit=0"), invalid_cursor()),
)

RESEND_DELIVERY = Operation(
    operation_id="resend_webhook_delivery",
    summary="Send a message again",
    description="With the same id and the same bytes, at once, whether it waits, was delivered or"
    " was given up.",
    answers={
        202: Success(
            "The message is queued.",
            QueuedAnswer,
            _sent(QueuedAnswer(message_id=samples.MESSAGE_ID)),
        )
    },
    problems=(
        *_FOUND,
        refusals.too_many_changes(CHANGES_PER_HOUR, 30),
        refusals.endpoint_disabled(),
        refusals.delivery_not_found(),
    ),
)

_ENDPOINTS = "/webhook-endpoints"
_ONE = _ENDPOINTS + "/{endpoint_id}"
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("GET", _ENDPOINTS): LIST_ENDPOINTS,
    ("POST", _ENDPOINTS): ADD_ENDPOINT,
    ("GET", _ONE): GET_ENDPOINT,
    ("PATCH", _ONE): CHANGE_ENDPOINT,
    ("DELETE", _ONE): REMOVE_ENDPOINT,
    ("POST", _ONE + "/rotate-secret"): ROTATE_SECRET,
    ("POST", _ONE + "/test"): TEST_ENDPOINT,
    ("GET", _ONE + "/deliveries"): LIST_DELIVERIES,
    ("POST", _ONE + "/deliveries/{message_id}/resend"): RESEND_DELIVERY,
}
