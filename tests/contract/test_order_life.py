"""Orders that end without a trade: canceled, expired; and who may see or end them."""

import time
from datetime import UTC, datetime, timedelta, timezone

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.running import BrokerClient, order_body


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_an_order_is_readable_at_once_with_everything_it_was_placed_with(
    alice: BrokerClient, symbol: str
) -> None:
    sent = order_body(price=1000, symbol=symbol, side="ask", quantity=7)
    placed = alice.http.post("/orders", json=sent)
    assert placed.status_code == 201
    accepted = placed.json()
    assert placed.headers["location"] == f"/orders/{accepted['order_id']}"
    assert (accepted["status"], accepted["remaining_quantity"]) == ("open", 7)
    order = alice.order(accepted["order_id"])
    for name in ("document_number", "side", "order_type", "symbol", "price", "quantity"):
        assert order[name] == sent[name]
    assert order["id"] == accepted["order_id"]
    assert order["valid_until"] == "2999-01-01T00:00:00.000+00:00"
    assert order["created_at"] == accepted["created_at"]
    created = datetime.fromisoformat(order["created_at"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 10


def test_an_expired_order_leaves_by_itself_within_a_second(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    until = time.time() + 0.7
    order_id = alice.ask(symbol, 1000, 10, valid_until=in_seconds(0.7))
    assert alice.order(order_id)["status"] == "open"
    eventually(lambda: alice.order(order_id)["status"] == "closed", until + 1 - time.time())
    order = alice.order(order_id)
    assert (order["state"], order["state_reason"]) == ("expired", "valid_until_reached")
    assert order["remaining_quantity"] == 10
    assert alice.get(f"/stocks/{symbol}/book")["asks"] == []
    bid = bob.bid(symbol, 1000, 10)
    assert bob.order(bid)["trades"] == []


def test_an_order_past_its_time_never_trades(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    """A bid is sent as soon as the time has come, before the exchange cleans up by itself."""
    until = datetime.now(UTC) + timedelta(seconds=0.4)
    order_id = alice.ask(symbol, 1000, 10, valid_until=until.isoformat())
    eventually(lambda: datetime.now(UTC) >= until + timedelta(milliseconds=2))
    bid = bob.bid(symbol, 1000, 10)
    assert bob.order(bid)["trades"] == []
    assert alice.settled(order_id)["state"] == "expired"


def test_valid_until_counts_with_its_offset(alice: BrokerClient, symbol: str) -> None:
    sao_paulo = timezone(timedelta(hours=-3))
    until = (datetime.now(UTC) + timedelta(hours=1)).astimezone(sao_paulo)
    order = alice.order(alice.bid(symbol, 1000, 1, valid_until=until.isoformat()))
    shown = datetime.fromisoformat(order["valid_until"])
    assert abs((shown - until).total_seconds()) < 0.001


def test_a_canceled_order_does_not_trade(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.ask(symbol, 1000, 10)
    assert alice.cancel(order_id).status_code == 204
    order = alice.order(order_id)
    assert (order["status"], order["state"], order["state_reason"]) == (
        "closed",
        "canceled",
        "user_request",
    )
    assert alice.get(f"/stocks/{symbol}/book")["asks"] == []
    bid = bob.bid(symbol, 1000, 10)
    assert bob.order(bid)["trades"] == []


def test_a_second_cancel_is_no_error(alice: BrokerClient, symbol: str) -> None:
    order_id = alice.ask(symbol, 1000, 10)
    assert [alice.cancel(order_id).status_code for _ in range(2)] == [204, 204]
    assert alice.order(order_id)["version"] == 2


def test_a_cancel_right_behind_its_order_finds_it(alice: BrokerClient, symbol: str) -> None:
    placed = alice.http.post("/orders", json=order_body(price=1000, symbol=symbol, side="ask"))
    order_id = placed.json()["order_id"]
    assert alice.cancel(order_id).status_code == 204
    assert alice.order(order_id)["state"] == "canceled"


def test_a_cancel_of_a_filled_order_is_204_and_changes_nothing(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    ask = alice.ask(symbol, 1000, 10)
    bob.bid(symbol, 1000, 10)
    assert alice.cancel(ask).status_code == 204
    assert alice.order(ask)["state"] == "filled"


def test_a_partly_filled_order_keeps_its_fills_when_canceled(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    ask = alice.ask(symbol, 1000, 10)
    bob.bid(symbol, 1000, 4)
    alice.cancel(ask)
    order = alice.order(ask)
    assert (order["state"], order["filled_quantity"], order["remaining_quantity"]) == (
        "canceled",
        4,
        6,
    )


def test_another_brokers_order_can_be_neither_seen_nor_canceled(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.ask(symbol, 1000, 10)
    for answer in (bob.cancel(order_id), bob.http.get(f"/orders/{order_id}")):
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden"
    assert alice.order(order_id)["state"] == "new"


def altered(order_id: str) -> list[str]:
    """Ids near a real one: other time, other instrument, other sequence, other kind."""
    value = int(order_id.replace("-", ""), 16)
    near = [value + (1 << 80), value + (1 << 50), value + (1 << 10), value + 1]
    texts = [f"{v:032x}" for v in near]
    return [f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]


@pytest.mark.parametrize("variant", range(4))
def test_an_id_near_a_real_one_is_unknown(alice: BrokerClient, symbol: str, variant: int) -> None:
    order_id = altered(alice.ask(symbol, 1000, 10))[variant]
    expect_unknown(alice.http.get(f"/orders/{order_id}"))
    expect_unknown(alice.cancel(order_id))


@pytest.mark.parametrize(
    "order_id", ["x", "123e4567-e89b-42d3-a456-426614174000", "%00", "...", "a" * 500]
)
def test_what_is_no_id_is_unknown(alice: BrokerClient, order_id: str) -> None:
    expect_unknown(alice.http.get(f"/orders/{order_id}"))


def test_the_id_of_a_cancel_is_no_order(alice: BrokerClient, symbol: str) -> None:
    order_id = alice.ask(symbol, 1000, 10)
    alice.cancel(order_id)
    expect_unknown(alice.http.get(f"/orders/{altered(order_id)[2]}"))


def expect_unknown(answer: httpx.Response) -> None:
    assert answer.status_code == 404, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
