"""The engine against the naive reference: identical events, whatever the commands."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import books
from protocol.commands import CancelOrder, PlaceOrder
from protocol.enums import ExecutionPrice, OrderType, Side
from protocol.units import BOOK_DEPTH_MAX
from tests.support.flows import FLOWS, Flow, long_flow
from tests.support.side_by_side import check_same, naive_levels, run_both


@given(FLOWS, st.sampled_from(ExecutionPrice))
@settings(max_examples=300, deadline=None)
def test_the_engine_does_what_the_reference_does(flow: Flow, rule: ExecutionPrice) -> None:
    engine, naive, stored = run_both(flow, rule)
    check_same(engine, naive, stored)


@pytest.mark.parametrize("seed", range(4))
def test_a_day_with_an_operator_gives_the_events_of_the_reference(seed: int) -> None:
    rule = ExecutionPrice.SELLER if seed % 2 else ExecutionPrice.MAKER
    engine, naive, stored = run_both(long_flow(seed, 1_500, is_ruled=True), rule)
    assert naive.trades > 100
    check_same(engine, naive, stored)


@pytest.mark.parametrize("seed", [7, 8])
def test_thousands_of_commands_give_the_events_of_the_reference(seed: int) -> None:
    engine, naive, stored = run_both(long_flow(seed, 3_000))
    assert naive.trades > 1_000
    check_same(engine, naive, stored)


@pytest.mark.parametrize("seed", range(3))
def test_a_deep_book_is_stored_as_it_is(seed: int) -> None:
    _, naive, stored = run_both(deep_flow(seed))
    assert min(map(len, naive_levels(naive))) == BOOK_DEPTH_MAX
    book = books.parse(stored)
    assert (book.bids, book.asks) == naive_levels(naive)


def deep_flow(seed: int) -> Flow:
    """Far more levels than a snapshot has; then sweeps, small orders and cancels."""
    draw = random.Random(seed)
    flow: Flow = []
    for number in range(1_500):
        side = draw.choice([Side.BID, Side.ASK])
        away = draw.randint(1, 250) * (1 if side is Side.ASK else -1)
        quantity = draw.randint(1, 9)
        recipe: PlaceOrder | CancelOrder = PlaceOrder(
            *("broker-1", "1", side, OrderType.LIMIT, 1000 + away, quantity, 10**9)
        )
        if number > 700 and draw.random() < 0.4:
            recipe = CancelOrder(draw.randrange(1000))
        elif number > 700 and draw.random() < 0.05:
            quantity = draw.randint(1, 60)
            recipe = PlaceOrder("broker-2", "1", side, OrderType.MARKET, None, quantity, None)
        flow.append((0, recipe))
    return flow


def test_the_same_commands_give_the_same_state_hash() -> None:
    first, _, _ = run_both(long_flow(11, 1_000))
    second, _, _ = run_both(long_flow(11, 1_000))
    other, _, _ = run_both(long_flow(12, 1_000))
    assert first.state_hash() == second.state_hash()
    assert first.state_hash() != other.state_hash()
