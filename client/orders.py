"""The calls of orders. No I/O."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Required, TypeAlias, TypedDict

import msgspec

from client.answers import (
    MassCancel,
    Order,
    OrderType,
    SelfTradePrevention,
    Side,
    Switch,
    TimeInForce,
    Validated,
)
from client.calls import Call, Reply, body_of, json_of, path_of
from client.conversation import UNCLEAR, problem_of
from client.problems import NOT_DECIDED, Problem, ProblemBody

RETURN_ORDER = {"prefer": "return=representation"}
REPLAYED = "idempotent-replayed"


class NewOrder(TypedDict, total=False):
    """A new order. Prices are in cents of BRL, quantities are whole shares.

    Without ``order_type`` a ``price`` makes it a limit order, and no price a market order. An order
    that can rest needs ``valid_until``, or the ``time_in_force`` ``gtc`` or ``day``. Without a
    ``client_order_id`` the client makes one, so that every order can be sent again safely.
    """

    document_number: Required[str]
    side: Required[Side]
    symbol: Required[str]
    quantity: Required[int]
    order_type: OrderType
    price: int
    valid_until: datetime | str
    client_order_id: str
    time_in_force: TimeInForce
    post_only: bool
    self_trade_prevention: SelfTradePrevention
    memo: str
    stop_price: int
    display_quantity: int


Result: TypeAlias = Order | Problem
"""What became of one item of a batch."""


def place(new: NewOrder, wait_seconds: int) -> Call[Order]:
    """``wait_seconds`` is how long the exchange waits for the matcher before it answers."""
    sent = named(new)
    return Call(
        method="POST",
        path="/orders",
        read=lambda reply: _placed(reply, sent),
        body=body_of(sent),
        headers=_prefer_wait(wait_seconds),
        waits_seconds=wait_seconds,
        client_order_ids=(sent["client_order_id"],),
    )


def validate(new: NewOrder) -> Call[Validated]:
    return Call(method="POST", path="/orders/validate", read=json_of(Validated), body=body_of(new))


def amend(
    order_id: str,
    price: int | None,
    quantity: int | None,
    valid_until: datetime | str | None,
    version: int | None,
) -> Call[Order]:
    """It is not repeatable: a second amendment could lose the place in the queue once more, and
    with a ``version`` it would be refused although the first one was carried out."""
    changes = {"price": price, "quantity": quantity, "valid_until": valid_until}
    return Call(
        method="PATCH",
        path=path_of("orders", order_id),
        read=_amended,
        body=body_of(changes),
        headers={} if version is None else {"if-match": f'"{version}"'},
        is_repeatable=False,
    )


def place_batch(orders: Sequence[NewOrder], wait_seconds: int) -> Call[list[Result]]:
    """Orders that have their ids already."""
    return Call(
        method="POST",
        path="/orders/batch",
        read=lambda reply: _placed_items(reply, orders),
        body=body_of({"orders": orders}),
        headers=_prefer_wait(wait_seconds),
        waits_seconds=wait_seconds,
        client_order_ids=tuple(order["client_order_id"] for order in orders),
    )


def cancel_by_id(order_id: str) -> Call[Order | None]:
    return _cancel(path_of("orders", order_id, "cancel"))


def cancel_by_client_id(symbol: str, client_order_id: str) -> Call[Order | None]:
    return _cancel(path_of("orders", "by-client-id", symbol, client_order_id, "cancel"))


def _cancel(path: str) -> Call[Order | None]:
    """To cancel twice is harmless. 202 and 204 come without the order."""
    read = json_of(Order)
    return Call(
        method="POST",
        path=path,
        read=lambda reply: read(reply) if reply.status == 200 else None,
        headers=RETURN_ORDER,
    )


def cancel_all(
    symbol: str | None, side: Side | None, document_number: str | None
) -> Call[MassCancel]:
    wanted = {"symbol": symbol, "side": side, "document_number": document_number}
    return Call(
        method="POST", path="/orders/cancel-all", read=json_of(MassCancel), body=body_of(wanted)
    )


def cancel_all_after(timeout_seconds: int) -> Call[Switch]:
    body = body_of({"timeout_seconds": timeout_seconds})
    return Call(method="POST", path="/orders/cancel-all-after", read=json_of(Switch), body=body)


def cancel_batch(order_ids: Sequence[str]) -> Call[list[Result | None]]:
    return Call(
        method="DELETE",
        path="/orders",
        read=_canceled_items,
        body=body_of({"order_ids": order_ids}),
        headers=RETURN_ORDER,
    )


def named(new: NewOrder) -> NewOrder:
    """The same order with a client order id."""
    order = new.copy()
    order.setdefault("client_order_id", uuid.uuid4().hex)
    return order


def _prefer_wait(seconds: int) -> dict[str, str]:
    return {"prefer": f"wait={seconds}"} if seconds else {}


def _placed(reply: Reply, sent: NewOrder) -> Order:
    return _order(msgspec.Raw(reply.body), sent, REPLAYED in reply.headers)


def _order(raw: msgspec.Raw, sent: NewOrder, was_repeated: bool) -> Order:
    """The order of an answer. A new order that is not matched yet comes without the fields that say
    how it was filled; it has not been filled."""
    fields = msgspec.json.decode(raw, type=dict[str, Any])
    untouched: dict[str, Any] = {
        "document_number": sent["document_number"],
        "filled_quantity": 0,
        "filled_notional": 0,
        "state_reason": None,
        "updated_at": fields.get("created_at"),
        "version": 0,
        "trades": [],
        "was_repeated": was_repeated,
    }
    return msgspec.convert(untouched | fields, Order)


def _amended(reply: Reply) -> Order:
    if reply.status != 200:
        raise not_decided("amendment", reply)
    return msgspec.json.decode(reply.body, type=Order)


def not_decided(what: str, reply: Reply | None = None) -> Problem:
    """The exchange has taken a request, and the matcher did not reach it in time."""
    return Problem(
        NOT_DECIDED,
        f"the {what} is in the log and will be carried out; read the order later",
        status=202,
        request_id="" if reply is None else reply.headers.get("x-request-id", ""),
    )


class _Item(msgspec.Struct, frozen=True):
    """What became of one item of a batch."""

    status: int
    order: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    problem: ProblemBody | msgspec.UnsetType = msgspec.UNSET


class _Items(msgspec.Struct, frozen=True):
    results: list[_Item]


_items_decoder = msgspec.json.Decoder(_Items)


def _placed_items(reply: Reply, orders: Sequence[NewOrder]) -> list[Result]:
    results: list[Result] = []
    for item, sent in zip(_items(reply, len(orders)), orders, strict=True):
        if item.order is msgspec.UNSET:
            problem = _item_problem(item, reply)
            problem.client_order_ids = (sent["client_order_id"],)
            results.append(problem)
        else:
            results.append(_order(item.order, sent, was_repeated=item.status == 200))
    return results


def _canceled_items(reply: Reply) -> list[Result | None]:
    """``None`` stands for a cancel that was taken and came without its order."""
    results: list[Result | None] = []
    for item in _items_decoder.decode(reply.body).results:
        if item.order is not msgspec.UNSET:
            results.append(msgspec.json.decode(item.order, type=Order))
        elif item.status < 300:
            results.append(None)
        else:
            results.append(_item_problem(item, reply))
    return results


def _items(reply: Reply, count: int) -> list[_Item]:
    items = _items_decoder.decode(reply.body).results
    if len(items) != count:
        raise msgspec.ValidationError(f"{len(items)} results for {count} items")
    return items


def _item_problem(item: _Item, reply: Reply) -> Problem:
    if item.problem is msgspec.UNSET:
        raise msgspec.ValidationError("an item has neither an order nor a problem")
    problem = problem_of(item.problem, item.status, reply.headers.get("x-request-id", ""))
    problem.is_outcome_unknown = problem.code in UNCLEAR or item.status == 500
    return problem
