"""Execution reports: each event of each order once, with the totals right after it."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given

from matcher.changes import Changes
from matcher.engine import Engine
from protocol import codec, ids
from protocol.batches import GENESIS_HASH, Batch, BatchEntry
from protocol.commands import (
    AmendOrder,
    BustTrade,
    Command,
    MassCancel,
    PlaceOrder,
    PlaceSpecialOrder,
    SetInstrument,
    SetStatus,
    Tick,
)
from protocol.enums import (
    ExecutionPrice,
    InstrumentStatus,
    OrderType,
    ReportType,
    SelfTradePrevention,
    Side,
)
from protocol.events import OrderAmended
from protocol.reports import Report, count_reports, reports_of
from tests.support.builders import ALICE, BOB, START_MS, SYMBOL, ask, bid, cancel, iceberg, stop
from tests.support.flows import FLOWS, Flow, long_flow, resolved

CAROL = "00000000-0000-4000-8000-00000000000c"


class Floor:
    """An engine whose commands are committed in batches of a chosen size."""

    def __init__(self, rule: ExecutionPrice = ExecutionPrice.MAKER) -> None:
        self.engine = Engine(rule)
        self.market = self.engine.market(SYMBOL, 1)
        self.time_ms = START_MS
        self.batches: list[Batch] = []
        self._changes = Changes(0, self.engine)

    def apply(self, *commands: Command, step_ms: int = 1) -> None:
        for command in commands:
            self.time_ms += step_ms
            sequence = self.market.sequence + 1
            events = self.engine.apply(self.market, sequence, self.time_ms, command)
            place = (SYMBOL, 1, sequence, self.time_ms)
            entry = BatchEntry(*place, codec.encode(command), events)
            self._changes.add(self.market, [entry])

    def commit(self, *commands: Command) -> Batch:
        self.apply(*commands)
        commit = self._changes.take(len(self.batches), GENESIS_HASH, 0)
        self._changes = Changes(0, self.engine)
        self.batches.append(codec.decode_batch(commit.payload))
        return self.batches[-1]


def told(batch: Batch, broker_id: str = "") -> list[dict[str, Any]]:
    return [json.loads(report.body(1)) for report in reports_of(batch, broker_id)]


def short(batch: Batch, broker_id: str = "") -> list[tuple[Any, ...]]:
    """Type, sequence of the order, price, quantity, filled, remaining, state."""
    found = []
    for body in told(batch, broker_id):
        place = ids.decode(body["order_id"])
        assert place is not None
        totals = ("price", "quantity", "filled_quantity", "remaining_quantity", "state")
        found.append((body["type"], place.sequence, *[body[name] for name in totals]))
    return found


def order_id(sequence: int) -> str:
    return ids.encode(START_MS + sequence, 1, sequence)


def test_a_trade_is_told_to_the_maker_and_then_to_the_taker() -> None:
    floor = Floor()
    floor.commit(ask(1000, 10))
    batch = floor.commit(bid(1010, 4))
    trade_id = ids.encode(START_MS + 2, 1, 1, ids.TRADE)
    accepted, maker, taker = reports_of(batch)
    assert [r.broker_id for r in (accepted, maker, taker)] == [ALICE, BOB, ALICE]
    names = [r.message_id for r in (accepted, maker, taker)]
    assert names == [f"{order_id(2)}-accepted", f"{trade_id}-ask", f"{trade_id}-bid"]
    assert maker.type is ReportType.EXECUTED
    assert json.loads(maker.body(17)) == {
        "sequence": 17,
        "type": "trade.executed",
        "timestamp": "2027-01-15T08:00:00.002+00:00",
        "order_id": order_id(1),
        "client_order_id": order_id(1),
        "symbol": SYMBOL,
        "side": "ask",
        "order_type": "limit",
        "price": 1000,
        "quantity": 10,
        "filled_quantity": 4,
        "remaining_quantity": 6,
        "state": "partially_filled",
        "state_reason": None,
        "memo": None,
        "trade_id": trade_id,
        "last_price": 1000,
        "last_quantity": 4,
        "liquidity": "maker",
    }
    assert json.loads(taker.body(1))["liquidity"] == "taker"


def test_several_events_of_one_order_in_one_batch_each_have_their_own_totals() -> None:
    batch = Floor().commit(
        ask(1000, 10), bid(1000, 3), AmendOrder(1, 1005, 8, None), bid(1005, 2), cancel(1)
    )
    assert short(batch, BOB) == [
        ("order.accepted", 1, 1000, 10, 0, 10, "new"),
        ("trade.executed", 1, 1000, 10, 3, 7, "partially_filled"),
        ("order.amended", 1, 1005, 8, 3, 5, "partially_filled"),
        ("trade.executed", 1, 1005, 8, 5, 3, "partially_filled"),
        ("order.canceled", 1, 1005, 8, 5, 3, "canceled"),
    ]


def test_an_order_of_before_has_the_price_of_before_in_what_came_before_its_amendment() -> None:
    floor = Floor(ExecutionPrice.SELLER)
    floor.commit(bid(1010, 10))
    batch = floor.commit(ask(1000, 3), AmendOrder(1, 1020, 12, None))
    assert short(batch, ALICE) == [
        ("trade.executed", 1, 1010, 10, 3, 7, "partially_filled"),
        ("order.amended", 1, 1020, 12, 3, 9, "partially_filled"),
    ]
    assert told(batch, ALICE)[0]["last_price"] == 1000


def test_an_amendment_of_an_earlier_version_does_not_say_what_was_before() -> None:
    floor = Floor()
    batch = floor.commit(ask(1000, 10), AmendOrder(1, 1005, 8, None))
    event = batch.entries[1].events[0]
    assert isinstance(event, OrderAmended)
    batch.entries[1].events[0] = OrderAmended(1, 1005, 8, event.valid_until_ms, False)
    assert [body["price"] for body in told(batch)] == [1005, 1005]


def test_two_amendments_have_two_names() -> None:
    batch = Floor().commit(ask(1000, 10), *[AmendOrder(1, None, n, None) for n in (8, 6)])
    names = [report.message_id for report in reports_of(batch)]
    assert names == [order_id(1) + end for end in ("-accepted", "-amended-2", "-amended-3")]


def test_the_reason_of_an_end_is_told() -> None:
    floor = Floor()
    until = floor.time_ms + 3
    batch = floor.commit(ask(1000, 10, until=until), bid(1000, 4), Tick())
    assert short(batch, BOB)[-1] == ("order.expired", 1, 1000, 10, 4, 6, "expired")
    assert told(batch, BOB)[-1]["state_reason"] == "valid_until_reached"
    batch = floor.commit(bid(None, 1), bid(900, 5), MassCancel("m", ALICE))
    ends = [(b["state_reason"], b["state"]) for b in told(batch) if b["state"] == "canceled"]
    assert ends == [("no_liquidity", "canceled"), ("mass_cancel", "canceled")]


def test_an_order_that_is_rejected_as_it_comes_is_told_once() -> None:
    floor = Floor()
    batch = floor.commit(SetInstrument(tick_size=5), ask(1001, 10))
    assert short(batch) == [("order.rejected", 2, 1001, 10, 0, 10, "rejected")]
    assert told(batch)[0]["state_reason"] == "invalid_tick"
    assert count_reports(batch, owners(batch)) == {BOB: 1}


def test_what_self_trade_prevention_kept_from_trading_is_told() -> None:
    floor = Floor()
    floor.commit(ask(1000, 10, broker=ALICE))
    order = PlaceSpecialOrder(
        *(ALICE, "12345678901", Side.BID, OrderType.LIMIT, 1000, 4, None, "mine"),
        self_trade_prevention=SelfTradePrevention.CANCEL_AGGRESSOR,
        memo="a note",
    )
    accepted, canceled = told(floor.commit(order))
    assert "prevented_quantity" not in accepted
    assert canceled["prevented_quantity"] == 4
    assert canceled["state_reason"] == "self_trade_prevention"
    assert (canceled["client_order_id"], canceled["memo"]) == ("mine", "a note")


def test_an_iceberg_is_told_with_all_of_its_quantity() -> None:
    floor = Floor()
    floor.commit(iceberg(ask(1000, 10), 3))
    batch = floor.commit(bid(1000, 4))
    assert short(batch, BOB) == [
        ("trade.executed", 1, 1000, 10, 3, 7, "partially_filled"),
        ("trade.executed", 1, 1000, 10, 4, 6, "partially_filled"),
    ]


def test_a_stop_order_is_told_when_it_is_triggered() -> None:
    floor = Floor()
    floor.commit(stop(Side.BID, 1000, 5, broker=CAROL), ask(1000, 1), ask(1002, 5))
    batch = floor.commit(bid(1000, 1))
    assert short(batch, CAROL) == [
        ("order.triggered", 1, None, 5, 0, 5, "new"),
        ("trade.executed", 1, None, 5, 5, 0, "filled"),
    ]
    assert told(batch, CAROL)[1]["order_type"] == "stop"


def test_a_bust_is_told_to_both_and_names_the_trade_and_their_orders() -> None:
    floor = Floor()
    batch = floor.commit(ask(1000, 10), bid(1000, 4))
    trade_id = next(body["trade_id"] for body in told(batch) if "trade_id" in body)
    times = (START_MS + 2, START_MS + 1, START_MS + 2)
    trade = (1, 1000, 4, ALICE, BOB, 1, 2)
    batch = floor.commit(BustTrade(*trade, "a wrong price", Side.BID, *times))
    seller, buyer = reports_of(batch)
    assert (seller.broker_id, buyer.broker_id) == (BOB, ALICE)
    assert [r.message_id for r in (seller, buyer)] == [
        f"{trade_id}-ask-busted",
        f"{trade_id}-bid-busted",
    ]
    body = json.loads(buyer.body(3))
    assert (body["trade_id"], body["order_id"]) == (trade_id, order_id(2))
    assert (body["last_price"], body["last_quantity"], body["liquidity"]) == (1000, 4, "taker")
    assert (body["bust_reason"], body["state"], body["price"]) == ("a wrong price", None, None)
    assert count_reports(batch, {}) == {ALICE: 1, BOB: 1}


def test_a_bust_of_an_earlier_version_names_neither_the_trade_nor_the_orders() -> None:
    floor = Floor()
    floor.commit(ask(1000, 10), bid(1000, 4))
    bodies = told(floor.commit(BustTrade(1, 1000, 4, ALICE, BOB, 1, 2)))
    assert [(b["side"], b["trade_id"], b["order_id"], b["liquidity"]) for b in bodies] == [
        ("bid", None, None, None),
        ("ask", None, None, None),
    ]


def test_what_is_of_no_order_is_not_told() -> None:
    batch = Floor().commit(cancel(1), Tick(), SetStatus(InstrumentStatus.HALTED))
    assert reports_of(batch) == []
    assert count_reports(batch, {}) == {}


def owners(batch: Batch) -> dict[tuple[int, int], str]:
    records = [codec.decode_order(payload) for payload in batch.orders]
    return {(r.instrument_number, r.sequence): r.broker_id for r in records}


def played(flow: Flow, size: int, rule: ExecutionPrice) -> Floor:
    """A flow, committed in batches of ``size`` commands."""
    floor = Floor(rule)
    for at, (step_ms, recipe) in enumerate(flow, 1):
        command = resolved(recipe, floor.market.sequence + 1, floor.time_ms + step_ms)
        floor.apply(command, step_ms=step_ms)
        if at % size == 0 or at == len(flow):
            floor.commit()
    return floor


def all_reports(floor: Floor, broker_id: str = "") -> list[Report]:
    return [report for batch in floor.batches for report in reports_of(batch, broker_id)]


class Forward:
    """How orders stand, followed forwards from the commands: what the reports must say."""

    def __init__(self) -> None:
        self.orders: dict[str, list[Any]] = {}

    def follow(self, entry: BatchEntry, bodies: list[dict[str, Any]]) -> None:
        command = codec.decode_command(entry.command)
        for body in bodies:
            name = body["order_id"]
            if isinstance(command, PlaceOrder) and name == ids.encode(
                entry.time_ms, 1, entry.sequence
            ):
                self.orders.setdefault(name, [command.price, command.quantity, 0])
            order = self.orders[name]
            if body["type"] == "order.amended":
                assert isinstance(command, AmendOrder)
                order[0] = command.price or order[0]
                order[1] = command.quantity or order[1]
            order[2] += body.get("last_quantity", 0)
            price, quantity, filled = order
            said = (body["price"], body["quantity"], body["filled_quantity"])
            assert said == (price, quantity, filled), body
            assert body["remaining_quantity"] == quantity - filled
            if body["state"] == "filled":
                assert quantity == filled
            elif body["state"] == "new":
                assert not filled
            elif body["state"] == "partially_filled":
                assert 0 < filled < quantity


def look(flow: Flow, rule: ExecutionPrice) -> None:
    """The reports do not depend on the batches, and say what happened, once."""
    singly, together = played(flow, 1, rule), played(flow, 7, rule)
    one, other = all_reports(singly), all_reports(together)
    assert one == other
    assert len({report.message_id for report in one}) == len(one)
    for batch in together.batches:
        counts = count_reports(batch, owners(batch))
        assert counts == Counter(report.broker_id for report in reports_of(batch))
        for broker_id in counts:
            own = [r for r in reports_of(batch) if r.broker_id == broker_id]
            assert reports_of(batch, broker_id) == own
    forward = Forward()
    for batch in singly.batches:
        bodies = [body for body in told(batch) if body["type"] != "trade.busted"]
        forward.follow(batch.entries[0], bodies)


@given(flow=FLOWS)
def test_any_flow_is_told_the_same_in_any_batches(flow: Flow) -> None:
    look(flow, ExecutionPrice.MAKER)


@pytest.mark.parametrize("rule", list(ExecutionPrice))
@pytest.mark.parametrize("seed", range(3))
def test_a_long_flow_is_told_the_same_in_any_batches(seed: int, rule: ExecutionPrice) -> None:
    look(long_flow(seed, 800, is_ruled=True), rule)
