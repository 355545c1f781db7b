"""What OpenAPI says of the calls of one order. The examples come from the code that answers."""

from typing import Any

import msgspec

from ingress import refusals
from ingress.bodies import (
    AcceptedAnswer,
    AmendBody,
    OrderBody,
    ValidatedAnswer,
)
from ingress.instructions import refuse_unfitting_amendment
from ingress.intake import (
    accepted,
    in_the_log,
    parse_amendment,
    parse_order,
    refuse_passed,
    validated,
)
from ingress.limits import refuse_order
from ingress.preferences import WAIT_SECONDS_MAX
from protocol.commands import AmendOrder
from protocol.enums import OrderState, OrderType, TimeInForce
from protocol.records import Special
from protocol.registry import BrokerLimitsSet
from protocol.units import CLIENT_ORDER_ID
from runtime.http import samples
from runtime.http.operations import (
    Operation,
    Success,
    header_parameter,
    raised,
)
from runtime.http.orders import client_order_not_found, forbidden, order_answer, order_not_found
from runtime.http.problems import Problem, unauthorized, unavailable
from runtime.http.schemas import InTheLogAnswer, OrderAnswer

LIMIT_ORDER: dict[str, Any] = {
    "document_number": samples.DOCUMENT_NUMBER,
    "side": samples.ORDER.side.value,
    "order_type": "limit",
    "symbol": samples.SYMBOL,
    "price": samples.ORDER.price,
    "quantity": samples.ORDER.quantity,
    "valid_until": samples.VALID_UNTIL,
    "client_order_id": samples.CLIENT_ORDER_ID,
}
MARKET_ORDER: dict[str, Any] = {
    "document_number": samples.DOCUMENT_NUMBER,
    "side": "ask",
    "order_type": "market",
    "symbol": samples.SYMBOL,
    "quantity": 200,
}
_ICEBERG: dict[str, Any] = {
    "document_number": samples.DOCUMENT_NUMBER,
    "side": "ask",
    "symbol": samples.SYMBOL,
    "price": 3160,
    "quantity": 10_000,
    "display_quantity": 500,
    "time_in_force": "day",
    "self_trade_prevention": "cancel_resting",
    "memo": "strategy 7",
}
_STOP: dict[str, Any] = {
    "document_number": samples.DOCUMENT_NUMBER,
    "side": "ask",
    "symbol": samples.SYMBOL,
    "stop_price": 3000,
    "quantity": 1000,
    "time_in_force": "gtc",
}
_PLACED = parse_order(msgspec.json.encode(LIMIT_ORDER), samples.BROKER.broker_id)[1]
ACCEPTED = accepted(samples.SYMBOL, _PLACED, samples.ORDER_ID, samples.TIME_MS)
_ORDER = order_answer(samples.ORDER, [samples.FILL])
_NO_ANSWER = ConnectionError("Connection closed by server.")
NOT_KEPT = (unavailable(), refusals.outcome_unknown(_NO_ANSWER))
_FILLED = samples.ORDER.filled_quantity


def _placing(changes: dict[str, Any], key: bytes | None = None) -> Problem:
    """The problem of the limit order with these changes; ``None`` leaves a field out."""
    body = {name: value for name, value in (LIMIT_ORDER | changes).items() if value is not None}
    return raised(parse_order, msgspec.json.encode(body), samples.BROKER.broker_id, key)


def _amending(body: bytes, if_match: bytes | None = None) -> Problem:
    return raised(parse_amendment, body, samples.ORDER.sequence, if_match, samples.TIME_MS)


def _unfitting(command: AmendOrder, **changes: Any) -> Problem:
    """The problem of an amendment of the order with these changes."""
    order = msgspec.structs.replace(samples.ORDER, **changes)
    return raised(refuse_unfitting_amendment, order, command)


_UNFITTING = (
    _unfitting(AmendOrder(1, 3155, None, None), order_type=OrderType.STOP, price=None),
    _unfitting(AmendOrder(1, None, None, 1), special=Special(TimeInForce.DAY)),
    _unfitting(AmendOrder(1, None, 1000, None), special=Special(display_quantity=9)),
)
INVALID_PRICE = _placing({"price": 0})
_PASSED = raised(refuse_passed, samples.TIME_MS - 1, samples.TIME_MS)

_LIMITED = tuple(
    raised(refuse_order, rules, _PLACED)
    for rules in (
        BrokerLimitsSet("b", is_enabled=False),
        BrokerLimitsSet("b", order_quantity_max=500),
        BrokerLimitsSet("b", order_notional_max=1_000_000),
    )
)
_ORDER_PROBLEMS = (
    unauthorized("api key"),
    refusals.sent_before(samples.ORDER_ID, with_header=False),
    raised(parse_order, b"price=3150", samples.BROKER.broker_id),
    *_LIMITED,
    INVALID_PRICE,
    _placing({"symbol": None}),
    _placing({"prize": 3150}),
    _placing({"price": None}),
    _placing({"order_type": "market"}),
    _placing({"valid_until": None}),
    _placing({"order_type": "market", "price": None}),
    _placing({"order_type": "stop_limit"}),
    _placing({"stop_price": 3000}),
    _placing({"time_in_force": "fok", "stop_price": 3000, "order_type": "stop_limit"}),
    _placing({"time_in_force": "ioc", "valid_until": None, "post_only": True}),
    _placing({"time_in_force": "ioc", "valid_until": None, "display_quantity": 100}),
    _placing({"display_quantity": 2000}),
    _PASSED,
    refusals.sent_before(samples.ORDER_ID, with_header=True),
    _placing({}, b"another key"),
    refusals.symbol_not_listed(samples.SYMBOL),
)
_IDEMPOTENCY_KEY = header_parameter(
    "Idempotency-Key",
    "Another way to send the `client_order_id`, with or without double quotes.",
    {"type": "string", "pattern": f'^({CLIENT_ORDER_ID}|"{CLIENT_ORDER_ID}")$'},
)
WAIT = header_parameter(
    "Prefer",
    f"`wait=N` waits up to N seconds, at most {WAIT_SECONDS_MAX}, for the matcher"
    " (RFC 7240). Other preferences are ignored.",
    {"type": "string", "examples": ["wait=2"]},
)

