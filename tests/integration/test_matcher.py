"""The matcher worker on a real Redis: matching, recovery, ownership, poison."""

from collections.abc import Callable
from functools import partial

import pytest

from matcher.settings import MatcherSettings
from matcher.worker import SEND_AT, MatcherWorker
from protocol import books, codec, keys
from protocol.batches import GENESIS_HASH, chain_hash
from protocol.books import Book
from protocol.commands import (
    AmendOrder,
    BustTrade,
    SetBroker,
    SetInstrument,
    SetStatus,
    Tick,
)
from protocol.enums import InstrumentStatus, OrderState, Side
from protocol.records import OrderRecord
from protocol.registry import Instrument
from runtime.process.errors import Fenced, HistoryMismatch, ServerRefused
from runtime.process.settings import load
from runtime.redis import leases
from runtime.redis.channel import Channel
from tests.support.builders import ALICE, BOB, ask, bid, cancel, iceberg, stop
from tests.support.eventually import eventually
from tests.support.feeding import append, list_symbol

Start = Callable[..., MatcherWorker]


@pytest.fixture
def start(redis_url: str) -> Start:
    """Starts matchers by name; those that were not closed are forgotten, as by a kill."""

    def start(instance: str = "m1", **options: object) -> MatcherWorker:
        settings = load(MatcherSettings, {}, redis_url=redis_url, instance=instance, **options)
        worker = MatcherWorker(settings)
        worker.open()
        return worker

    return start


def order(channel: Channel, instrument: Instrument, sequence: int) -> OrderRecord:
    field = keys.order_field(instrument.number, sequence)
    partition = instrument.partition
    stored = channel.execute("HGET", keys.open_orders(partition), field) or channel.execute(
        "GET", keys.closed_order(partition, field)
    )
    return codec.decode_order(stored)


def position(channel: Channel, instrument: Instrument) -> bytes | None:
    value: bytes | None = channel.execute(
        "HGET", keys.positions(instrument.partition), instrument.symbol
    )
    return value


def stands_at(channel: Channel, instrument: Instrument, expected: bytes) -> bool:
    return position(channel, instrument) == expected


def step_until(worker: MatcherWorker, done: Callable[[], bool]) -> None:
    def step() -> bool:
        worker.step()
        return done()

    eventually(step)


def test_what_was_appended_before_and_after_the_start_is_matched(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, ask(1000, 10))
    worker = start()
    append(channel, petr, bid(1000, 4))
    step_until(worker, lambda: position(channel, petr) == b"2:1")
    assert order(channel, petr, 1).open_quantity == 6
    assert order(channel, petr, 2).state is OrderState.FILLED


def test_a_matcher_that_was_killed_continues_where_its_last_commit_was(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, ask(1000, 5), ask(1000, 10), ask(1001, 5), bid(999, 7), cancel(3))
    append(channel, petr, AmendOrder(1, None, 6, None))  # To the back of its level.
    killed = start()
    step_until(killed, lambda: position(channel, petr) == b"6:0")
    expected = killed.partitions[petr.partition].engine.state_hash()
    append(channel, petr, bid(1000, 12))
    again = start()
    assert again.partitions[petr.partition].engine.state_hash() == expected
    step_until(again, lambda: position(channel, petr) == b"7:2")
    assert order(channel, petr, 2).state is OrderState.FILLED
    assert order(channel, petr, 1).open_quantity == 4


def test_hidden_quantity_waiting_stops_and_the_last_price_survive_a_kill(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, iceberg(ask(1000, 10), 4), ask(1000, 5), bid(1000, 6))
    append(channel, petr, stop(Side.BID, 1001, 2), stop(Side.ASK, 900, 2))
    killed = start()
    step_until(killed, lambda: position(channel, petr) == b"5:2")
    expected = killed.partitions[petr.partition].engine.state_hash()
    append(channel, petr, stop(Side.BID, 1000, 5))  # The last price, 1000, triggers it.
    again = start()
    assert again.partitions[petr.partition].engine.state_hash() == expected
    step_until(again, lambda: position(channel, petr) == b"6:4")
    assert order(channel, petr, 2).state is OrderState.FILLED
    special = order(channel, petr, 1).special
    assert special is not None
    assert (order(channel, petr, 1).open_quantity, special.hidden_quantity) == (4, 2)


def test_rules_status_and_holdings_survive_a_kill(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, ask(1000, 10), bid(1000, 4), SetInstrument(5, 1, 500, 1000, 100, 60_000))
    append(channel, petr, SetStatus(InstrumentStatus.AUCTION, "pre-open"), bid(1005, 3))
    append(channel, petr, SetBroker(BOB, False), BustTrade(1, 1000, 4, ALICE, BOB, 1, 2))
    killed = start()
    step_until(killed, lambda: position(channel, petr) == b"7:1")
    expected = killed.partitions[petr.partition].engine.state_hash()
    partition = petr.partition
    record = codec.decode_instrument(
        channel.execute("HGET", keys.instrument_records(partition), "PETR4")
    )
    assert (record.status, record.busted_trades) == (InstrumentStatus.AUCTION, [1])
    assert (record.indicative_price, record.indicative_quantity) == (1000, 3)
    holding = keys.holding_field(petr.number, ALICE)
    assert channel.execute("HGET", keys.holdings(partition), holding) == b"0"
    append(channel, petr, SetStatus(InstrumentStatus.OPEN))
    again = start()
    assert again.partitions[partition].engine.state_hash() == expected
    step_until(again, lambda: position(channel, petr) == b"8:2")
    assert channel.execute("HGET", keys.holdings(partition), holding) == b"3"


