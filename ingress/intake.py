"""From the body of ``POST /orders`` to a command, and to the answer. Pure."""

import re
from datetime import datetime
from typing import Literal, TypeVar

import msgspec

from protocol.commands import AmendOrder, PlaceOrder
from protocol.enums import OrderType, Side
from protocol.units import (
    CLIENT_ORDER_ID,
    CLIENT_ORDER_ID_LENGTH_MAX,
    TIME_MS_MAX,
    format_time,
    milliseconds,
)
from runtime.http.problems import FieldError, Problem
from runtime.http.schemas import (
    ClientOrderIdField,
    DeadlineField,
    DocumentNumberField,
    IdField,
    InTheLogAnswer,
    PriceField,
    QuantityField,
    SymbolField,
    TimeField,
)


class OrderBody(msgspec.Struct, forbid_unknown_fields=True):
    """A new order. A limit order needs `price` and `valid_until`; a market order has neither.
    Integers are strict: no `true`, `"5"` or `1.0`."""

    document_number: DocumentNumberField
    side: Side
    order_type: OrderType
    symbol: SymbolField
    quantity: QuantityField
    price: PriceField | None = None
    valid_until: DeadlineField | None = None
    client_order_id: ClientOrderIdField | None = None


class AmendBody(msgspec.Struct, forbid_unknown_fields=True):
    """What is to be changed; a field that is absent or null stays as it is."""

    price: PriceField | None = None
    quantity: QuantityField | None = None
    valid_until: DeadlineField | None = None


class AcceptedAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A new order, as :func:`accepted` writes it."""

    order_id: IdField
    client_order_id: ClientOrderIdField
    symbol: SymbolField
    side: Side
    order_type: OrderType
    price: PriceField | None
    quantity: QuantityField
    remaining_quantity: QuantityField
    status: Literal["open"]
    state: Literal["pending"]
    valid_until: TimeField | None
    created_at: TimeField


T = TypeVar("T")

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
    order = _decode(_order_decoder, body)
    valid_until_ms = None
    if order.order_type not in (OrderType.LIMIT, OrderType.MARKET):
        raise _field("order_type", "invalid_field", "send limit or market")
    if order.order_type is OrderType.LIMIT:
        if order.price is None:
            raise _field(
                "price", "price_required", "send the worst price that you accept, in cents"
            )
        if order.valid_until is None:
            raise _field(
                "valid_until",
                "valid_until_required",
                "send the time at which the order expires, with an offset",
            )
        valid_until_ms = _valid_until(order.valid_until)
    elif order.price is not None:
        raise _field("price", "price_not_allowed", "leave price out, or send a limit order")
    elif order.valid_until is not None:
        raise _field("valid_until", "valid_until_not_allowed", "a market order never rests")
    client_order_id = order.client_order_id or ""
    if idempotency_key is not None:
        client_order_id = _client_order_id(client_order_id, idempotency_key)
    return order.symbol, PlaceOrder(
        broker_id=broker_id,
        document_number=order.document_number,
        side=order.side,
        order_type=order.order_type,
        price=order.price,
        quantity=order.quantity,
        valid_until_ms=valid_until_ms,
        client_order_id=client_order_id,
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
        raise _field("valid_until", "valid_until_passed", f"it must be after {format_time(now_ms)}")


def parse_amendment(
    body: bytes, order_sequence: int, if_match: bytes | None, now_ms: int
) -> AmendOrder:
    """The command of a ``PATCH``; raises a 422 :class:`Problem`."""
    amendment = _decode(_amend_decoder, body)
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


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem("malformed_json", f"the body must be one JSON object: {error}") from error


def _valid_until(moment: datetime) -> int:
    time_ms = milliseconds(moment)
    if time_ms > TIME_MS_MAX:
        raise _field("valid_until", "invalid_field", f"it is at most {format_time(TIME_MS_MAX)}")
    return time_ms


def _field(name: str, code: str, detail: str) -> Problem:
    return Problem(code, f"{name}: {detail}", (FieldError(f"#/{name}", code, detail),))


def _invalid(message: str) -> Problem:
    """msgspec's message (``Expected `int`, got `str` - at `$.price```) as a problem."""
    field = _FIELD.search(message)
    if field is not None:
        missing = field["kind"] == "missing required"
        return _field(
            field["name"],
            "missing_field" if missing else "unknown_field",
            "it is required" if missing else "leave it out; /docs lists the known ones",
        )
    parts = _MESSAGE.match(message)
    assert parts is not None, "the pattern matches any text"
    if not parts["path"]:
        return Problem("malformed_json", f"the body must be one JSON object: {parts['what']}")
    return _field(parts["path"].replace(".", "/"), "invalid_field", parts["what"])


def accepted(symbol: str, order: PlaceOrder, order_id: str, time_ms: int) -> bytes:
    """The body of 201. Spelled by hand, because it is written thousands of times a second; every
    text in it was checked against a pattern without quotes."""
    price = "null" if order.price is None else order.price
    valid_until = (
        "null" if order.valid_until_ms is None else f'"{format_time(order.valid_until_ms)}"'
    )
    return (
        f'{{"order_id":"{order_id}","client_order_id":"{order.client_order_id or order_id}",'
        f'"symbol":"{symbol}","side":"{order.side.value}",'
        f'"order_type":"{order.order_type.value}","price":{price},"quantity":{order.quantity},'
        f'"remaining_quantity":{order.quantity},"status":"open","state":"pending",'
        f'"valid_until":{valid_until},"created_at":"{format_time(time_ms)}"}}'
    ).encode()


def in_the_log(what: str) -> bytes:
    """The body of 202: ``what`` was written and has not been decided yet."""
    detail = f"the {what} is in the log; the matcher has not reached it yet"
    return msgspec.json.encode(InTheLogAnswer(detail))
