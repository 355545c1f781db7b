"""The engine: every rule of matching, as events."""

import pytest

from matcher.engine import Engine
from matcher.order import Order
from matcher.refusals import INVALID_ORDER, ORDER_NOT_OPEN
from protocol import codec
from protocol.commands import AmendOrder, CancelOrder, PlaceOrder, Tick
from protocol.enums import ExecutionPrice, OrderState, OrderType, Side, StateReason
from protocol.events import (
    CommandRefused,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    Trade,
)
from tests.support.builders import (
    ALICE,
    BOB,
    FAR_MS,
    START_MS,
    SYMBOL,
    Pit,
    ask,
    bid,
    cancel,
    trades_of,
)


@pytest.fixture
def pit() -> Pit:
    return Pit()


def test_a_trade_takes_the_makers_price_and_quantity(pit: Pit) -> None:
    events = pit.last(ask(1000, 1000), bid(1050, 400))
    assert events[0] == OrderAccepted(2)
    (trade,) = [e for e in events if isinstance(e, Trade)]
    assert (trade.price, trade.quantity) == (1000, 400)
    assert (trade.maker_open_quantity, trade.taker_open_quantity) == (600, 0)
    assert (trade.taker_side, trade.maker_broker_id, trade.taker_broker_id) == (
        Side.BID,
        BOB,
        ALICE,
    )
    assert pit.open_quantities() == {1: 600}


@pytest.mark.parametrize(
    ("rule", "first", "second", "price"),
    [
        (ExecutionPrice.MAKER, ask(1000, 1), bid(1050, 1), 1000),
        (ExecutionPrice.MAKER, bid(1050, 1), ask(1000, 1), 1050),
        (ExecutionPrice.SELLER, ask(1000, 1), bid(1050, 1), 1000),
        (ExecutionPrice.SELLER, bid(1050, 1), ask(1000, 1), 1000),
        (ExecutionPrice.SELLER, bid(1050, 1), ask(None, 1), 1050),
    ],
)
def test_the_price_rule_of_the_exchange_decides(
    rule: ExecutionPrice, first: PlaceOrder, second: PlaceOrder, price: int
) -> None:
    assert trades_of(Pit(rule).last(first, second)) == [(price, 1, 1, 2)]


def test_orders_that_do_not_cross_rest(pit: Pit) -> None:
    assert trades_of(pit.last(ask(1000, 10), bid(999, 10))) == []
    assert pit.open_quantities() == {1: 10, 2: 10}


def test_price_comes_before_time(pit: Pit) -> None:
    events = pit.last(ask(1002, 10), ask(1001, 10), ask(1000, 10), bid(1002, 25))
    assert trades_of(events) == [(1000, 10, 3, 4), (1001, 10, 2, 4), (1002, 5, 1, 4)]


def test_time_decides_at_one_price(pit: Pit) -> None:
    events = pit.last(bid(1000, 10), bid(1000, 10), bid(1000, 10), ask(1000, 25))
    assert trades_of(events) == [(1000, 10, 1, 4), (1000, 10, 2, 4), (1000, 5, 3, 4)]


def test_a_partly_filled_maker_keeps_its_turn(pit: Pit) -> None:
    pit.apply(ask(1000, 100), ask(1000, 100), bid(1000, 30))
    assert trades_of(pit.last(bid(1000, 100))) == [(1000, 70, 1, 4), (1000, 30, 2, 4)]


def test_what_a_limit_order_cannot_fill_rests_at_its_price(pit: Pit) -> None:
    pit.apply(ask(1000, 10), bid(1010, 25))
    assert pit.open_quantities() == {2: 15}
    assert trades_of(pit.last(ask(1005, 15))) == [(1010, 15, 2, 3)]


def test_a_market_order_fills_at_any_price(pit: Pit) -> None:
    events = pit.last(ask(1000, 10), ask(9000, 10), bid(None, 20))
    assert trades_of(events) == [(1000, 10, 1, 3), (9000, 10, 2, 3)]
    assert not pit.open_quantities()


def test_the_rest_of_a_market_order_is_canceled(pit: Pit) -> None:
    events = pit.last(ask(1000, 10), bid(None, 30))
    assert events[-1] == OrderCanceled(2, 20, StateReason.IOC_REMAINDER)
    order = pit.market.changed[2]
    assert (order.state, order.open_quantity) == (OrderState.CANCELED, 20)


def test_a_market_order_that_finds_nothing_is_canceled(pit: Pit) -> None:
    assert pit.last(bid(None, 30)) == [
        OrderAccepted(1),
        OrderCanceled(1, 30, StateReason.NO_LIQUIDITY),
    ]


