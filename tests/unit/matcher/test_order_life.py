"""Special instructions of orders, rule by rule."""

import msgspec
import pytest

from matcher.refusals import INVALID_ORDER, VALID_UNTIL_NOT_ALLOWED
from protocol.commands import AmendOrder, MassCancel, PlaceOrder, PlaceSpecialOrder
from protocol.enums import (
    OrderState,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.events import (
    CommandRefused,
    MassCanceled,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderTriggered,
    Trade,
)
from tests.support.builders import (
    ALICE,
    BOB,
    FAR_MS,
    START_MS,
    Pit,
    ask,
    bid,
    cancel,
    stop,
    trades_of,
)

IOC, FOK, DAY = TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY
PREVENTED = StateReason.SELF_TRADE_PREVENTION


@pytest.fixture
def pit() -> Pit:
    return Pit()


def special(
    plain: PlaceOrder,
    *,
    time_in_force: TimeInForce | None = None,
    post_only: bool = False,
    prevention: SelfTradePrevention = SelfTradePrevention.NONE,
    display: int = 0,
    document: str = "12345678901",
) -> PlaceSpecialOrder:
    """The order with instructions; it has no ``valid_until`` then."""
    return PlaceSpecialOrder(
        *(
            plain.broker_id,
            document,
            plain.side,
            plain.order_type,
            plain.price,
            plain.quantity,
            None,
        ),
        time_in_force=time_in_force,
        post_only=post_only,
        self_trade_prevention=prevention,
        display_quantity=display,
    )


def test_an_ioc_order_fills_what_it_can_and_the_rest_is_canceled(pit: Pit) -> None:
    events = pit.last(ask(1000, 10), ask(1001, 10), special(bid(1000, 30), time_in_force=IOC))
    assert trades_of(events) == [(1000, 10, 1, 3)]
    assert events[-1] == OrderCanceled(3, 20, StateReason.IOC_REMAINDER)
    events = pit.last(special(bid(1000, 30), time_in_force=IOC))
    assert events[-1] == OrderCanceled(4, 30, StateReason.NO_LIQUIDITY)


def test_a_fok_order_is_filled_as_a_whole_or_not_at_all(pit: Pit) -> None:
    pit.apply(ask(1000, 10), ask(1001, 10))
    events = pit.last(special(bid(1001, 21), time_in_force=FOK))
    assert events == [OrderAccepted(3), OrderCanceled(3, 21, StateReason.FOK_NOT_FILLED)]
    events = pit.last(special(bid(1001, 20), time_in_force=FOK))
    assert trades_of(events) == [(1000, 10, 1, 4), (1001, 10, 2, 4)]


def test_a_fok_order_counts_hidden_quantity_and_not_what_has_expired(pit: Pit) -> None:
    pit.apply(special(ask(1000, 10), display=1), ask(1000, 5, until=START_MS + 100))
    pit.time_ms = START_MS + 100
    events = pit.last(special(bid(1000, 11), time_in_force=FOK))
    assert events[-1] == OrderCanceled(3, 11, StateReason.FOK_NOT_FILLED)
    assert len(trades_of(pit.last(special(bid(1000, 10), time_in_force=FOK)))) == 10


@pytest.mark.parametrize(
    ("prevention", "quantity", "is_filled"),
    [
        (SelfTradePrevention.CANCEL_RESTING, 15, True),
        (SelfTradePrevention.CANCEL_RESTING, 16, False),
        (SelfTradePrevention.CANCEL_AGGRESSOR, 10, True),
        (SelfTradePrevention.CANCEL_AGGRESSOR, 11, False),
        (SelfTradePrevention.CANCEL_BOTH, 11, False),
    ],
)
def test_a_fok_order_does_not_count_what_self_trade_prevention_would_skip(
    pit: Pit, prevention: SelfTradePrevention, quantity: int, is_filled: bool
) -> None:
    pit.apply(ask(1000, 10), ask(1000, 10, ALICE), ask(1000, 5))
    events = pit.last(special(bid(1000, quantity), time_in_force=FOK, prevention=prevention))
    assert bool(trades_of(events)) is is_filled


def test_a_day_order_rests_without_an_end_of_its_own(pit: Pit) -> None:
    pit.apply(special(bid(1000, 1), time_in_force=DAY))
    assert pit.tick_at(FAR_MS + 1) == []
    refused = pit.last(AmendOrder(1, None, None, FAR_MS * 2))
    assert refused == [CommandRefused(VALID_UNTIL_NOT_ALLOWED)]


def test_a_post_only_order_that_would_cross_is_rejected_and_never_repriced(pit: Pit) -> None:
    pit.apply(ask(1000, 10))
    events = pit.last(special(bid(1000, 1), post_only=True))
    reason = StateReason.POST_ONLY_WOULD_CROSS
    assert events == [OrderAccepted(2), OrderRejected(2, reason)]
    assert pit.market.changed[2].state is OrderState.REJECTED
    pit.apply(special(bid(999, 1), post_only=True))
    assert pit.open_quantities() == {1: 10, 3: 1}
    assert pit.last(AmendOrder(3, 1000, None, None)) == [CommandRefused(reason.value)]
    assert pit.open_quantities() == {1: 10, 3: 1}


def test_prevention_none_lets_an_owner_trade_with_itself(pit: Pit) -> None:
    assert trades_of(pit.last(ask(1000, 5, ALICE), bid(1000, 5))) == [(1000, 5, 1, 2)]


@pytest.mark.parametrize(
    ("prevention", "ends", "left"),
    [
        (
            SelfTradePrevention.CANCEL_AGGRESSOR,
            [OrderCanceled(4, 20, PREVENTED, 8)],
            {2: 8, 3: 9},
        ),
        (SelfTradePrevention.CANCEL_RESTING, [OrderCanceled(2, 8, PREVENTED, 8)], {4: 11}),
        (
            SelfTradePrevention.CANCEL_BOTH,
            [OrderCanceled(2, 8, PREVENTED, 8), OrderCanceled(4, 20, PREVENTED, 8)],
            {3: 9},
        ),
    ],
)
def test_the_incoming_order_says_what_is_canceled_instead_of_a_self_trade(
    pit: Pit, prevention: SelfTradePrevention, ends: list[OrderCanceled], left: dict[int, int]
) -> None:
    """Fills before the conflict stand, and a prevented match moves no cash."""
    pit.apply(ask(1000, 5), ask(1000, 8, ALICE), ask(1000, 9))
    events = pit.last(special(bid(1000, 25), prevention=prevention))
    assert trades_of(events)[0] == (1000, 5, 1, 4)
    assert [e for e in events if isinstance(e, OrderCanceled)] == ends
    assert pit.open_quantities() == left
    traded = sum(quantity for _, quantity, _, _ in trades_of(events))
    assert pit.engine.balances[ALICE] == -1000 * traded


@pytest.mark.parametrize(
    ("document", "broker", "is_same"),
    [("123.456.789-01", ALICE, True), ("999", ALICE, False), ("12345678901", BOB, False)],
)
def test_owners_are_told_apart_by_broker_and_digits(
    pit: Pit, document: str, broker: str, is_same: bool
) -> None:
    pit.apply(ask(1000, 5, ALICE))
    order = special(
        bid(1000, 5, broker), prevention=SelfTradePrevention.CANCEL_BOTH, document=document
    )
    assert bool(trades_of(pit.last(order))) is not is_same


def test_the_instruction_of_a_resting_order_does_not_count(pit: Pit) -> None:
    pit.apply(special(ask(1000, 5, ALICE), prevention=SelfTradePrevention.CANCEL_BOTH))
    assert len(trades_of(pit.last(bid(1000, 5)))) == 1


def test_an_iceberg_shows_one_slice_and_each_new_one_goes_to_the_back(pit: Pit) -> None:
    pit.apply(special(ask(1000, 10), display=4), ask(1000, 5))
    assert pit.market.book.asks.text(1) == "1000,9,2;"
    events = pit.last(bid(1000, 6))
    assert trades_of(events) == [(1000, 4, 1, 3), (1000, 2, 2, 3)]
    (first, _) = [e for e in events if isinstance(e, Trade)]
    assert first.maker_open_quantity == 6
    assert pit.market.book.asks.text(1) == "1000,7,2;"
    events = pit.last(bid(1000, 9))
    assert trades_of(events) == [(1000, 3, 2, 4), (1000, 4, 1, 4), (1000, 2, 1, 4)]
    assert pit.market.changed[1].state is OrderState.FILLED
    assert not pit.open_quantities()


def test_an_iceberg_takes_with_all_of_its_quantity(pit: Pit) -> None:
    events = pit.last(ask(1000, 10), special(bid(1000, 20), display=2))
    assert trades_of(events) == [(1000, 10, 1, 2)]
    assert pit.market.book.bids.text(1) == "1000,2,1;"


def test_what_an_iceberg_loses_by_an_amendment_is_hidden_first(pit: Pit) -> None:
    pit.apply(special(ask(1000, 10), display=4), ask(1000, 5))
    amended = OrderAmended(1, 1000, 6, None, True, 1000, 10)
    assert pit.last(AmendOrder(1, None, 6, None)) == [amended]
    assert pit.market.book.asks.text(1) == "1000,9,2;"
    pit.apply(AmendOrder(1, None, 3, None))
    assert pit.market.book.asks.text(1) == "1000,8,2;"
    assert trades_of(pit.last(bid(1000, 5))) == [(1000, 3, 1, 5), (1000, 2, 2, 5)]


def test_a_canceled_iceberg_says_all_that_was_open(pit: Pit) -> None:
    events = pit.last(special(ask(1000, 10), display=4), cancel(1))
    assert events == [OrderCanceled(1, 10, StateReason.USER_REQUEST)]


def test_a_stop_waits_unseen_until_the_last_trade_reaches_its_price(pit: Pit) -> None:
    pit.apply(ask(1000, 5), ask(1002, 5), stop(Side.BID, 1001, 3))
    assert pit.market.book.bids.best is None
    assert trades_of(pit.last(bid(1000, 5))) == [(1000, 5, 1, 4)]
    events = pit.last(bid(1002, 1))
    assert trades_of(events) == [(1002, 1, 2, 5), (1002, 3, 2, 3)]
    assert events[2] == OrderTriggered(3, 1002)


def test_a_stop_limit_that_is_triggered_rests_at_its_limit(pit: Pit) -> None:
    pit.apply(bid(1000, 5), stop(Side.ASK, 1000, 7, limit=999))
    events = pit.last(ask(1000, 1))
    assert OrderTriggered(2, 1000) in events
    assert trades_of(events) == [(1000, 1, 1, 3), (1000, 4, 1, 2)]
    assert pit.open_quantities() == {2: 3}
    assert pit.market.book.asks.text(1) == "999,3,1;"


def test_a_stop_whose_price_is_reached_already_enters_at_once(pit: Pit) -> None:
    pit.apply(ask(1000, 5), bid(1000, 5), ask(1003, 5))
    events = pit.last(stop(Side.BID, 999, 2))
    assert events[:2] == [OrderAccepted(4), OrderTriggered(4, 1000)]
    assert trades_of(events) == [(1003, 2, 3, 4)]


def test_stops_enter_after_the_aggressor_in_the_order_of_their_arrival(pit: Pit) -> None:
    """The first one triggers a third with its own trade; it comes after the second."""
    pit.apply(ask(1000, 1), ask(1001, 1), ask(1002, 1), ask(1003, 1))
    pit.apply(stop(Side.BID, 1000, 1), stop(Side.BID, 999, 1), stop(Side.BID, 1001, 1))
    events = pit.last(bid(1000, 2))
    assert [e.sequence for e in events if isinstance(e, OrderTriggered)] == [5, 6, 7]
    assert trades_of(events) == [(1000, 1, 1, 8), (1001, 1, 2, 5), (1002, 1, 3, 6), (1003, 1, 4, 7)]
    assert pit.open_quantities() == {8: 1}


def test_a_stop_that_waits_can_be_canceled_amended_and_expires(pit: Pit) -> None:
    pit.apply(stop(Side.BID, 1001, 3), stop(Side.BID, 1001, 3, limit=1001))
    assert pit.last(cancel(1)) == [OrderCanceled(1, 3, StateReason.USER_REQUEST)]
    amended = OrderAmended(2, 1002, 5, None, False, 1001, 3)
    assert pit.last(AmendOrder(2, 1002, 5, None)) == [amended]
    until = pit.time_ms + 100
    amended = OrderAmended(2, 1002, 4, until, True, 1002, 5)
    assert pit.last(AmendOrder(2, None, 4, until)) == [amended]
    assert pit.tick_at(until) == [OrderExpired(2, 4)]
    assert not pit.open_quantities()
    pit.apply(ask(1002, 1), bid(1002, 1))
    assert pit.market.trade_number == 1


def test_a_mass_cancel_takes_the_orders_that_it_names(pit: Pit) -> None:
    other = msgspec.structs.replace(bid(990, 1), document_number="2")
    pit.apply(bid(990, 1), ask(1010, 1, ALICE), other, bid(990, 1, BOB))
    pit.apply(stop(Side.ASK, 900, 1))
    mass = StateReason.MASS_CANCEL
    assert pit.last(MassCancel("m", ALICE, Side.BID, "2")) == [
        OrderCanceled(3, 1, mass),
        MassCanceled("m", ALICE, 1),
    ]
    assert pit.last(MassCancel("m", ALICE, None, "123.456.789-01", StateReason.OPERATOR)) == [
        OrderCanceled(1, 1, StateReason.OPERATOR),
        OrderCanceled(2, 1, StateReason.OPERATOR),
        MassCanceled("m", ALICE, 2),
    ]
    assert pit.last(MassCancel("m", ALICE)) == [
        OrderCanceled(5, 1, mass),
        MassCanceled("m", ALICE, 1),
    ]
    assert pit.last(MassCancel("m", ALICE)) == [MassCanceled("m", ALICE, 0)]
    assert pit.open_quantities() == {4: 1}


@pytest.mark.parametrize(
    "command",
    [
        special(bid(None, 5), time_in_force=DAY),
        special(bid(1000, 5), time_in_force=IOC, post_only=True),
        special(bid(1000, 500), display=4),
        special(bid(1000, 5), display=6),
        special(bid(1000, 5), display=-1),
        msgspec.structs.replace(stop(Side.BID, 5, 1), time_in_force=IOC),
        msgspec.structs.replace(stop(Side.BID, 5, 1), stop_price=None),
        msgspec.structs.replace(special(bid(1000, 5), time_in_force=DAY), valid_until_ms=FAR_MS),
        msgspec.structs.replace(special(bid(1000, 5)), memo="m" * 65),
        PlaceOrder(ALICE, "1", Side.BID, OrderType.STOP, None, 5, None),
    ],
)
def test_instructions_that_do_not_fit_together_are_refused(pit: Pit, command: PlaceOrder) -> None:
    assert pit.last(command) == [CommandRefused(INVALID_ORDER)]


def test_a_record_brings_hidden_quantity_and_waiting_stops_back() -> None:
    pit = Pit()
    pit.apply(special(ask(1000, 10), display=4), ask(1000, 5), bid(1000, 6))
    pit.apply(stop(Side.BID, 1001, 3), stop(Side.ASK, 990, 3, limit=990))
    again = Pit()
    market = again.market
    market.sequence, market.trade_number = pit.market.sequence, pit.market.trade_number
    market.last_price = pit.market.last_price
    market.holdings.update(pit.market.holdings)
    records = [o.record("PETR4", 1) for o in pit.market.book.orders.values()]
    for record in sorted(records, key=lambda r: r.turn):
        again.engine.restore(record)
    again.engine.balances.update(pit.engine.balances)
    assert again.engine.state_hash() == pit.engine.state_hash()
    assert market.book.asks.text(1) == pit.market.book.asks.text(1) == "1000,7,2;"
    again.time_ms = pit.time_ms
    assert again.apply(bid(1002, 20), cancel(5)) == pit.apply(bid(1002, 20), cancel(5))
