"""Status, auctions and halts, rule by rule."""

import pytest

from matcher.refusals import INVALID_COMMAND, STATUS_UNCHANGED
from matcher.sessions import take_instrument
from protocol.commands import (
    AmendOrder,
    Command,
    MassCancel,
    PlaceSpecialOrder,
    SetBroker,
    SetInstrument,
    SetStatus,
)
from protocol.enums import InstrumentStatus, OrderState, OrderType, Side, StateReason, TimeInForce
from protocol.events import (
    CommandRefused,
    Event,
    InstrumentChanged,
    OrderAccepted,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderTriggered,
    StatusChanged,
    Trade,
    Uncrossed,
)
from tests.support.builders import (
    ALICE,
    BOB,
    Pit,
    ask,
    bid,
    cancel,
    iceberg,
    stop,
    trades_of,
)

AUCTION = SetStatus(InstrumentStatus.AUCTION)
OPEN = SetStatus(InstrumentStatus.OPEN)
CLOSED = SetStatus(InstrumentStatus.CLOSED)
HALT_BAND = SetInstrument(reference_price=1000, halt_band_basis_points=100)  # 990 to 1010.


def day(side: Side, price: int, quantity: int) -> PlaceSpecialOrder:
    return PlaceSpecialOrder(
        *(ALICE, "1", side, OrderType.LIMIT, price, quantity, None),
        time_in_force=TimeInForce.DAY,
    )


@pytest.fixture
def pit() -> Pit:
    return Pit()


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


@pytest.mark.parametrize(
    "status", [InstrumentStatus.HALTED, InstrumentStatus.CANCEL_ONLY, InstrumentStatus.CLOSED]
)
def test_a_market_that_is_not_open_takes_cancels_and_nothing_else(
    pit: Pit, status: InstrumentStatus
) -> None:
    pit.apply(bid(1000, 5), bid(1000, 6), SetStatus(status, "news"))
    reason = StateReason.SYMBOL_HALTED
    assert pit.last(ask(1000, 5)) == [OrderAccepted(4), OrderRejected(4, reason)]
    assert pit.market.changed[4].state is OrderState.REJECTED
    assert pit.last(AmendOrder(1, None, 4, None)) == [CommandRefused("symbol_halted")]
    assert pit.last(cancel(1)) == [OrderCanceled(1, 5, StateReason.USER_REQUEST)]
    assert kinds(pit.last(MassCancel("m", ALICE))) == ["OrderCanceled", "MassCanceled"]


def test_a_status_that_holds_already_is_refused(pit: Pit) -> None:
    assert pit.last(OPEN) == [CommandRefused(STATUS_UNCHANGED)]


def test_orders_gather_and_trade_at_one_price_when_the_auction_ends(pit: Pit) -> None:
    events = pit.apply(AUCTION, bid(1005, 10), ask(1000, 4), ask(1002, 8), bid(1001, 5))
    assert not trades_of([event for batch in events for event in batch])
    ended = pit.last(OPEN)
    assert ended[0] == Uncrossed(1005, 10)
    assert trades_of(ended) == [(1005, 4, 2, 3), (1005, 6, 2, 4)]
    assert pit.market.status is InstrumentStatus.OPEN
    assert pit.open_quantities() == {4: 2, 5: 5}


def test_an_uncross_tells_price_trades_reference_and_status_in_this_order(pit: Pit) -> None:
    pit.apply(SetInstrument(reference_price=1001), AUCTION)
    pit.apply(bid(1005, 10), ask(1000, 4), ask(1001, 8), bid(1001, 5))
    events = pit.last(SetStatus(InstrumentStatus.OPEN, "go"))
    assert kinds(events) == ["Uncrossed", "Trade", "Trade", "Trade", "StatusChanged"]
    assert events[0] == Uncrossed(1001, 12)
    # Price, quantity, and of each pair the older order first.
    assert trades_of(events) == [(1001, 4, 3, 4), (1001, 6, 3, 5), (1001, 2, 5, 6)]
    (first, *_) = [e for e in events if isinstance(e, Trade)]
    assert first.taker_side is Side.ASK
    assert events[-1] == StatusChanged(InstrumentStatus.OPEN, "go")
    pit.engine.check_invariants()


