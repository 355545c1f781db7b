"""What a list takes from the events, and what from PostgreSQL, whatever moves in between."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import psycopg
import pytest
from sqlalchemy.dialects import postgresql

from protocol import keys
from protocol.enums import OrderState, Side, StateReason
from protocol.events import TradeBusted
from protocol.records import OrderRecord
from readapi import recent
from readapi.merging import changed_orders, merge_fills, merge_orders
from readapi.recent import Recent, View
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.postgres.lists import (
    OrderFilter,
    Stored,
    TradeFilter,
    order_query,
    stored_fills,
    stored_orders,
)
from runtime.process.settings import Settings, load
from runtime.redis import genesis
from runtime.redis.channel import Channel
from runtime.redis.functions.reset import reset
from tests.integration.test_stored_forms import Storing, order, trade
from tests.support.builders import ALICE, BOB, START_MS
from tests.support.committing import commit, entry

ANY = OrderFilter(ALICE)
T = TypeVar("T")


def fail(error: Exception) -> None:
    pytest.fail(repr(error))


class Listing:
    """The lists of one HTTP process, and the matcher and persister around it."""

    def __init__(self, channel: Channel, redis_url: str, database_url: str) -> None:
        self.storing = Storing(channel, redis_url, database_url)
        self.channel = channel
        self.petr = self.storing.petr
        self._settings = load(
            Settings, {}, redis_url=redis_url, database_url=database_url, instance="t"
        )

    def run(self, work: Callable[[Context, Recent], Awaitable[T]]) -> T:
        async def run() -> T:
            context = Context(self._settings, genesis.read(self.channel), fail)
            found = Recent(context)
            try:
                return await work(context, found)
            finally:
                await found.close()
                await context.archive.close()

        return asyncio.run(run())

    def commit(self, *records: OrderRecord, **more: Any) -> int:
        """The next batch, with the log entries of these orders."""
        entries = [entry(self.petr, r.sequence, START_MS + r.sequence) for r in records]
        return commit(self.channel, self.petr.partition, *entries, orders=records, **more)


@pytest.fixture
def listing(channel: Channel, redis_url: str, database_url: str) -> Iterator[Listing]:
    listing = Listing(channel, redis_url, database_url)
    yield listing
    listing.storing.worker._store.close()


def page(view: View, stored: Stored, wanted: OrderFilter = ANY) -> list[tuple[int, str]]:
    assert view.is_continued_by(stored)
    changed = changed_orders(view.beyond(stored), wanted.broker_id, None)
    merged = merge_orders(stored.rows, changed, wanted, 100)
    return [(record.sequence, record.state.value) for record in merged.rows]


def canceled(listing: Listing, sequence: int) -> OrderRecord:
    return order(
        *(listing.petr, sequence),
        state=OrderState.CANCELED,
        reason=StateReason.USER_REQUEST,
        version=2,
    )


def test_what_postgresql_does_not_have_comes_from_the_events(listing: Listing) -> None:
    listing.storing.store(listing.commit(order(listing.petr, 1), order(listing.petr, 2)))
    listing.commit(order(listing.petr, 3))
    listing.commit(canceled(listing, 1))

    async def work(context: Context, found: Recent) -> None:
        view = await found.view()
        for is_open, expected in {
            None: [(3, "new"), (2, "new"), (1, "canceled")],
            True: [(3, "new"), (2, "new")],
            False: [(1, "canceled")],
        }.items():
            wanted = ANY._replace(is_open=is_open)
            stored = await stored_orders(context.archive, wanted, None, 100)
            assert page(view, stored, wanted) == expected

    listing.run(work)


def test_a_batch_that_is_stored_and_trimmed_between_the_two_reads_is_there_once(
    listing: Listing,
) -> None:
    listing.commit(order(listing.petr, 1))

    async def work(context: Context, found: Recent) -> None:
        view = await found.view()
        listing.storing.store(listing.commit(order(listing.petr, 2), canceled(listing, 1)))
        listing.channel.execute("XTRIM", keys.events(listing.petr.partition), "MAXLEN", "=", 0)
        stored = await stored_orders(context.archive, ANY, None, 100)
        assert page(view, stored) == [(2, "new"), (1, "canceled")]
        found.forget(stored)
        # What was trimmed before it was read is stored, so the next view begins behind it.
        listing.commit(order(listing.petr, 3))
        view = await found.view()
        assert page(view, stored) == [(3, "new"), (2, "new"), (1, "canceled")]

    listing.run(work)


def test_a_view_stays_as_it_is_when_others_let_go_of_what_is_stored(listing: Listing) -> None:
    listing.storing.store(listing.commit(order(listing.petr, 1)))
    listing.commit(order(listing.petr, 2))

    async def work(context: Context, found: Recent) -> None:
        view = await found.view()
        early = await stored_orders(context.archive, ANY, None, 100)
        listing.storing.store(2)
        late = await stored_orders(context.archive, ANY, None, 100)
        found.forget(late)
        assert page(view, early) == page(view, late) == [(2, "new"), (1, "new")]
        again = await found.view()
        assert list(again.beyond()) == []
        assert not again.is_continued_by(early)  # It would leave the second order out.

    listing.run(work)


def test_another_history_is_noticed_and_its_numbers_are_not_mixed(listing: Listing) -> None:
    for sequence in (1, 2, 3):
        listing.commit(order(listing.petr, sequence))

    async def work(context: Context, found: Recent) -> None:
        old = await found.view()
        stored = await stored_orders(context.archive, ANY, None, 100)
        assert [sequence for sequence, _ in page(old, stored)] == [3, 2, 1]
        listing.channel.call(reset("another", 2, 16, []))
        for sequence in range(4, 10):
            listing.commit(order(listing.petr, sequence))
        new = await found.view()
        assert new.history_id == "another"
        assert [list(batch.orders[ALICE]) for batch in new.beyond()] == [
            [order(listing.petr, sequence).order_id] for sequence in range(4, 10)
        ]
        assert not new.is_continued_by(stored)

    listing.run(work)


def test_fills_of_both_stores_are_there_once_and_a_late_bust_marks_a_stored_one(
    listing: Listing,
) -> None:
    petr, wanted = listing.petr, TradeFilter(ALICE)
    records = (order(petr, 1, broker_id=BOB), order(petr, 2))
    first = commit(
        *(listing.channel, petr.partition),
        entry(petr, 1, START_MS + 1),
        entry(petr, 2, START_MS + 2, trade(1, 30)),
        orders=records,
    )

    async def work(context: Context, found: Recent) -> None:
        view = await found.view()
        listing.storing.store(first)
        stored = await stored_fills(context.archive, wanted, None, 10)
        merged = merge_fills(stored.rows, list(view.beyond(stored)), wanted, None, 10)
        unstored = merge_fills([], list(view.beyond()), wanted, None, 10)
        assert merged == unstored  # Both stores tell the same of a fill.
        (fill,) = merged.rows
        assert (fill.liquidity, fill.side, fill.quantity) == ("taker", "bid", 30)
        bust = TradeBusted(1, 1000, 30, ALICE, BOB, 1, 2, "")
        commit(listing.channel, petr.partition, entry(petr, 3, START_MS + 3, bust, trade(2, 5)))
        view = await found.view()
        merged = merge_fills(stored.rows, list(view.beyond(stored)), wanted, None, 10)
        assert [(f.trade_number, f.is_busted) for f in merged.rows] == [(2, False), (1, True)]

    listing.run(work)


def test_more_batches_than_are_read_at_once_are_all_read(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "BATCHES_MAX", 3)
    for sequence in range(1, 12):
        listing.commit(order(listing.petr, sequence))

    async def work(context: Context, found: Recent) -> None:
        view = await found.view()
        assert [batch.number for batch in view.beyond()] == list(range(1, 12))

    listing.run(work)


def test_a_process_does_not_keep_more_than_it_may(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "BYTES_MAX", 200)
    listing.commit(order(listing.petr, 1))

    async def work(context: Context, found: Recent) -> None:
        await found.view()
        listing.commit(order(listing.petr, 2))
        with pytest.raises(Problem, match="too far behind"):
            await found.view()
        listing.storing.store(2)
        assert list((await found.view()).beyond()) == []

    listing.run(work)


@pytest.mark.parametrize("is_more", [False, True])
def test_batches_that_were_trimmed_unseen_must_be_in_what_is_stored(
    listing: Listing, is_more: bool
) -> None:
    listing.storing.store(listing.commit(order(listing.petr, 1)))

    async def work(context: Context, found: Recent) -> None:
        await found.view()
        early = await stored_orders(context.archive, ANY, None, 100)
        listing.storing.store(listing.commit(order(listing.petr, 2)))
        listing.channel.execute("XTRIM", keys.events(listing.petr.partition), "MAXLEN", "=", 0)
        if is_more:
            listing.commit(order(listing.petr, 3))
        view = await found.view()
        assert not view.is_continued_by(early)
        late = await stored_orders(context.archive, ANY, None, 100)
        assert [n for n, _ in page(view, late)] == [3, 2, 1][not is_more :]

    listing.run(work)


FILTERS = {
    "any": ANY,
    "open": ANY._replace(is_open=True),
    "closed": ANY._replace(is_open=False),
    "symbol": ANY._replace(symbol="PETR4"),
    "another symbol": ANY._replace(symbol="VALE3"),
    "side": ANY._replace(side="ask"),
    "digits": ANY._replace(document_digits="123"),
    "no digits": ANY._replace(document_digits="A-B"),
    "changed": ANY._replace(updated_after_ms=START_MS + 2),
    "all of them": OrderFilter(ALICE, True, "PETR4", "bid", "123", START_MS),
    "another broker": OrderFilter(BOB),
}


@pytest.mark.parametrize("name", FILTERS)
def test_both_stores_understand_a_filter_in_the_same_way(listing: Listing, name: str) -> None:
    petr, wanted = listing.petr, FILTERS[name]
    number = listing.commit(
        order(petr, 1, document_number="1.2-3"),
        order(petr, 2, side=Side.ASK, document_number="A-B"),
        order(petr, 3, updated_ms=START_MS + 9, document_number="123"),
        canceled(listing, 4),
        order(petr, 5, broker_id=BOB),
    )

    async def work(context: Context, found: Recent) -> None:
        view = await found.view()
        nothing = await stored_orders(context.archive, wanted, None, 100)
        assert nothing.rows == []
        from_events = page(view, nothing, wanted)
        listing.storing.store(number)
        stored = await stored_orders(context.archive, wanted, None, 100)
        assert list(view.beyond(stored)) == []
        assert page(view, stored, wanted) == from_events
        expected = {"any": [4, 3, 2, 1], "open": [3, 2, 1], "digits": [3, 1], "changed": [4, 3]}
        if name in expected:
            assert [sequence for sequence, _ in from_events] == expected[name]

    listing.run(work)


@pytest.mark.parametrize(
    ("is_open", "index"), [(True, "orders_open_idx"), (None, "orders_broker_id_order_id_idx")]
)
def test_a_page_is_found_by_an_index(listing: Listing, is_open: bool | None, index: str) -> None:
    wanted = ANY._replace(is_open=is_open)
    query = order_query(wanted, order(listing.petr, 9).order_id, 50)
    dialect: Any = postgresql.dialect
    compiled = query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})
    with psycopg.connect(listing.storing.database_url) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {compiled}"))
    assert f"Index Scan Backward using {index}" in plan
    assert "Sort" not in plan
