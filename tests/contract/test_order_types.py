"""Orders with instructions: what is answered, what is shown, and what reaches the log."""

from typing import Any

import pytest

from protocol import ids
from protocol.commands import PlaceOrder, PlaceSpecialOrder
from protocol.enums import SelfTradePrevention, TimeInForce
from tests.support.logs import commands_of
from tests.support.running import BrokerClient, RunningExchange

INSTRUCTIONS = (
    *("time_in_force", "post_only", "self_trade_prevention"),
    *("memo", "stop_price", "display_quantity"),
)
PLAIN = {
    "post_only": False,
    "self_trade_prevention": "none",
    "memo": None,
    "stop_price": None,
    "display_quantity": None,
}


def order(symbol: str, **more: Any) -> dict[str, Any]:
    return {"document_number": "1", "side": "bid", "symbol": symbol, "quantity": 1000} | more


@pytest.mark.parametrize(
    ("fields", "order_type", "life"),
    [
        ({"price": 10, "valid_until": "2999-01-01T00:00:00Z"}, "limit", "gtd"),
        ({"price": 10, "time_in_force": "gtc"}, "limit", "gtc"),
        ({}, "market", "ioc"),
        ({"stop_price": 10, "time_in_force": "gtc"}, "stop", "gtc"),
        ({"price": 9, "stop_price": 10, "time_in_force": "day"}, "stop_limit", "day"),
    ],
)
def test_order_type_may_be_left_out(
    alice: BrokerClient, symbol: str, fields: dict[str, Any], order_type: str, life: str
) -> None:
    placed = alice.http.post("/orders", json=order(symbol, **fields))
    assert placed.status_code == 201, placed.text
    shown = alice.order(placed.json()["order_id"])
    for answer in (placed.json(), shown):
        assert (answer["order_type"], answer["time_in_force"]) == (order_type, life)


def test_a_plain_order_shows_that_nothing_is_special(alice: BrokerClient, symbol: str) -> None:
    body = order(symbol, price=10, valid_until="2999-01-01T00:00:00Z")
    placed = alice.http.post("/orders", json=body).json()
    shown = alice.settled(placed["order_id"])
    for answer in (placed, shown):
        assert {name: answer[name] for name in PLAIN} == PLAIN


def test_instructions_reach_the_log_and_the_answer(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    instructions = {
        "time_in_force": "day",
        "post_only": True,
        "self_trade_prevention": "cancel_resting",
        "memo": "a \u201cnote\u201d",
        "display_quantity": 10,
    }
    placed = alice.http.post("/orders", json=order(symbol, price=10, **instructions))
    assert placed.status_code == 201, placed.text
    answer = placed.json()
    assert {name: answer[name] for name in INSTRUCTIONS} == instructions | {"stop_price": None}
    (command,) = commands_of(exchange.addresses["redis_url"], symbol)
    assert isinstance(command, PlaceSpecialOrder)
    assert (command.time_in_force, command.post_only) == (TimeInForce.DAY, True)
    assert command.self_trade_prevention is SelfTradePrevention.CANCEL_RESTING
    assert (command.memo, command.display_quantity) == (instructions["memo"], 10)


def test_a_plain_order_stays_a_short_command(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 10, 5)
    alice.http.post("/orders", json=order(symbol, price=10, time_in_force="gtc"))
    commands = commands_of(exchange.addresses["redis_url"], symbol)
    assert [type(command) for command in commands] == [PlaceOrder, PlaceOrder]


def test_the_same_order_spelled_otherwise_is_a_repeat(alice: BrokerClient, symbol: str) -> None:
    plain = order(symbol, price=10, valid_until="2999-01-01T00:00:00Z", client_order_id="same")
    spelled = plain | {"order_type": "limit", "time_in_force": "gtd", "post_only": False}
    first = alice.http.post("/orders", json=plain)
    again = alice.http.post("/orders", json=spelled)
    assert (first.status_code, again.status_code) == (201, 200)
    other = alice.http.post("/orders", json=spelled | {"memo": "x"})
    assert (other.status_code, other.json()["code"]) == (409, "duplicate_client_order_id")
    assert ids.decode(first.json()["order_id"]) is not None