def test_the_reference_follows_the_auction(pit: Pit) -> None:
    pit.apply(SetInstrument(reference_price=1001), AUCTION, bid(1005, 10), ask(1004, 10))
    events = pit.last(OPEN)
    assert InstrumentChanged(1, 1, 0, 1004, 0, 0) in events
    assert pit.market.rules.reference_price == 1004


def test_an_auction_without_a_match_ends_without_a_price(pit: Pit) -> None:
    pit.apply(AUCTION, bid(1000, 10), ask(1001, 10))
    assert pit.last(OPEN) == [Uncrossed(0, 0), StatusChanged(InstrumentStatus.OPEN, "")]


def test_the_indicative_price_is_recorded_while_orders_gather(pit: Pit) -> None:
    pit.apply(AUCTION, bid(1005, 10), ask(1005, 4))
    record = take_instrument(pit.market)
    assert record is not None
    assert (record.indicative_price, record.indicative_quantity) == (1005, 4)
    assert take_instrument(pit.market) is None
    pit.apply(cancel(3))
    record = take_instrument(pit.market)
    assert record is not None
    assert (record.indicative_price, record.indicative_quantity) == (0, 0)


@pytest.mark.parametrize(
    "command",
    [
        bid(None, 5),
        PlaceSpecialOrder(
            *(ALICE, "1", Side.BID, OrderType.LIMIT, 1000, 5, None), time_in_force=TimeInForce.IOC
        ),
        PlaceSpecialOrder(
            *(ALICE, "1", Side.BID, OrderType.LIMIT, 1000, 5, None), time_in_force=TimeInForce.FOK
        ),
        PlaceSpecialOrder(*(ALICE, "1", Side.BID, OrderType.LIMIT, 1000, 5, None), post_only=True),
    ],
)
def test_what_cannot_wait_for_the_end_is_not_taken_in_an_auction(
    pit: Pit, command: Command
) -> None:
    assert pit.last(AUCTION, command)[-1] == OrderRejected(2, StateReason.NOT_IN_AUCTION)


def test_an_iceberg_takes_part_in_an_auction_with_all_of_it_and_keeps_its_turn(pit: Pit) -> None:
    pit.apply(AUCTION, iceberg(ask(1000, 10), 2), ask(1000, 5), bid(1000, 8))
    assert pit.market.book.asks.text(1) == "1000,7,2;"
    assert trades_of(pit.last(OPEN)) == [(1000, 8, 2, 4)]
    assert pit.market.book.asks.text(1) == "1000,7,2;"
    assert [maker for _, _, maker, _ in trades_of(pit.last(bid(1000, 3)))] == [2, 3]


def test_stops_wait_for_the_end_of_an_auction(pit: Pit) -> None:
    pit.apply(ask(1000, 1), bid(1000, 1), AUCTION, stop(Side.BID, 1000, 2), ask(1002, 5))
    events = pit.last(OPEN)
    assert kinds(events) == ["Uncrossed", "StatusChanged", "OrderTriggered", "Trade"]
    assert trades_of(events) == [(1002, 2, 5, 4)]


def test_at_the_close_orders_of_the_day_end_and_the_last_price_is_the_reference(pit: Pit) -> None:
    pit.apply(day(Side.BID, 990, 7), bid(990, 5), ask(1000, 3), bid(1000, 3))
    assert pit.last(CLOSED) == [
        InstrumentChanged(1, 1, 0, 1000, 0, 0),
        StatusChanged(InstrumentStatus.CLOSED, ""),
        OrderExpired(1, 7, StateReason.END_OF_DAY),
    ]
    assert pit.market.changed[1].state is OrderState.EXPIRED
    assert pit.open_quantities() == {2: 5}


def test_a_closing_auction_trades_before_the_orders_of_the_day_end(pit: Pit) -> None:
    pit.apply(AUCTION, day(Side.BID, 1000, 7), ask(1000, 5))
    events = pit.last(CLOSED)
    assert trades_of(events) == [(1000, 5, 2, 3)]
    assert events[-1] == OrderExpired(2, 2, StateReason.END_OF_DAY)


def test_a_book_that_was_halted_in_an_auction_is_uncrossed_before_it_opens(pit: Pit) -> None:
    pit.apply(AUCTION, bid(1001, 5), ask(1000, 5), SetStatus(InstrumentStatus.HALTED))
    assert pit.market.book.is_crossed
    assert len(trades_of(pit.last(OPEN))) == 1
    pit.engine.check_invariants()


