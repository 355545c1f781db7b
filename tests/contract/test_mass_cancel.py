"""Cancel all, and the dead-man switch, over HTTP."""

from datetime import datetime
from typing import Any

import pytest

from protocol.commands import MassCancel
from protocol.enums import Side, StateReason
from tests.support.eventually import eventually
from tests.support.logs import commands_of
from tests.support.running import BrokerClient, RunningExchange


def cancels(exchange: RunningExchange, symbol: str) -> list[MassCancel]:
    commands = commands_of(exchange.addresses["redis_url"], symbol)
    return [command for command in commands if isinstance(command, MassCancel)]


def cancel_all(broker: BrokerClient, **body: Any) -> str:
    answer = broker.http.post("/orders/cancel-all", json=body)
    assert answer.status_code == 202, answer.text
    mass_cancel_id: str = answer.json()["mass_cancel_id"]
    return mass_cancel_id


def test_a_mass_cancel_says_what_is_canceled(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 10, 5)
    mass_cancel_id = cancel_all(alice, symbol=symbol, side="bid", document_number="123.456")
    assert cancels(exchange, symbol) == [
        MassCancel(mass_cancel_id, alice.broker_id, Side.BID, "123.456")
    ]


def test_without_a_symbol_it_goes_to_all_of_them(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    names = [f"{symbol}{at}" for at in range(5)]
    for name in names:
        alice.bid(name, 10, 5)
    mass_cancel_id = cancel_all(alice)
    for name in names:
        (cancel,) = cancels(exchange, name)
        assert (cancel.mass_cancel_id, cancel.reason) == (mass_cancel_id, StateReason.MASS_CANCEL)


def test_a_mass_cancel_in_a_symbol_that_nobody_trades_does_nothing(
    alice: BrokerClient, symbol: str
) -> None:
    cancel_all(alice, symbol=symbol)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"side": "both"}, "invalid_field"),
        ({"symbol": "lower"}, "invalid_field"),
        ({"document_number": ""}, "invalid_field"),
        ({"reason": "operator"}, "unknown_field"),
        ([], "malformed_json"),
    ],
)
def test_a_mass_cancel_that_is_none_cancels_nothing(
    exchange: RunningExchange, alice: BrokerClient, symbol: str, body: Any, code: str
) -> None:
    alice.bid(symbol, 10, 5)
    answer = alice.http.post("/orders/cancel-all", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert cancels(exchange, symbol) == []


def test_the_switch_fires_once_when_the_broker_is_silent(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 10, 5)
    for seconds in (60, 1):
        answer = alice.http.post("/orders/cancel-all-after", json={"timeout_seconds": seconds})
        assert answer.status_code == 200, answer.text
    armed = answer.json()
    assert datetime.fromisoformat(armed["fires_at"]).tzinfo is not None
    eventually(lambda: cancels(exchange, symbol), 5, "the switch to fire")
    alice.bid(symbol, 10, 5)
    assert cancels(exchange, symbol) == [
        MassCancel(armed["mass_cancel_id"], alice.broker_id, reason=StateReason.CANCEL_TIMER)
    ]


def test_a_switch_that_is_taken_away_is_none(alice: BrokerClient) -> None:
    alice.http.post("/orders/cancel-all-after", json={"timeout_seconds": 60})
    answer = alice.http.post("/orders/cancel-all-after", json={"timeout_seconds": 0})
    assert answer.json() == {"timeout_seconds": 0, "fires_at": None, "mass_cancel_id": None}


@pytest.mark.parametrize("seconds", [-1, 86_401, 1.5, "5", None, True])
def test_a_timeout_that_makes_no_sense_is_refused(alice: BrokerClient, seconds: Any) -> None:
    answer = alice.http.post("/orders/cancel-all-after", json={"timeout_seconds": seconds})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