def test_a_canceled_order_does_not_trade(pit: Pit) -> None:
    events = pit.last(ask(1000, 10), cancel(1))
    assert events == [OrderCanceled(1, 10, StateReason.USER_REQUEST)]
    assert trades_of(pit.last(bid(1000, 10))) == []


@pytest.mark.parametrize("sequence", [1, 2, 99])
def test_a_cancel_of_what_is_not_open_changes_nothing(pit: Pit, sequence: int) -> None:
    pit.apply(ask(1000, 10), bid(1000, 10))
    before = pit.engine.state_hash()
    assert pit.last(cancel(sequence)) == [CommandRefused(ORDER_NOT_OPEN)]
    pit.market.sequence -= 1
    assert pit.engine.state_hash() == before


def test_an_order_expires_at_its_instant_and_not_before(pit: Pit) -> None:
    until = START_MS + 1000
    pit.apply(ask(1000, 10, until=until))
    assert pit.tick_at(until - 1) == []
    assert pit.tick_at(until) == [OrderExpired(1, 10)]
    assert not pit.open_quantities()


def test_an_expired_order_does_not_trade_with_the_order_that_expires_it(pit: Pit) -> None:
    until = START_MS + 1000
    pit.apply(ask(1000, 10, until=until))
    pit.time_ms = until
    assert pit.last(bid(1000, 10)) == [OrderExpired(1, 10), OrderAccepted(2)]


def test_orders_expire_in_the_order_of_their_time_then_of_their_turn(pit: Pit) -> None:
    pit.apply(ask(1000, 1, until=START_MS + 900), ask(1000, 1, until=START_MS + 800))
    pit.apply(ask(1000, 1, until=START_MS + 800))
    events = pit.tick_at(START_MS + 1000)
    assert [e.sequence for e in events if isinstance(e, OrderExpired)] == [2, 3, 1]


def test_an_order_that_comes_after_its_time_expires_without_a_trade(pit: Pit) -> None:
    pit.apply(ask(1000, 10))
    events = pit.last(bid(1000, 10, until=START_MS))
    assert events == [OrderAccepted(2), OrderExpired(2, 10)]
    assert pit.open_quantities() == {1: 10}


def test_cash_moves_from_buyer_to_seller(pit: Pit) -> None:
    pit.apply(ask(1000, 1000), bid(1050, 400))
    assert pit.engine.balances == {ALICE: -400_000, BOB: 400_000}
    pit.apply(ask(900, 10, ALICE), bid(900, 10, BOB))
    pit.engine.check_invariants()


def test_a_broker_that_trades_with_itself_moves_no_cash(pit: Pit) -> None:
    events = pit.last(ask(1000, 10, ALICE), bid(1000, 10, ALICE))
    assert len(trades_of(events)) == 1
    assert pit.engine.balances == {ALICE: 0}


def test_trades_are_numbered_without_a_gap(pit: Pit) -> None:
    events = pit.apply(ask(1000, 5), ask(1000, 5), bid(1000, 10), ask(999, 1), bid(999, 1))
    numbers = [e.trade_number for batch in events for e in batch if isinstance(e, Trade)]
    assert numbers == [1, 2, 3]


def test_an_order_counts_its_changes_and_its_notional(pit: Pit) -> None:
    pit.apply(ask(1000, 5), ask(1010, 5), bid(1010, 8))
    taker = pit.market.changed[3]
    assert (taker.state, taker.version, taker.filled_notional) == (
        OrderState.FILLED,
        3,
        5 * 1000 + 3 * 1010,
    )


@pytest.mark.parametrize(
    ("order_type", "price", "quantity"),
    [(OrderType.LIMIT, None, 1), (OrderType.MARKET, 5, 1), (OrderType.LIMIT, 5, 0)],
)
def test_an_order_that_ingress_would_have_refused_is_refused_and_not_an_exception(
    pit: Pit, order_type: OrderType, price: int | None, quantity: int
) -> None:
    command = PlaceOrder(ALICE, "1", Side.BID, order_type, price, quantity, FAR_MS)
    assert pit.last(command) == [CommandRefused(INVALID_ORDER)]


def test_a_tick_with_nothing_due_yields_no_event(pit: Pit) -> None:
    assert pit.last(Tick()) == []


def test_an_entry_that_cannot_be_read_is_stepped_over(pit: Pit) -> None:
    assert pit.engine.refuse(pit.market, 1, "unreadable") == [CommandRefused("unreadable")]
    assert pit.market.sequence == 1


def amend(sequence: int, price: int | None = None, quantity: int | None = None) -> AmendOrder:
    return AmendOrder(sequence, price, quantity, None)