PLACE = Operation(
    operation_id="place_order",
    summary="Place an order",
    description="The answer comes as soon as the order is in the log, on disk; it is matched a"
    " moment later. With the header `Prefer: wait=2` the answer waits up to two seconds until it is"
    " matched, and shows the order with its trades. With a `client_order_id`, or the header"
    " `Idempotency-Key`, the request can be repeated safely: the same body is answered with the"
    " first order.",
    parameters=(_IDEMPOTENCY_KEY, WAIT),
    body=OrderBody,
    body_examples={
        "limit order": LIMIT_ORDER,
        "market order": MARKET_ORDER,
        "iceberg order for the day": _ICEBERG,
        "stop order": _STOP,
    },
    answers={
        200: Success(
            "The order that was placed before with this client order id.",
            OrderAnswer,
            _ORDER,
            ("Location", "Idempotent-Replayed"),
        ),
        201: Success(
            "The order is in the log, on disk; with `Prefer`, the order as it was decided.",
            (AcceptedAnswer, OrderAnswer),
            ACCEPTED,
            ("Location", "Preference-Applied"),
        ),
    },
    problems=(*_ORDER_PROBLEMS, *NOT_KEPT),
)

RETURN = header_parameter(
    "Prefer",
    "With `return=representation` the answer shows the order as it ended (RFC 7240), so that you"
    " see whether it was filled before the cancel. Other preferences are ignored.",
    {"type": "string", "examples": ["return=representation"]},
)
_CANCEL_ANSWERS = {
    200: Success(
        "With `Prefer`: the order, which is no longer open.",
        OrderAnswer,
        order_answer(samples.CANCELED_ORDER, [samples.FILL]),
        ("Preference-Applied",),
    ),
    202: Success(
        "The cancel is in the log and will be carried out; the matcher has not reached it yet.",
        InTheLogAnswer,
        in_the_log("cancel"),
        ("Location",),
    ),
    204: Success("The order is no longer open."),
}

CANCEL = Operation(
    operation_id="cancel_order",
    summary="Cancel an order",
    description="To cancel an order that is closed already is no error.",
    parameters=(RETURN,),
    answers=_CANCEL_ANSWERS,
    problems=(unauthorized("api key"), forbidden(), order_not_found(), *NOT_KEPT),
)

CANCEL_BY_CLIENT_ID = Operation(
    operation_id="cancel_order_by_client_id",
    summary="Cancel an order by the broker's own id",
    description="The same as `cancel_order`.",
    parameters=(RETURN,),
    answers=_CANCEL_ANSWERS,
    problems=(unauthorized("api key"), client_order_not_found(), *NOT_KEPT),
)

VALIDATE = Operation(
    operation_id="validate_order",
    summary="Try an order out",
    description="The checks of `place_order` that are made before an order is taken. Nothing is"
    " placed. What depends on the market, as the state of the symbol, is not checked.",
    parameters=(_IDEMPOTENCY_KEY,),
    body=OrderBody,
    body_examples={"limit order": LIMIT_ORDER},
    answers={200: Success("The order would be taken now.", ValidatedAnswer, validated(_PLACED))},
    problems=(*_ORDER_PROBLEMS, unavailable()),
)

AMEND = Operation(
    operation_id="amend_order",
    summary="Amend an order",
    description="The order keeps its place in the queue only where its price stays and its"
    " quantity goes down; otherwise it goes to the back. `quantity` is the new total, including"
    " what is filled already.",
    parameters=(
        header_parameter(
            "If-Match",
            "Amend only this version of the order, in double quotes.",
            {"type": "string", "pattern": '^"[0-9]{1,9}"$', "examples": ['"2"']},
        ),
    ),
    body=AmendBody,
    body_examples={"another price": {"price": 3155}, "a smaller quantity": {"quantity": 800}},
    answers={
        200: Success("The changed order.", OrderAnswer, _ORDER, ("ETag",)),
        202: Success(
            "The amendment is in the log; the matcher has not reached it yet.",
            InTheLogAnswer,
            in_the_log("amendment"),
            ("Location",),
        ),
    },
    problems=(
        unauthorized("api key"),
        forbidden(),
        order_not_found(),
        refusals.order_not_open(OrderState.FILLED),
        refusals.quantity_below_filled(_FILLED),
        refusals.version_mismatch(samples.ORDER.version),
        _amending(b"price=3155"),
        *_UNFITTING,
        *refusals.BY_THE_ENGINE.values(),
        *_LIMITED,
        _amending(b'{"price":0}'),
        _amending(b'{"side":"ask"}'),
        _PASSED,
        _amending(b"{}"),
        _amending(b'{"price":3155}', b"2"),
        *NOT_KEPT,
    ),
)
