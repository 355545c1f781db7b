"""The Python client while HTTP processes and Redis are killed under it: what it says is taken is
there once, and nothing else is there."""

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from client import Exchange, NewOrder, Order, Problem
from tests.faults.fleet import KINDS, Fleet, pause
from tests.support.eventually import eventually

SYMBOL = "PETR4"
BATCH = 5
ROUNDS = 3
DEADLINE_SECONDS = 60.0


@dataclass
class Trader:
    """Places orders in a loop, one and five in turn, and remembers what the client told."""

    exchange: Exchange
    side: str
    placed: list[Order] = field(default_factory=list)
    failed: list[Problem] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        order = NewOrder(
            document_number="11122233344",
            symbol=SYMBOL,
            side="ask" if self.side == "ask" else "bid",
            quantity=3,
            price=1000,
            time_in_force="gtc",
        )
        while not self.stop.is_set():
            try:
                self.placed.append(self.exchange.place(**order))
                results = self.exchange.place_batch([order] * BATCH)
            except Problem as problem:
                self.failed.append(problem)
                return
            self.placed += [result for result in results if isinstance(result, Order)]
            self.failed += [result for result in results if isinstance(result, Problem)]


def connect(fleet: Fleet, key: str) -> Exchange:
    http = httpx.Client(trust_env=False)
    return Exchange(fleet.url, key, deadline_seconds=DEADLINE_SECONDS, http=http)


def break_it(fleet: Fleet, traders: list[Trader]) -> None:
    """Kill each in turn; go on when both brokers have placed orders again."""
    for victim in ("http-1", "http-2", "redis") * ROUNDS:
        fleet.kill(victim)
        if victim == "redis":
            fleet.redis.kill()
            pause(0.3)
            fleet.redis.start()
        goals = [(trader, len(trader.placed) + 4 * (BATCH + 1)) for trader in traders]
        eventually(
            lambda goals=goals: all(len(t.placed) >= goal or t.failed for t, goal in goals),  # type: ignore[misc]
            DEADLINE_SECONDS,
            f"orders to be placed after {victim} was killed",
        )


@pytest.mark.timeout(180)
def test_no_order_of_the_client_is_lost_or_placed_twice(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "client")
    with Fleet(KINDS | {"http": 2}) as fleet, connect(fleet, fleet.admin_key) as operator:
        keys = [operator.register(name).api_key for name in ("seller", "buyer")]
        traders = [
            Trader(connect(fleet, key), side)
            for key, side in zip(keys, ("ask", "bid"), strict=True)
        ]
        threads = [threading.Thread(target=trader.work) for trader in traders]
        for thread in threads:
            thread.start()
        try:
            break_it(fleet, traders)
        finally:
            for trader in traders:
                trader.stop.set()
            for thread in threads:
                thread.join()
        repeats = Counter(
            str(record.args[3])
            for record in caplog.records
            if record.name == "client" and isinstance(record.args, tuple) and len(record.args) == 4
        )
        # A killed HTTP process does not answer. While Redis is away, HTTP says one of the two.
        assert "no_answer" in repeats, repeats
        assert repeats.keys() & {"unavailable", "outcome_unknown"}, repeats
        for trader in traders:
            expect_each_order_once(trader)
        expect_the_same_trades(*traders)
        for trader in traders:
            trader.exchange.close()


def expect_each_order_once(trader: Trader) -> None:
    assert trader.failed == []
    ids = [order.client_order_id for order in trader.placed]
    assert len(set(ids)) == len(ids)

    def is_there() -> bool:
        """A list leaves out what the matcher has not reached."""
        return len(list(trader.exchange.orders())) >= len(ids)

    eventually(is_there, 20, "all orders to be matched")
    listed = {order.client_order_id: order.order_id for order in trader.exchange.orders()}
    assert listed == {order.client_order_id: order.order_id for order in trader.placed}
    assert len(list(trader.exchange.orders())) == len(ids)


def expect_the_same_trades(seller: Trader, buyer: Trader) -> None:
    """Everything that could trade has traded, once, and both sides say the same."""
    sold, bought = (list(trader.exchange.trades()) for trader in (seller, buyer))
    assert len({fill.trade_id for fill in sold}) == len(sold)
    assert {fill.trade_id for fill in sold} == {fill.trade_id for fill in bought}
    quantity = sum(fill.quantity for fill in bought)
    assert quantity == 3 * min(len(seller.placed), len(buyer.placed))
    (position,) = buyer.exchange.positions()
    assert position.quantity == quantity
    assert buyer.exchange.balance().balance == -1000 * quantity