def test_a_trade_that_would_leave_the_band_stops_the_market_into_an_auction(pit: Pit) -> None:
    pit.apply(HALT_BAND, ask(1010, 5), ask(1011, 5))
    events = pit.last(bid(1012, 8))
    assert trades_of(events) == [(1010, 5, 2, 4)]
    assert events[-1] == StatusChanged(InstrumentStatus.AUCTION, "volatility")
    assert pit.open_quantities() == {3: 5, 4: 3}
    assert pit.market.book.is_crossed
    assert Uncrossed(1011, 3) in pit.last(OPEN)


def test_what_a_halt_leaves_of_a_market_order_is_canceled(pit: Pit) -> None:
    events = pit.last(HALT_BAND, ask(1010, 5), ask(1011, 5), bid(None, 8))
    assert events[-1] == OrderCanceled(4, 3, StateReason.SYMBOL_HALTED)


def test_a_fok_order_that_the_band_stops_is_canceled_and_does_not_halt(pit: Pit) -> None:
    pit.apply(HALT_BAND, ask(1010, 5), ask(1011, 5))
    order = PlaceSpecialOrder(
        *(ALICE, "1", Side.BID, OrderType.LIMIT, 1011, 6, None), time_in_force=TimeInForce.FOK
    )
    assert pit.last(order)[-1] == OrderCanceled(4, 6, StateReason.FOK_NOT_FILLED)
    assert pit.market.status is InstrumentStatus.OPEN


def test_stops_that_a_halt_has_overtaken_wait_on(pit: Pit) -> None:
    """Both are triggered by the first trade; the first of them halts the market."""
    pit.apply(HALT_BAND, ask(1010, 5), ask(1011, 5))
    pit.apply(stop(Side.BID, 1010, 1, limit=1011), stop(Side.BID, 1010, 1, limit=1011))
    events = pit.last(bid(1010, 5))
    assert [e.sequence for e in events if isinstance(e, OrderTriggered)] == [4]
    assert pit.market.book.stops.count == 1
    assert [e.sequence for e in pit.last(OPEN) if isinstance(e, OrderTriggered)] == [5]


def test_an_auction_after_a_halt_ends_by_itself_after_its_time(pit: Pit) -> None:
    rules = SetInstrument(reference_price=1000, halt_band_basis_points=100, auction_ms=500)
    pit.apply(rules, ask(1011, 5), bid(1011, 5))
    ends_ms = pit.time_ms + 500
    assert pit.market.next_ms() == ends_ms
    assert pit.tick_at(ends_ms - 1) == []
    events = pit.tick_at(ends_ms)
    assert events[0] == Uncrossed(1011, 5)
    assert events[-1] == StatusChanged(InstrumentStatus.OPEN, "auction_over")


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (bid(1001, 10), StateReason.INVALID_TICK),
        (stop(Side.BID, 1001, 10), StateReason.INVALID_TICK),
        (bid(1000, 15), StateReason.INVALID_LOT),
        (iceberg(bid(1000, 20), 5), StateReason.INVALID_LOT),
        (bid(1055, 10), StateReason.PRICE_BAND),
        (bid(945, 10), StateReason.PRICE_BAND),
        (bid(1050, 10), StateReason.NONE),
        (bid(950, 10), StateReason.NONE),
    ],
)
def test_ticks_lots_and_the_band_decide_what_is_taken(
    pit: Pit, order: Command, reason: StateReason
) -> None:
    pit.apply(SetInstrument(5, 10, 500, 1000))
    assert pit.last(order)[1:] == ([OrderRejected(2, reason)] if reason else [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (AmendOrder(1, 1001, None, None), "invalid_tick"),
        (AmendOrder(1, None, 15, None), "invalid_lot"),
        (AmendOrder(1, 1100, None, None), "price_band"),
    ],
)
def test_an_amendment_obeys_the_rules_in_what_it_changes(
    pit: Pit, change: AmendOrder, reason: str
) -> None:
    pit.apply(bid(903, 33), SetInstrument(5, 10, 500, 1000))
    assert pit.last(change) == [CommandRefused(reason)]
    assert kinds(pit.last(AmendOrder(1, None, 30, None))) == ["OrderAmended"]


