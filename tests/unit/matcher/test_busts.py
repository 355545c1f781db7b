"""A bust: an event of its own, which sets cash and shares right."""

import pytest

from matcher.refusals import ALREADY_BUSTED, INVALID_COMMAND, TRADE_NOT_FOUND
from protocol.commands import BustTrade
from protocol.events import CommandRefused, TradeBusted
from tests.support.builders import ALICE, BOB, Pit, ask, bid

BUST = BustTrade(1, 1000, 4, ALICE, BOB, 1, 2, "wrong price")


@pytest.fixture
def pit() -> Pit:
    pit = Pit()
    pit.apply(ask(1000, 10), bid(1000, 4))
    return pit


def test_shares_go_to_the_buyer_and_cash_to_the_seller(pit: Pit) -> None:
    assert pit.market.holdings == {ALICE: 4, BOB: -4}
    assert pit.market.take_holdings() == {ALICE: 4, BOB: -4}
    assert pit.market.take_holdings() == {}


def test_a_bust_gives_both_back_and_leaves_the_orders(pit: Pit) -> None:
    pit.apply(bid(1000, 1))
    before = pit.open_quantities()
    events = pit.last(BUST)
    assert events == [TradeBusted(1, 1000, 4, ALICE, BOB, 1, 2, "wrong price")]
    assert pit.engine.balances == {ALICE: -1000, BOB: 1000}
    assert pit.market.holdings == {ALICE: 1, BOB: -1}
    assert pit.open_quantities() == before
    assert pit.market.last_price == 1000
    pit.engine.check_invariants()


def test_a_trade_is_busted_once(pit: Pit) -> None:
    assert pit.last(BUST, BUST) == [CommandRefused(ALREADY_BUSTED)]
    assert pit.engine.balances == {ALICE: 0, BOB: 0}


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (BustTrade(2, 1000, 4, ALICE, BOB, 1, 2), TRADE_NOT_FOUND),
        (BustTrade(0, 1000, 4, ALICE, BOB, 1, 2), TRADE_NOT_FOUND),
        (BustTrade(1, 0, 4, ALICE, BOB, 1, 2), INVALID_COMMAND),
        (BustTrade(1, 1000, -4, ALICE, BOB, 1, 2), INVALID_COMMAND),
    ],
)
def test_what_was_never_traded_cannot_be_busted(pit: Pit, command: BustTrade, reason: str) -> None:
    assert pit.last(command) == [CommandRefused(reason)]