def test_an_auction_ends_by_itself_at_its_time(channel: Channel, start: Start) -> None:
    """Nobody trades: the tick of the matcher brings the time."""
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, SetInstrument(1, 1, 0, 1000, 100, 1), ask(1100, 10), bid(1100, 4))
    worker = start()
    step_until(worker, lambda: position(channel, petr) == b"4:1")
    assert order(channel, petr, 3).state is OrderState.FILLED


def test_the_late_commit_of_a_replaced_matcher_is_fenced_and_harms_nothing(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    paused = start("m1")
    again = start("m1")  # Takes the leases over: the same instance, a new incarnation.
    append(channel, petr, ask(1000, 10))
    with pytest.raises(Fenced):
        step_until(paused, lambda: False)
    step_until(again, lambda: position(channel, petr) == b"1:0")
    assert channel.execute("XLEN", keys.events(petr.partition)) == 1


def test_batches_are_chained(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    worker = start(pace_ms=0)
    for number in range(1, 4):
        append(channel, petr, ask(1000, number))
        step_until(worker, partial(stands_at, channel, petr, b"%d:0" % number))
    previous = GENESIS_HASH
    for _, fields in channel.execute("XRANGE", keys.events(petr.partition), "-", "+"):
        assert fields[1].decode() == chain_hash(previous, fields[3])
        previous = fields[1].decode()
    assert channel.execute("HGET", keys.batch(petr.partition), "hash").decode() == previous


def test_a_poison_entry_is_dead_lettered_and_the_next_goes_on(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    worker = start()
    append(channel, petr, ask(1000, 10), b"\xc1poison", b"\x92\x63\x01", bid(1000, 10))
    step_until(worker, lambda: position(channel, petr) == b"4:1")
    letters = channel.execute("XRANGE", keys.dead(petr.partition), "-", "+")
    assert [fields[3] for _, fields in letters] == [b"2", b"3"]
    assert letters[0][1][7] == b"\xc1poison"


def test_a_symbol_that_is_new_to_the_matcher_is_looked_up_while_commits_are_on_their_way(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    worker = start()
    vale = list_symbol(channel, "VALE3")
    assert petr.partition < vale.partition, "so that the one that is known comes first"
    append(channel, petr, *[ask(1000, 1)] * 2 * SEND_AT)
    append(channel, vale, ask(1000, 1))
    step_until(worker, partial(stands_at, channel, vale, b"1:0"))
    step_until(worker, partial(stands_at, channel, petr, b"%d:0" % (2 * SEND_AT)))


def test_a_gap_in_the_log_stops_the_matcher(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    worker = start()
    append(channel, petr, *[ask(1000, 1)] * 70)  # More than a bell carries.
    channel.execute("XDEL", keys.orders(petr.partition, "PETR4"), "2-0")
    with pytest.raises(HistoryMismatch, match=r"PETR4 \(partition 0\) jumps from 1 to 3"):
        step_until(worker, lambda: False)


def test_what_a_bell_carries_is_not_read_from_the_log(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    worker = start()
    append(channel, petr, ask(1000, 1), ask(1000, 1))
    channel.execute("DEL", keys.orders(petr.partition, "PETR4"))
    step_until(worker, lambda: position(channel, petr) == b"2:0")


def test_what_a_bell_carries_too_early_or_too_late_is_read_from_the_log(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    worker = start()
    append(channel, petr, ask(1000, 1))
    step_until(worker, lambda: position(channel, petr) == b"1:0")
    log, bell, order = keys.orders(petr.partition, "PETR4"), keys.bell(petr.partition), ask(1000, 1)
    for sequence in (2, 3):
        channel.execute("XADD", log, f"{sequence}-0", "t", 1, "c", codec.encode(order))
    # What nobody rings today: a bell that has passed one over, and one that comes again.
    for number, entry in ((2, "PETR4 3-0"), (3, "PETR4 2-0")):
        carried = ("t", 1, entry, codec.encode(order))
        channel.execute("XADD", bell, f"{number}-0", "s", "PETR4", *carried)
        step_until(worker, lambda: position(channel, petr) == b"3:0")
    channel.execute("HSET", keys.heads(petr.partition), "@bell", 3, "PETR4", 3)
    step_until(worker, lambda: told_bell(channel, petr) == 3)
    assert len(channel.execute("XRANGE", keys.events(petr.partition), "-", "+")) == 2


def test_bells_that_were_trimmed_unheard_are_made_up_for(channel: Channel, start: Start) -> None:
    petr, vale = list_symbol(channel, "PETR4", 1), list_symbol(channel, "VALE3", 1)
    worker = start(partitions=1)
    append(channel, petr, ask(1000, 1))
    append(channel, vale, ask(1000, 1))
    channel.execute("XTRIM", keys.bell(0), "MAXLEN", "=", 1)
    step_until(worker, lambda: position(channel, petr) == b"1:0" == position(channel, vale))


def told_bell(channel: Channel, instrument: Instrument) -> int:
    return int(channel.execute("HGET", keys.batch(instrument.partition), "bell") or 0)


def test_the_bell_is_told_when_everything_up_to_it_is_applied(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, *[ask(1000, 1)] * 25)
    append(channel, petr, ask(1000, 1))
    worker = start(batch_max=10)
    step_until(worker, lambda: position(channel, petr) == b"20:0")
    assert told_bell(channel, petr) == 0
    step_until(worker, lambda: position(channel, petr) == b"26:0")
    assert told_bell(channel, petr) == 2


def test_a_bell_that_brought_nothing_new_is_told_too(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, ask(1000, 1))
    worker = start(pace_ms=0)
    step_until(worker, lambda: told_bell(channel, petr) == 1)
    # What an append would leave whose entry was read with the bell before.
    channel.execute("HSET", keys.heads(petr.partition), "@bell", 2)
    channel.execute("XADD", keys.bell(petr.partition), "2-0", "s", "PETR4")
    step_until(worker, lambda: told_bell(channel, petr) == 2)
    assert channel.execute("XLEN", keys.events(petr.partition)) == 1
    worker.close()
    channel.execute("HDEL", keys.batch(petr.partition), "bell")  # As a version before it leaves it.
    step_until(start(), lambda: told_bell(channel, petr) == 2)


def test_a_backlog_longer_than_a_batch_is_worked_off(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, *[ask(1000, 1)] * 25)
    worker = start(batch_max=10)
    step_until(worker, lambda: position(channel, petr) == b"25:0")


def test_an_order_expires_by_a_tick_when_nothing_else_comes(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    worker = start()
    seconds, _ = channel.execute("TIME")
    append(channel, petr, ask(1000, 10, until=int(seconds) * 1000 + 1100))
    step_until(worker, lambda: position(channel, petr) == b"1:0")
    step_until(worker, lambda: order(channel, petr, 1).state is OrderState.EXPIRED)
    entries = channel.execute("XRANGE", keys.orders(petr.partition, "PETR4"), "2-0", "+")
    assert [fields[3] for _, fields in entries] == [codec.encode(Tick())]
    stored = channel.execute("GET", keys.book(petr.partition, "PETR4"))
    assert books.parse(stored) == Book(2, [], [])


def test_expiries_are_planned_anew_after_a_restart(channel: Channel, start: Start) -> None:
    petr = list_symbol(channel, "PETR4")
    seconds, _ = channel.execute("TIME")
    append(channel, petr, ask(1000, 10, until=int(seconds) * 1000 + 1100))
    killed = start()
    step_until(killed, lambda: position(channel, petr) == b"1:0")
    again = start()
    step_until(again, lambda: order(channel, petr, 1).state is OrderState.EXPIRED)


def test_the_first_takes_all_and_a_second_shares(channel: Channel, start: Start) -> None:
    first = start("m1")
    assert set(first.partitions) == set(range(16))
    second = start("m2")

    def step_both() -> bool:
        first.step()
        second.step()
        return len(first.partitions) == len(second.partitions) == 8

    eventually(step_both)
    assert set(first.partitions) | set(second.partitions) == set(range(16))
    second.close()

    def takes_back() -> bool:
        first.step()
        return len(first.partitions) == 16

    eventually(takes_back)


def test_the_partitions_of_a_dead_matcher_are_taken_over_in_under_five_seconds(
    channel: Channel, start: Start
) -> None:
    petr = list_symbol(channel, "PETR4")
    start("dead")
    heir = start("heir")
    append(channel, petr, ask(1000, 1))

    def trades() -> bool:
        heir.step()
        return position(channel, petr) == b"1:0"

    eventually(trades, 5)
    assert leases.TTL_MS + leases.TEND_SECONDS * 1000 < 5000


def test_a_server_that_could_lose_orders_is_refused(
    channel: Channel, start: Start, redis_url: str
) -> None:
    channel.execute("CONFIG", "SET", "appendfsync", "everysec")
    try:
        with pytest.raises(ServerRefused, match="appendfsync always"):
            start()
        start(unsafe_redis=True)
    finally:
        channel.execute("CONFIG", "SET", "appendfsync", "always")


def test_the_price_rule_is_fixed_at_the_founding(channel: Channel, start: Start) -> None:
    channel.execute("FLUSHALL")  # So that the first matcher founds the exchange.
    start("m1", execution_price="seller").close()
    petr = list_symbol(channel, "PETR4")
    worker = start("m1", execution_price="maker")
    append(channel, petr, bid(1050, 1), ask(1000, 1))
    step_until(worker, lambda: position(channel, petr) == b"2:1")
    assert channel.execute("LRANGE", keys.prices(petr.partition, "PETR4"), 0, -1) == [b"1000"]