def test_a_smaller_quantity_at_the_same_price_keeps_the_turn(pit: Pit) -> None:
    pit.apply(ask(1000, 10), ask(1000, 10))
    assert pit.last(amend(1, quantity=6)) == [OrderAmended(1, 1000, 6, FAR_MS, True, 1000, 10)]
    assert trades_of(pit.last(bid(1000, 8))) == [(1000, 6, 1, 4), (1000, 2, 2, 4)]


@pytest.mark.parametrize("change", [amend(1, quantity=11), amend(1, price=1000, quantity=10)])
def test_any_other_change_goes_to_the_back(pit: Pit, change: AmendOrder) -> None:
    pit.apply(ask(1000, 10), ask(1000, 10), change)
    assert [maker for _, _, maker, _ in trades_of(pit.last(bid(1000, 20)))] == [2, 1]


def test_an_amended_price_that_crosses_matches_at_once(pit: Pit) -> None:
    pit.apply(bid(990, 4), ask(1000, 10))
    events = pit.last(amend(2, price=990))
    assert events[0] == OrderAmended(2, 990, 10, FAR_MS, False, 1000, 10)
    assert trades_of(events) == [(990, 4, 1, 2)]
    assert pit.open_quantities() == {2: 6}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (amend(1, quantity=4), "quantity_below_filled"),
        (amend(9, quantity=4), "order_not_open"),
        (AmendOrder(1, None, None, START_MS), "valid_until_passed"),
        (AmendOrder(1, 999, None, None, expected_version=1), "version_mismatch"),
    ],
)
def test_an_amendment_that_cannot_be_made_leaves_the_order_untouched(
    pit: Pit, change: AmendOrder, reason: str
) -> None:
    pit.apply(ask(1000, 10), bid(1000, 4))
    assert pit.last(change) == [CommandRefused(reason)]
    assert pit.open_quantities() == {1: 6}


def test_an_amended_valid_until_counts_and_the_old_one_no_more(pit: Pit) -> None:
    pit.apply(ask(1000, 10, until=START_MS + 1000))
    pit.apply(AmendOrder(1, None, None, START_MS + 2000))
    assert pit.tick_at(START_MS + 1500) == []
    assert pit.tick_at(START_MS + 2000) == [OrderExpired(1, 10)]


def test_an_engine_restored_from_its_records_has_the_same_state() -> None:
    pit = Pit()
    pit.apply(ask(1000, 10), ask(1000, 5), bid(990, 7), bid(1000, 3, ALICE))
    pit.apply(AmendOrder(1, None, 20, None))  # Now behind the second.
    market = pit.market
    again = Engine()
    copy = again.market(SYMBOL, 1)
    copy.sequence, copy.trade_number = market.sequence, market.trade_number
    copy.last_price = market.last_price
    copy.holdings.update(market.holdings)
    for order in sorted(market.book.orders.values(), key=lambda o: o.priority):
        again.restore(order.record(SYMBOL, 1))
    again.balances.update(pit.engine.balances)
    assert again.state_hash() == pit.engine.state_hash()
    again.check_invariants()


def test_the_encoded_order_is_its_record_and_comes_back(pit: Pit) -> None:
    pit.apply(ask(1000, 10), bid(1000, 4), amend(1, quantity=9), ask(1001, 5))
    for order in pit.market.book.orders.values():
        record = order.record(SYMBOL, 1)
        assert order.encoded(SYMBOL, 1) == codec.encode(record)
        assert Order.restored(record).record(SYMBOL, 1) == record


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (CancelOrder(1, ALICE), "not_owner"),
        (CancelOrder(1, ALICE, START_MS), "order_not_open"),  # No order was created then.
        (CancelOrder(2, BOB), "order_not_open"),
        (AmendOrder(1, None, 4, None, 9, ALICE), "not_owner"),
        (AmendOrder(1, None, 4, None, 9, BOB, START_MS), "order_not_open"),
        (AmendOrder(1, None, 4, None, 9, BOB, START_MS + 1), "version_mismatch"),
    ],
)
def test_a_command_for_another_order_or_of_another_broker_is_refused_first(
    pit: Pit, command: CancelOrder | AmendOrder, refusal: str
) -> None:
    pit.apply(ask(1000, 10))
    assert pit.last(command) == [CommandRefused(refusal)]
    assert pit.open_quantities() == {1: 10}


def test_a_command_that_names_its_order_exactly_is_applied(pit: Pit) -> None:
    pit.apply(ask(1000, 10))
    (amended,) = pit.last(AmendOrder(1, None, 4, None, 1, BOB, START_MS + 1))
    assert isinstance(amended, OrderAmended)
    (canceled,) = pit.last(CancelOrder(1, BOB, START_MS + 1))
    assert isinstance(canceled, OrderCanceled)