@pytest.mark.parametrize(
    "command",
    [
        SetInstrument(0),
        SetInstrument(1, 0),
        SetInstrument(1, 1, -1),
        SetBroker(""),
        SetBroker("b", True, -1),
    ],
)
def test_rules_that_make_no_sense_are_refused(pit: Pit, command: Command) -> None:
    assert pit.last(command) == [CommandRefused(INVALID_COMMAND)]
    assert pit.market.instrument is None


def test_the_kill_switch_refuses_orders_and_lets_cancels_pass(pit: Pit) -> None:
    pit.apply(bid(1000, 5), bid(1000, 6), ask(1010, 1, BOB), stop(Side.BID, 1010, 1))
    pit.apply(SetBroker(ALICE, is_enabled=False))
    assert pit.last(bid(1000, 5))[-1] == OrderRejected(6, StateReason.BROKER_DISABLED)
    assert pit.last(AmendOrder(1, None, 4, None)) == [CommandRefused("broker_disabled")]
    assert kinds(pit.last(cancel(1))) == ["OrderCanceled"]
    events = pit.last(bid(1010, 1, BOB))
    assert events[-1] == OrderCanceled(4, 1, StateReason.BROKER_DISABLED)
    on_behalf = MassCancel("m", ALICE, reason=StateReason.OPERATOR)
    assert kinds(pit.last(on_behalf)) == ["OrderCanceled", "MassCanceled"]
    pit.apply(SetBroker(ALICE))
    assert pit.last(bid(900, 5))[1:] == []


@pytest.mark.parametrize(
    ("limits", "order", "reason"),
    [
        (SetBroker(ALICE, order_quantity_max=5), bid(1000, 6), StateReason.ORDER_QUANTITY_LIMIT),
        (SetBroker(ALICE, order_quantity_max=5), bid(1000, 5), StateReason.NONE),
        (SetBroker(ALICE, order_notional_max=5000), bid(1001, 5), StateReason.ORDER_NOTIONAL_LIMIT),
        (SetBroker(ALICE, order_notional_max=5000), bid(None, 6), StateReason.ORDER_NOTIONAL_LIMIT),
        (SetBroker(ALICE, price_collar_basis_points=10), bid(1002, 1), StateReason.PRICE_COLLAR),
        (SetBroker(ALICE, price_collar_basis_points=20), bid(1002, 1), StateReason.NONE),
        (SetBroker(ALICE, open_orders_max=1), bid(990, 1), StateReason.OPEN_ORDERS_LIMIT),
        (SetBroker(ALICE, open_orders_max=2), bid(990, 1), StateReason.NONE),
        (SetBroker(BOB, order_quantity_max=5), bid(990, 6), StateReason.NONE),
    ],
)
def test_a_broker_is_held_to_the_limits_that_the_operator_has_set(
    pit: Pit, limits: SetBroker, order: Command, reason: StateReason
) -> None:
    pit.apply(ask(1000, 1), bid(1000, 1), bid(980, 1), limits)
    rejected = [e for e in pit.last(order) if isinstance(e, OrderRejected)]
    assert rejected == ([OrderRejected(5, reason)] if reason else [])


def test_open_orders_count_until_they_are_over(pit: Pit) -> None:
    pit.apply(SetBroker(ALICE, open_orders_max=2), bid(1000, 5), stop(Side.BID, 1010, 1))
    full = [OrderRejected(4, StateReason.OPEN_ORDERS_LIMIT)]
    assert pit.last(bid(990, 1))[1:] == full
    pit.apply(ask(1000, 5))
    assert pit.last(bid(990, 1))[1:] == []
    pit.engine.check_invariants()


@pytest.mark.parametrize(
    ("resting", "incoming"), [(ask(980, 1), bid(1000, 1)), (bid(1020, 1), ask(1000, 1))]
)
def test_an_order_from_before_the_band_is_not_traded_with_either(
    pit: Pit, resting: Command, incoming: Command
) -> None:
    """The incoming order itself is within the band."""
    events = pit.last(resting, HALT_BAND, incoming)
    assert events[-1] == StatusChanged(InstrumentStatus.AUCTION, "volatility")
    assert not trades_of(events)


def test_a_wide_halt_band_does_not_widen_the_price_band(pit: Pit) -> None:
    pit.apply(SetInstrument(1, 1, 100, 1000, 500))
    assert pit.last(bid(1011, 1))[-1] == OrderRejected(2, StateReason.PRICE_BAND)
