"""What a mass cancel and the dead-man switch do to orders, and what they leave alone."""

from functools import partial
from typing import Any

from tests.support.eventually import eventually
from tests.support.running import BrokerClient


def ended(broker: BrokerClient, order_id: str) -> tuple[str, str | None]:
    order = broker.order(order_id)
    return order["state"], order["state_reason"]


def is_canceled(broker: BrokerClient, order_id: str) -> bool:
    return ended(broker, order_id) == ("canceled", "mass_cancel")


def cancel_all(broker: BrokerClient, **body: Any) -> None:
    assert broker.http.post("/orders/cancel-all", json=body).status_code == 202


def test_only_what_is_named_is_canceled(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    other = f"{symbol}X"
    mine = {
        "bid": alice.bid(symbol, 10, 5),
        "ask": alice.ask(symbol, 20, 5),
        "document": alice.bid(symbol, 9, 5, document_number="9.8-7"),
        "symbol": alice.bid(other, 10, 5),
    }
    his = bob.bid(symbol, 10, 5)
    cancel_all(alice, symbol=symbol, document_number="987")
    eventually(lambda: is_canceled(alice, mine["document"]), what="a document")
    cancel_all(alice, symbol=symbol, side="ask")
    eventually(lambda: is_canceled(alice, mine["ask"]), what="a side")
    assert [ended(alice, mine[name])[0] for name in ("bid", "symbol")] == ["new", "new"]
    cancel_all(alice)
    for name in ("bid", "symbol"):
        eventually(partial(is_canceled, alice, mine[name]), what=name)
    assert ended(bob, his) == ("new", None)


def test_what_the_switch_cancels_says_so_and_what_comes_later_stays(
    alice: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 10, 5)
    alice.http.post("/orders/cancel-all-after", json={"timeout_seconds": 1})
    eventually(lambda: ended(alice, order_id) == ("canceled", "cancel_timer"), what="the switch")
    assert ended(alice, alice.bid(symbol, 10, 5)) == ("new", None)
