"""The Python client, every method of it, against a running exchange.

What the synchronous client sends and gets is held to the OpenAPI document as everything in these
tests is (conftest.py), so this walk also says which calls of the exchange the client knows.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from client import AsyncExchange, Exchange, NewOrder, Order, Problem
from runtime.http.operations import BROKER_KEY
from tests.support.documentation import Documentation
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange
from tests.support.through_client import ThroughClient

FOR_OPERATORS = {"get_viewer_key", "get_health", "get_readiness", "get_liveness", "get_metrics"}
"""Calls without a key that are no business of a broker."""

Connect = Callable[[], Exchange]


def http() -> httpx.Client:
    return httpx.Client(trust_env=False)


def limit(symbol: str, **more: Any) -> NewOrder:
    order = NewOrder(
        document_number="11122233344",
        symbol=symbol,
        side="bid",
        quantity=10,
        price=1000,
        time_in_force="gtc",
    )
    changed: Any = order | more
    checked: NewOrder = changed
    return checked


@pytest.fixture
def connect(exchange: RunningExchange) -> Iterator[Connect]:
    """Registers a broker with the client itself, and gives its client."""
    opened: list[Exchange] = []
    operator = Exchange(exchange.url, exchange.addresses["admin_key"], http=http())

    def register() -> Exchange:
        key = operator.register(f"client {len(opened)}").api_key
        opened.append(Exchange(exchange.url, key, deadline_seconds=15, http=http()))
        return opened[-1]

    with operator:
        yield register
    for one in opened:
        one.close()


def walk(alice: Exchange, bob: Exchange, symbol: str) -> None:
    """Every method once, and more where there is more to see."""
    _walk_orders(alice, bob, symbol)
    _walk_cancels(alice, symbol)
    _walk_reads(alice, bob, symbol)
    _walk_market(alice, symbol)
    _walk_events(alice)
    _walk_webhooks(alice)


def _walk_orders(alice: Exchange, bob: Exchange, symbol: str) -> None:
    validated = alice.validate(**limit(symbol))
    assert (validated.order_type, validated.time_in_force) == ("limit", "gtc")
    first = alice.place(**limit(symbol, client_order_id="one", memo="mine"), wait_seconds=5)
    assert (first.state, first.remaining_quantity, first.memo) == ("new", 10, "mine")
    assert not first.was_repeated
    again = alice.place(**limit(symbol, client_order_id="one", memo="mine"))
    assert again.was_repeated
    assert again.order_id == first.order_id
    amended = alice.amend(first.order_id, quantity=8, version=first.version)
    assert (amended.quantity, amended.version) == (8, first.version + 1)
    with pytest.raises(Problem) as stale:
        alice.amend(first.order_id, quantity=7, version=first.version)
    assert (stale.value.code, stale.value.status) == ("version_mismatch", 412)
    sold = bob.place(**limit(symbol, side="ask", quantity=3), wait_seconds=5)
    assert [(trade.price, trade.quantity) for trade in sold.trades] == [(1000, 3)]
    assert alice.order(first.order_id) == alice.order_by_client_id(symbol, "one")
    taken, refused = alice.place_batch(
        [limit(symbol, price=900), limit(symbol, price=0)], wait_seconds=5
    )
    assert isinstance(taken, Order)
    assert taken.state == "new"
    assert isinstance(refused, Problem)
    assert (refused.code, refused.errors[0].pointer) == ("invalid_field", "#/orders/1/price")


def _walk_cancels(alice: Exchange, symbol: str) -> None:
    one, two, three, four = (alice.place(**limit(symbol, price=500)) for _ in range(4))
    assert alice.cancel(one.order_id).state == "canceled"
    assert alice.cancel(one.order_id).state == "canceled"
    assert alice.cancel_by_client_id(symbol, two.client_order_id).state == "canceled"
    canceled, missing = alice.cancel_batch([three.order_id, "nobody"])
    assert isinstance(canceled, Order)
    assert canceled.state_reason == "user_request"
    assert isinstance(missing, Problem)
    assert missing.code == "order_not_found"
    assert alice.cancel_all(symbol=symbol, side="bid").mass_cancel_id
    assert alice.order(four.order_id).state_reason == "mass_cancel"
    armed = alice.cancel_all_after(60)
    assert armed.fires_at is not None
    assert armed.fires_at - alice.time() <= timedelta(seconds=61)
    assert alice.cancel_all_after(0).fires_at is None


def _walk_reads(alice: Exchange, bob: Exchange, symbol: str) -> None:
    bob.place(**limit(symbol, side="ask", price=1100, quantity=5), wait_seconds=5)
    book = alice.book(symbol, depth=3)
    assert [(level.price, level.total_quantity) for level in book.asks] == [(1100, 5)]
    price = alice.price(symbol, trades=10)
    assert (price.last_price, price.trades_in_average) == (1000, 1)
    assert alice.stock(symbol).last_price == 1000
    assert symbol in [stock.symbol for stock in alice.stocks()]
    assert alice.balance().balance == -3000
    assert [(held.symbol, held.quantity) for held in alice.positions()] == [(symbol, 3)]
    (fill,) = alice.trades(symbol=symbol, since=datetime.now(UTC) - timedelta(minutes=5))
    assert (fill.liquidity, fill.price, fill.quantity) == ("maker", 1000, 3)
    assert [order.state for order in alice.orders(symbol=symbol, status="open")] == []
    assert abs(alice.time() - datetime.now(UTC)) < timedelta(seconds=10)


def _walk_market(alice: Exchange, symbol: str) -> None:
    (trade,) = alice.market_trades(symbol)
    assert (trade.sequence, trade.price, trade.quantity) == (1, 1000, 3)
    assert trade.aggressor_side == "ask"
    (candle,) = alice.candles(symbol, "1m").data
    assert (candle.open, candle.close, candle.volume, candle.trades) == (1000, 1000, 3, 1)
    hour = timedelta(hours=1)
    past = alice.candles(symbol, "1d", start=alice.time() - 48 * hour, end=alice.time() - 24 * hour)
    assert past.data == ()
    ticker = alice.ticker(symbol)
    assert (ticker.last_price, ticker.volume, ticker.best_bid) == (1000, 3, None)
    assert symbol in [one.symbol for one in alice.tickers()]


def _walk_events(alice: Exchange) -> None:
    eventually(lambda: "mass_cancel" in [report.state_reason for report in alice.events()])
    reports = list(alice.events())
    assert [report.sequence for report in reports] == list(range(1, len(reports) + 1))
    assert [report.type for report in reports[:2]] == ["order.accepted", "order.amended"]
    (fill,) = (report for report in reports if report.type == "trade.executed")
    assert (fill.last_quantity, fill.filled_quantity, fill.remaining_quantity) == (3, 3, 5)
    assert list(alice.events(after=reports[-2].sequence)) == reports[-1:]


def _walk_webhooks(alice: Exchange) -> None:
    added = alice.add_webhook_endpoint("http://127.0.0.1:9/nobody", types=["order.accepted"])
    assert [one.endpoint_id for one in alice.webhook_endpoints()] == [added.endpoint_id]
    changed = alice.change_webhook_endpoint(added.endpoint_id, types=["trade.executed"])
    assert changed == alice.webhook_endpoint(added.endpoint_id)
    assert changed.types == ("trade.executed",)
    assert alice.rotate_webhook_secret(added.endpoint_id).secret != added.secret
    message_id = alice.test_webhook_endpoint(added.endpoint_id).message_id
    waiting = [one.message_id for one in alice.webhook_deliveries(added.endpoint_id, "pending")]
    assert message_id in waiting
    assert alice.resend_webhook_delivery(added.endpoint_id, message_id).message_id == message_id
    alice.remove_webhook_endpoint(added.endpoint_id)
    assert alice.webhook_endpoints() == ()


def test_every_method_of_the_client_and_every_call_of_brokers(
    documentation: Documentation, connect: Connect, symbol: str
) -> None:
    alice, bob = connect(), connect()
    seen_by_others = set(documentation.seen)
    documentation.seen.clear()
    walk(alice, bob, symbol)
    called = {operation for operation, _, _ in documentation.seen}
    documentation.seen |= seen_by_others
    for_brokers = {
        name
        for name, operation in documentation.operations().items()
        if operation.get("security", [{BROKER_KEY: []}]) == [{BROKER_KEY: []}]
    }
    assert for_brokers - FOR_OPERATORS - called == set()


def test_lists_are_read_page_by_page_to_their_end(
    monkeypatch: pytest.MonkeyPatch, connect: Connect, symbol: str
) -> None:
    monkeypatch.setattr("client.reads.PAGE_ITEMS", 3)
    alice = connect()
    placed = [alice.place(**limit(symbol, price=100 + at)).order_id for at in range(7)]
    assert [order.order_id for order in alice.orders(symbol=symbol)] == placed[::-1]


def test_a_problem_says_everything_that_the_exchange_says(
    exchange: RunningExchange, connect: Connect, symbol: str
) -> None:
    alice = connect()
    first = alice.place(**limit(symbol, client_order_id="one"))
    with pytest.raises(Problem) as other_body:
        alice.place(**limit(symbol, client_order_id="one", price=999))
    problem = other_body.value
    assert (problem.code, problem.order_id) == ("duplicate_client_order_id", first.order_id)
    assert (problem.attempts, problem.gave_up, problem.is_outcome_unknown) == (1, "", False)
    assert problem.client_order_ids == ("one",)
    assert problem.request_id in str(problem)
    with pytest.raises(Problem) as invalid:
        alice.place(**limit(symbol, quantity=-1))
    (error,) = invalid.value.errors
    assert (error.pointer, error.code) == ("#/quantity", "invalid_field")
    with (
        Exchange(exchange.url, "xk_wrong", http=http()) as nobody,
        pytest.raises(Problem) as no_key,
    ):
        nobody.balance()
    assert (no_key.value.code, no_key.value.status) == ("unauthorized", 401)


def test_both_clients_have_the_same_methods() -> None:
    for name, method in inspect.getmembers(Exchange, inspect.isfunction):
        if name.startswith("_"):
            continue
        other = getattr(AsyncExchange, name)
        mine, theirs = inspect.signature(method), inspect.signature(other)
        assert list(mine.parameters.values()) == list(theirs.parameters.values()), name


def test_what_tests_ask_goes_through_the_client_where_it_can(
    exchange: RunningExchange, alice: BrokerClient, symbol: str
) -> None:
    """The transport with which some contract tests run a second time."""
    transport = ThroughClient(exchange.url, alice.api_key)
    alice.through(transport)
    order_id = alice.bid(symbol, 1000, 10)
    order = {"price": 1001}
    amended = alice.http.patch(f"/orders/{order_id}", json=order, headers={"if-match": '"1"'})
    assert amended.json()["price"] == 1001
    assert alice.get(f"/stocks/{symbol}/book?depth=1")["bids"][0]["price"] == 1001
    assert alice.cancel(order_id).status_code == 204
    assert alice.http.get("/orders/nobody").json()["code"] == "order_not_found"
    assert transport.around == 0
    assert transport.through >= 6
    assert alice.http.post("/orders", content=b"{").status_code == 422
    assert transport.around == 1


class Blocking:
    """An asynchronous client behind the methods of the other one, for the same walk."""

    def __init__(self, runner: asyncio.Runner, client: AsyncExchange) -> None:
        self._runner, self._client = runner, client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            result = getattr(self._client, name)(*arguments, **options)
            if isinstance(result, AsyncIterator):
                return self._runner.run(everything(result))
            return self._runner.run(result)

        return call


async def everything(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def test_the_asynchronous_client_takes_the_same_walk(
    exchange: RunningExchange, symbol: str
) -> None:
    with asyncio.Runner() as runner:
        admin = exchange.addresses["admin_key"]

        def client(key: str) -> Any:
            own = httpx.AsyncClient(trust_env=False)
            return Blocking(runner, AsyncExchange(exchange.url, key, http=own))

        operator = client(admin)
        alice, bob = (client(operator.register(name).api_key) for name in ("a", "b"))
        walk(alice, bob, symbol)
        for one in (operator, alice, bob):
            one.close()
