"""From the body of ``POST /orders`` to a command, and to the answer. Pure."""

import re
from datetime import datetime
from typing import TypeVar

import msgspec

from ingress.bodies import AmendBody, OrderBody, ValidatedAnswer
from ingress.instructions import order_type_of, refuse_contradictions
from protocol.commands import (
    AmendOrder,
    PlaceOrder,
    PlaceSpecialOrder,
    implied_time_in_force,
    place_order,
)
from protocol.enums import OrderType, SelfTradePrevention, TimeInForce
from protocol.units import (
    CLIENT_ORDER_ID,
    CLIENT_ORDER_ID_LENGTH_MAX,
    TIME_MS_MAX,
    format_time,
    milliseconds,
)
from runtime.http.problems import Problem, field_problem
from runtime.http.schemas import InTheLogAnswer

T = TypeVar("T")

# To look a member of an enumeration up takes time, and these are needed for every order.
_LIMIT, _NO_PREVENTION = OrderType.LIMIT, SelfTradePrevention.NONE

_order_decoder = msgspec.json.Decoder(OrderBody)
_amend_decoder = msgspec.json.Decoder(AmendBody)
_MESSAGE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_IDEMPOTENCY_KEY = re.compile(rb'(?P<quote>"?)(?P<key>%s)(?P=quote)' % CLIENT_ORDER_ID.encode())
_VERSION = re.compile(rb'"([0-9]{1,9})"')
_FIELD = re.compile(r"(?P<kind>missing required|contains unknown) field `(?P<name>[^`]*)`")


def parse_order(
    body: bytes, broker_id: str, idempotency_key: bytes | None = None
) -> tuple[str, PlaceOrder]:
    """The symbol and the command of a body; raises a 422 :class:`Problem`. Whether its time has
    passed is for :func:`refuse_passed` to say."""
    order = decode(_order_decoder, body)
    client_order_id = order.client_order_id or ""
    if idempotency_key is not None:
        client_order_id = _client_order_id(client_order_id, idempotency_key)
    deadline = order.valid_until
    if deadline is not None and _is_plain(order):
        return order.symbol, PlaceOrder(
            broker_id,
            order.document_number,
            order.side,
            _LIMIT,
            order.price,
            order.quantity,
            _valid_until(deadline),
            client_order_id,
        )
    order_type = order_type_of(order)
    refuse_contradictions(order, order_type)
    return order.symbol, place_order(
        broker_id,
        order.document_number,
        order.side,
        order_type,
        order.price,
        order.quantity,
        None if deadline is None else _valid_until(deadline),
        client_order_id,
        time_in_force=order.time_in_force,
        post_only=order.post_only,
        self_trade_prevention=order.self_trade_prevention,
        memo=order.memo or "",
        stop_price=order.stop_price,
        display_quantity=order.display_quantity or 0,
    )


def _is_plain(order: OrderBody) -> bool:
    """Whether this is a limit order without instructions, as nearly all are: nothing in it can
    contradict."""
    return (
        order.price is not None
        and (order.order_type is _LIMIT or order.order_type is None)
        and order.time_in_force is None
        and order.stop_price is None
        and order.display_quantity is None
        and order.memo is None
        and order.self_trade_prevention is _NO_PREVENTION
        and not order.post_only
    )


def _client_order_id(in_body: str, idempotency_key: bytes) -> str:
    """The header is an alias of the field (IETF draft Idempotency-Key), quoted or not."""
    match = _IDEMPOTENCY_KEY.fullmatch(idempotency_key)
    if match is None or (in_body and in_body != match["key"].decode()):
        raise Problem(
            "invalid_idempotency_key",
            f"send 1 to {CLIENT_ORDER_ID_LENGTH_MAX} of A-Z a-z 0-9 . _ : - and no other"
            " client_order_id in the body",
        )
    return match["key"].decode()


def refuse_passed(valid_until_ms: int | None, now_ms: int) -> None:
    """Raise a 422 :class:`Problem` when ``valid_until`` is not in the future."""
    if valid_until_ms is not None and valid_until_ms <= now_ms:
        raise field_problem(
            "valid_until", "valid_until_passed", f"it must be after {format_time(now_ms)}"
        )


