"""What OpenAPI says of the exchange's own calls, behind the admin key."""

from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from ingress import refusals
from ingress.audit_routes import LIMIT_DEFAULT, LIMIT_MAX, AuditAnswer, shown
from ingress.bodies import MassCancelAnswer
from ingress.broker_keys import (
    AddedKeyAnswer,
    AddKeyBody,
    KeysAnswer,
    key_added,
    key_answer,
)
from ingress.brokers import IssuedKeyAnswer, RegisterBody, RegisteredAnswer
from ingress.debug import ResetAnswer
from ingress.mass_routes import mass_cancel_answer
from ingress.operator import LimitsAnswer, LimitsBody
from ingress.webhook_urls import check_webhook_url
from protocol.audit import AdminAnswered, AdminCalled
from protocol.broker_keys import KEYS_MAX
from protocol.registry import BrokerRegistered, Directory, RegistryEntry
from runtime.http import samples
from runtime.http.operations import ADMIN_KEY, Operation, Success, query_parameter, raised
from runtime.http.problems import Problem, invalid_body, unauthorized, unavailable

_NO_ANSWER = ConnectionError("Connection closed by server.")


def invalid(model: type[BaseModel], **body: Any) -> Problem:
    """The problem of a body that the model refuses."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        return invalid_body([e | {"loc": ("body", *e["loc"])} for e in error.errors()])
    raise AssertionError(f"{body} is valid")


_ADMIN_PROBLEMS = (
    unauthorized("admin key"),
    unavailable(),
    refusals.registration_unknown(_NO_ANSWER),
)
_KEY = "xk_8Jm2nX0b7o1vQy5c3rT9wZ4dK6fH2gL8pS0aE7iU1xM"

REGISTER = Operation(
    operation_id="register_broker",
    summary="Register a broker",
    description="The answer holds the broker's API key and, where a webhook URL was sent, the"
    " secret that verifies webhooks. Both are shown this once.",
    key=ADMIN_KEY,
    body=RegisterBody,
    body_examples={
        "with webhooks": {
            "name": samples.BROKER.name,
            "webhook_url": "https://broker.example/executions",
        },
        "without webhooks": {"name": samples.BROKER.name},
    },
    answers={
        201: Success(
            "The broker is registered and its key works at once.",
            RegisteredAnswer,
            msgspec.json.encode(
                RegisteredAnswer(
                    broker_id=samples.BROKER.broker_id,
                    api_key=_KEY,
                    webhook_secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # noqa: S106 - a sample.
                ).model_dump()
            ),
        )
    },
    problems=(
        *_ADMIN_PROBLEMS,
        invalid_body([{"loc": ("body", 0), "type": "json_invalid", "msg": "JSON decode error"}]),
        invalid(RegisterBody, name=""),
        invalid(
            RegisterBody,
        ),
        invalid(RegisterBody, name=samples.BROKER.name, nome=samples.BROKER.name),
        raised(check_webhook_url, "/executions", False),
    ),
)

ISSUE_KEY = Operation(
    operation_id="issue_api_key",
    summary="Give a broker a new key",
    description="All keys that the broker had are revoked at once.",
    key=ADMIN_KEY,
    answers={
        201: Success(
            "The new key works at once.",
            IssuedKeyAnswer,
            msgspec.json.encode(IssuedKeyAnswer(api_key=_KEY).model_dump()),
        )
    },
    problems=(*_ADMIN_PROBLEMS, refusals.broker_not_found()),
)

REVOKE_KEYS = Operation(
    operation_id="revoke_api_keys",
    summary="Revoke all keys of a broker",
    description="Its orders stay in the book.",
    key=ADMIN_KEY,
    answers={204: Success("No key of the broker works any more.")},
    problems=(*_ADMIN_PROBLEMS, refusals.broker_not_found()),
)

_ADDED = AddKeyBody(
    name="the night shift",
    scopes=["read"],
    expires_at=samples.VALID_UNTIL,
    allowed_networks=["198.51.100.0/24", "2001:db8::/48"],
)
_ADDED_EVENT = key_added(samples.BROKER.broker_id, _KEY, _ADDED, samples.TIME_MS)
_DIRECTORY = Directory()
_DIRECTORY.apply(
    1,
    RegistryEntry(
        [
            BrokerRegistered(samples.BROKER.broker_id, samples.BROKER.name, samples.TIME_MS),
            _ADDED_EVENT,
        ]
    ),
)
_SHOWN_KEY = key_answer(_DIRECTORY.keys[_ADDED_EVENT.key_hash])

ADD_KEY = Operation(
    operation_id="add_api_key",
    summary="Give a broker one more key",
    description="The keys that the broker has stay valid, so a broker can go over to the new one at"
    " leisure. The key is shown this once.",
    key=ADMIN_KEY,
    body=AddKeyBody,
    body_examples={
        "to read, for a while, from one place": _ADDED.model_dump(),
        "for everything": {"name": "trading desk 2", "scopes": ["read", "trade"]},
    },
    answers={
        201: Success(
            "The new key works at once.",
            AddedKeyAnswer,
            AddedKeyAnswer(**_SHOWN_KEY.model_dump(), api_key=_KEY).model_dump_json().encode(),
        )
    },
    problems=(
        *_ADMIN_PROBLEMS,
        refusals.broker_not_found(),
        refusals.too_many_keys(KEYS_MAX),
        invalid_body([{"loc": ("body", 0), "type": "json_invalid", "msg": "JSON decode error"}]),
        invalid(AddKeyBody, name="x"),
        invalid(AddKeyBody, name="x", scopes=["admin"]),
        invalid(AddKeyBody, name="x", scopes=["read"], expires="never"),
    ),
)

LIST_KEYS = Operation(
    operation_id="list_api_keys",
    summary="List the keys of a broker",
    description="Keys themselves are stored nowhere. A `key_id` is the beginning of the key's"
    " SHA-256 in hexadecimal form.",
    key=ADMIN_KEY,
    answers={
        200: Success(
            "All keys that are not revoked, oldest first.",
            KeysAnswer,
            KeysAnswer(data=[_SHOWN_KEY]).model_dump_json().encode(),
        )
    },
    problems=(unauthorized("admin key"), unavailable(), refusals.broker_not_found()),
)

REVOKE_KEY = Operation(
    operation_id="revoke_api_key",
    summary="Revoke one key of a broker",
    description="The other keys stay valid, and so do the orders.",
    key=ADMIN_KEY,
    answers={204: Success("The key does not work any more.")},
    problems=(*_ADMIN_PROBLEMS, refusals.broker_not_found(), refusals.key_not_found()),
)

_CALLED = AdminCalled(
    time_ms=samples.TIME_MS,
    key_id="5e884898da280471",
    address="198.51.100.7",
    request_id=samples.REQUEST_ID,
    method="DELETE",
    path=f"/admin/brokers/{samples.BROKER.broker_id}/keys/{samples.KEY_ID}",
    body="",
    body_hash="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
)
_TRAIL = [
    *shown(43, RegistryEntry([AdminAnswered(samples.TIME_MS + 3, 41, 204)])),
    *shown(41, RegistryEntry([_CALLED])),
]

AUDIT = Operation(
    operation_id="list_admin_calls",
    summary="Read the audit trail",
    description="Every call with the admin key that may change something, newest first. It was"
    " written down before it was carried out, and its outcome afterwards.",
    key=ADMIN_KEY,
    parameters=(
        query_parameter("limit", "How many entries at most.", LIMIT_DEFAULT, LIMIT_MAX),
        {
            "name": "before",
            "in": "query",
            "description": "Only entries before this sequence of the registry.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 2**53},
        },
    ),
    answers={
        200: Success(
            "A page of the audit trail.",
            AuditAnswer,
            AuditAnswer(data=_TRAIL, next_before=41).model_dump_json().encode(),
        )
    },
    problems=(
        unauthorized("admin key"),
        unavailable(),
        invalid_body([{"loc": ("query", "limit"), "type": "int_parsing", "msg": "no integer"}]),
    ),
)

_LIMITS = LimitsBody(
    open_orders_max=1000,
    order_quantity_max=50_000,
    order_notional_max=500_000_000,
    price_collar_basis_points=2000,
    orders_per_second=100,
    cancels_per_second=500,
    reads_per_second=200,
)
_SHOWN = LimitsAnswer(broker_id=samples.BROKER.broker_id, **_LIMITS.model_dump())

SET_LIMITS = Operation(
    operation_id="set_broker_limits",
    summary="Set the limits of a broker",
    description="They take the place of all that was set before: what is left out has no limit, and"
    " without `is_enabled` the broker is enabled. With `is_enabled` false, the kill switch, new"
    " orders and amendments are refused, and cancels and reads pass. Resting orders stay; cancel"
    " them with `cancel_all_of_broker`.",
    key=ADMIN_KEY,
    body=LimitsBody,
    body_examples={
        "limits": _LIMITS.model_dump(),
        "the kill switch": {"is_enabled": False},
        "no limits": {},
    },
    answers={
        200: Success(
            "The limits are in the registry and in the log of each symbol, on disk.",
            LimitsAnswer,
            _SHOWN.model_dump_json().encode(),
        )
    },
    problems=(
        *_ADMIN_PROBLEMS,
        refusals.broker_not_found(),
        invalid_body([{"loc": ("body", 0), "type": "json_invalid", "msg": "JSON decode error"}]),
        invalid_body([{"loc": ("body",), "type": "missing", "msg": "Field required"}]),
        invalid(LimitsBody, open_orders_max=-1),
        invalid(LimitsBody, orders=1),
    ),
)

GET_LIMITS = Operation(
    operation_id="get_broker_limits",
    summary="Read the limits of a broker",
    key=ADMIN_KEY,
    answers={
        200: Success(
            "The limits of the broker; 0 is no limit.",
            LimitsAnswer,
            _SHOWN.model_dump_json().encode(),
        )
    },
    problems=(unauthorized("admin key"), unavailable(), refusals.broker_not_found()),
)

CANCEL_ALL_OF_BROKER = Operation(
    operation_id="cancel_all_of_broker",
    summary="Cancel all orders of a broker",
    description="On behalf of the broker; the orders end with the reason `operator`.",
    key=ADMIN_KEY,
    answers={
        202: Success(
            "The cancel is in the log of each symbol, on disk, and will be carried out.",
            MassCancelAnswer,
            mass_cancel_answer("5d0c8f5e-6b1f-4c39-9a0e-2f7d3b9e4a61"),
        )
    },
    problems=(*_ADMIN_PROBLEMS, refusals.broker_not_found()),
)

RESET = Operation(
    operation_id="reset_exchange",
    summary="Forget all orders, trades and balances",
    description="Brokers, their keys and limits and the instruments stay.",
    key=ADMIN_KEY,
    answers={
        200: Success(
            "The exchange is empty and has a new history.",
            ResetAnswer,
            ResetAnswer(history_id="3f1c9a7e5b2d4c608f7e6d5c4b3a2918").model_dump_json().encode(),
        )
    },
    problems=(unauthorized("admin key"), unavailable()),
)
