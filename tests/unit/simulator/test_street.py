"""The flow of the small market."""

import itertools
import json
import random
import statistics
from collections import Counter

import pytest

from simulator.load.flow import CANCEL, ORDER, Flow
from simulator.load.market import MarketLoad
from simulator.load.requests import Participants
from simulator.load.tickers import real_symbols
from simulator.street.flow import OPENING_LEVELS, StreetFlow, Walk, symbol_count


def street(percent: float, seed: int = 1) -> StreetFlow:
    symbols = real_symbols(symbol_count(percent))
    participants = Participants("h", symbols, ["a", "b", "c"], [3000] * len(symbols))
    return StreetFlow(participants, percent, random.Random(seed))


def body(flow: Flow, order: int) -> dict[str, object]:
    whole = flow.orders[order].at(1_800_000_000.0)
    content: dict[str, object] = json.loads(whole.split(b"\r\n\r\n")[1])
    return content


@pytest.mark.parametrize("percent", [1, 10, 300])
def test_it_brings_as_many_orders_and_cancels_as_were_asked_for(percent: float) -> None:
    load, seconds = MarketLoad(percent), 3000 / percent
    kinds = Counter(p.kind for p in street(percent).stretch(0.0, seconds).planned)
    assert kinds[ORDER] == pytest.approx(load.orders_per_second * seconds, rel=0.1)
    assert kinds[CANCEL] == pytest.approx(load.cancels_per_second * seconds, rel=0.1)


def test_a_cancel_comes_after_its_order_and_once() -> None:
    placed: set[int] = set()
    canceled: list[int] = []
    for planned in street(100).stretch(0.0, 10.0).planned:
        if planned.kind == ORDER:
            placed.add(planned.order)
        elif planned.kind == CANCEL:
            assert planned.order in placed
            canceled.append(planned.order)
    assert len(canceled) == len(set(canceled)) > 100


def test_it_opens_with_a_book_of_both_sides_that_do_not_cross() -> None:
    flow = street(5).opening()
    sides: dict[tuple[object, object], list[int]] = {}
    for order in range(flow.opening):
        content = body(flow, order)
        price = content["price"]
        assert isinstance(price, int)
        sides.setdefault((content["symbol"], content["side"]), []).append(price)
    assert len(sides) == 2 * symbol_count(5)
    for symbol in real_symbols(symbol_count(5)):
        bids, asks = sides[symbol, "bid"], sides[symbol, "ask"]
        assert len(bids) == len(asks) == OPENING_LEVELS
        assert max(bids) < min(asks)


def test_the_fair_price_walks_and_comes_back() -> None:
    walk, draw = Walk(3000, 3000), random.Random(3)
    seen = [walk.move(second / 2, draw) for second in range(1, 20_000)]
    assert min(seen) < 2990 < 3010 < max(seen)
    assert statistics.mean(seen) == pytest.approx(3000, rel=0.05)
    steps = [abs(b / a - 1) for a, b in itertools.pairwise(seen)]
    assert max(steps) < 0.005, "it does not jump"