def parse_amendment(
    body: bytes, order_sequence: int, if_match: bytes | None, now_ms: int
) -> AmendOrder:
    """The command of a ``PATCH``; raises a 422 :class:`Problem`."""
    amendment = decode(_amend_decoder, body)
    if amendment == AmendBody():
        raise Problem("nothing_to_amend", "send price, quantity or valid_until")
    valid_until_ms = None
    if amendment.valid_until is not None:
        valid_until_ms = _valid_until(amendment.valid_until)
        refuse_passed(valid_until_ms, now_ms)
    return AmendOrder(
        order_sequence,
        amendment.price,
        amendment.quantity,
        valid_until_ms,
        None if if_match is None else _version(if_match),
    )


def _version(if_match: bytes) -> int:
    match = _VERSION.fullmatch(if_match)
    if match is None:
        raise Problem("invalid_if_match", 'send the version in double quotes, as "3"')
    return int(match[1])


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed_json", f"the body must be one JSON object: {error}") from error


def _valid_until(moment: datetime) -> int:
    time_ms = milliseconds(moment)
    if time_ms > TIME_MS_MAX:
        raise field_problem(
            "valid_until", "invalid_field", f"it is at most {format_time(TIME_MS_MAX)}"
        )
    return time_ms


def _invalid(message: str) -> Problem:
    """msgspec's message (``Expected `int`, got `str` - at `$.price```) as a problem."""
    field = _FIELD.search(message)
    if field is not None:
        missing = field["kind"] == "missing required"
        return field_problem(
            field["name"],
            "missing_field" if missing else "unknown_field",
            "it is required" if missing else "leave it out; /docs lists the known ones",
        )
    parts = _MESSAGE.match(message)
    assert parts is not None, "the pattern matches any text"
    if not parts["path"]:
        return Problem("malformed_json", f"the body must be one JSON object: {parts['what']}")
    path = parts["path"].replace(".", "/").replace("[", "/").replace("]", "")
    return field_problem(path, "invalid_field", parts["what"])


def accepted(symbol: str, order: PlaceOrder, order_id: str, time_ms: int) -> bytes:
    """The body of 201. Spelled by hand, because it is written thousands of times a second; every
    text in it but the memo was checked against a pattern without quotes."""
    price = "null" if order.price is None else order.price
    valid_until = (
        "null" if order.valid_until_ms is None else f'"{format_time(order.valid_until_ms)}"'
    )
    return (
        f'{{"order_id":"{order_id}","client_order_id":"{order.client_order_id or order_id}",'
        f'"symbol":"{symbol}","side":"{order.side.value}",'
        f'"order_type":"{order.order_type.value}","price":{price},"quantity":{order.quantity},'
        f'"remaining_quantity":{order.quantity},"status":"open","state":"pending",'
        f'"valid_until":{valid_until},"created_at":"{format_time(time_ms)}",{_special(order)}}}'
    ).encode()


def _special(order: PlaceOrder) -> str:
    """The members of an answer that say what is special about the order."""
    if not isinstance(order, PlaceSpecialOrder):
        if order.valid_until_ms is not None:
            return _PLAIN_GTD
        return _PLAIN_IOC if order.order_type is OrderType.MARKET else _PLAIN_GTC
    memo = msgspec.json.encode(order.memo or None).decode()
    return (
        f'"time_in_force":"{time_in_force_of(order).value}",'
        f'"post_only":{"true" if order.post_only else "false"},'
        f'"self_trade_prevention":"{order.self_trade_prevention.value}","memo":{memo},'
        f'"stop_price":{order.stop_price or "null"},'
        f'"display_quantity":{order.display_quantity or "null"}'
    )


def time_in_force_of(order: PlaceOrder) -> TimeInForce:
    """What the order says of its life, or what is implied."""
    stated = order.time_in_force if isinstance(order, PlaceSpecialOrder) else None
    return stated or implied_time_in_force(order.order_type, order.valid_until_ms)


_PLAIN_GTD, _PLAIN_GTC, _PLAIN_IOC = (
    f'"time_in_force":"{life.value}","post_only":false,"self_trade_prevention":"none",'
    '"memo":null,"stop_price":null,"display_quantity":null'
    for life in (TimeInForce.GTD, TimeInForce.GTC, TimeInForce.IOC)
)


def validated(order: PlaceOrder) -> bytes:
    """The body of an order that would be taken."""
    return msgspec.json.encode(ValidatedAnswer(order.order_type, time_in_force_of(order)))


def in_the_log(what: str) -> bytes:
    """The body of 202: ``what`` was written and has not been decided yet."""
    detail = f"the {what} is in the log; the matcher has not reached it yet"
    return msgspec.json.encode(InTheLogAnswer(detail))
