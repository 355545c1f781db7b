"""Execution reports get dense numbers in PostgreSQL, and are told in Redis when it has them."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import create_engine

from exchange.audit.check import findings
from exchange.audit.rebuild import Kept, rebuild
from exchange.audit.replay import replay_all
from notifier.reading import ReportReader
from persister.worker import PersisterWorker
from protocol import codec, keys
from protocol.commands import AmendOrder
from protocol.endpoints import EndpointAdded
from protocol.numbering import NumberedReport, Numbers, decode_numbers, numbered_reports
from protocol.registry import Instrument, RegistryEntry
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.errors import Fenced
from runtime.redis.channel import Channel
from runtime.redis.functions.mark_stored import StoredMark, mark_stored
from runtime.redis.functions.untell import untell
from runtime.redis.genesis import read
from runtime.redis.leases import Leases
from runtime.redis.reports import LISTENER_SECONDS, listen_command
from tests.integration.test_persister import StoredExchange
from tests.support.builders import ALICE, BOB, ask, bid, cancel
from tests.support.eventually import eventually
from tests.support.feeding import append, history_of, list_symbol, register


@pytest.fixture
def stored(channel: Channel, redis_url: str, database_url: str) -> Iterator[StoredExchange]:
    stored = StoredExchange(channel, redis_url, database_url)
    yield stored
    for worker in stored.persisters:
        worker._store.close()


def on_stream(stored: StoredExchange, partition: int) -> dict[int, dict[str, Numbers]]:
    raw = stored.channel.execute("XRANGE", keys.reports(partition), "-", "+")
    return {int(name[:-2]): decode_numbers(fields[1]) for name, fields in raw}


def in_journal(stored: StoredExchange, broker_id: str) -> list[tuple[int, NumberedReport]]:
    """The partition and the report, for all reports of a broker."""
    found: list[tuple[int, NumberedReport]] = []
    for partition, payload, numbers in stored.rows("SELECT partition, batch, reports FROM journal"):
        batch = codec.decode_batch(payload)
        reports = numbered_reports(batch, decode_numbers(numbers), broker_id)
        found += [(partition, report) for report in reports]
    return sorted(found, key=lambda pair: pair[1].sequence)


def last_numbers(stored: StoredExchange) -> dict[str, int]:
    return dict(stored.rows("SELECT broker_id::text, last FROM broker_sequences"))


def in_another_partition(stored: StoredExchange) -> Instrument:
    listed = (list_symbol(stored.channel, f"VALE{number}") for number in range(3, 30))
    return next(one for one in listed if one.partition != stored.petr.partition)


def test_the_numbers_of_a_broker_are_dense_over_batches_and_partitions(
    stored: StoredExchange,
) -> None:
    worker = stored.persister()
    vale = in_another_partition(stored)
    append(stored.channel, vale, ask(10, 1), bid(10, 1))
    stored.trade(ask(1000, 10), bid(1000, 4))
    eventually(lambda: stored.committed(vale.partition) == 1)
    stored.store(worker)
    stored.trade(AmendOrder(1, 1010, None, None), cancel(1))
    stored.store(worker)
    assert last_numbers(stored) == {ALICE: 4, BOB: 6}
    for broker_id, count in ((ALICE, 4), (BOB, 6)):
        reports = in_journal(stored, broker_id)
        assert [report.sequence for _, report in reports] == [*range(1, count + 1)]
        assert {report.report.broker_id for _, report in reports} == {broker_id}
    of_petr = [r.report.type for p, r in in_journal(stored, BOB) if p == stored.petr.partition]
    types = ["order.accepted", "trade.executed", "order.amended", "order.canceled"]
    assert [kind.value for kind in of_petr] == types


def test_each_batch_with_reports_has_its_rows_and_its_entry(stored: StoredExchange) -> None:
    worker = stored.persister()
    partition = stored.petr.partition
    stored.trade(ask(1000, 10), bid(1000, 4))
    stored.trade(cancel(7))  # There is no such order.
    stored.trade(cancel(1))
    stored.store(worker)
    told = on_stream(stored, partition)
    assert told == {
        1: {BOB: Numbers(2, 2), ALICE: Numbers(2, 2)},
        3: {BOB: Numbers(3, 1)},
    }
    rows = stored.rows(
        "SELECT batch, broker_id::text, last_sequence, count FROM broker_events"
        " WHERE partition = (SELECT min(partition) FROM broker_events) ORDER BY 1, 2"
    )
    assert rows == [(1, ALICE, 2, 2), (1, BOB, 2, 2), (3, BOB, 3, 1)]
    kept = stored.rows("SELECT number, reports FROM journal ORDER BY number")
    assert {n: decode_numbers(r) for n, r in kept} == {2: {}, **told}


def killed_before_the_mark(stored: StoredExchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """A persister that stores what there is, and dies before it tells Redis."""
    worker = stored.persister()
    with monkeypatch.context() as patched:

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        patched.setattr(worker, "_mark", die)
        with pytest.raises(KeyboardInterrupt):
            stored.store(worker)


def test_what_a_kill_left_untold_is_told_by_the_next_persister(
    stored: StoredExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = stored.petr.partition
    stored.trade(ask(1000, 10))
    stored.store(stored.persister())
    stored.trade(bid(1000, 4))
    stored.trade(bid(1000, 4))
    killed_before_the_mark(stored, monkeypatch)
    assert list(on_stream(stored, partition)) == [1]
    again = stored.persister()
    eventually(lambda: _told_up_to(stored, again, 3))
    assert on_stream(stored, partition) == {
        1: {BOB: Numbers(1, 1)},
        2: {BOB: Numbers(2, 1), ALICE: Numbers(2, 2)},
        3: {BOB: Numbers(3, 1), ALICE: Numbers(4, 2)},
    }


def _told_up_to(stored: StoredExchange, worker: PersisterWorker, number: int) -> bool:
    worker.step()
    return number in on_stream(stored, stored.petr.partition)


def test_reports_are_told_once_whoever_marks_them_again(channel: Channel) -> None:
    history = read(channel).history_id
    numbers = [(number, codec.encode({ALICE: Numbers(number, 1)})) for number in (2, 4, 5)]
    for reports in (numbers[:2], numbers[:2], numbers):
        channel.call(mark_stored(history, [StoredMark(3, reports[-1][0], [], reports)], 60))
    entries = channel.execute("XRANGE", keys.reports(3), "-", "+")
    assert entries == [[b"%d-0" % n, [b"r", payload]] for n, payload in numbers]
    channel.execute("XTRIM", keys.reports(3), "MAXLEN", "=", 0)
    channel.call(mark_stored(history, [StoredMark(3, 5, [], numbers)], 60))
    assert channel.execute("XLEN", keys.reports(3)) == 0


def test_reports_leave_with_their_events(stored: StoredExchange) -> None:
    worker = stored.persister()
    partition = stored.petr.partition
    stored.trade(ask(1000, 10))
    stored.store(worker)
    stored.channel.execute("SET", keys.notified(partition), 1)

    def is_gone() -> bool:
        worker.step()
        lengths = [stored.channel.execute("XLEN", key(partition)) for key in STREAMS]
        assert lengths[0] == lengths[1]
        return lengths == [0, 0]

    assert list(on_stream(stored, partition)) == [1]
    eventually(is_gone)
    stored.trade(bid(1000, 10))
    stored.store(worker)
    assert list(on_stream(stored, partition)) == [2]


STREAMS = (keys.events, keys.reports)


def test_a_restore_keeps_the_numbers_and_tells_the_last_minutes_again(
    stored: StoredExchange,
) -> None:
    stored.trade(ask(1000, 10), bid(1000, 4))
    stored.store(stored.persister())
    told = on_stream(stored, stored.petr.partition)
    stored.matcher.abandon()
    stored.channel.execute("FLUSHALL")
    engine = create_engine(sqlalchemy_url(stored.database_url))
    rebuild(stored.channel, engine, Kept(1000, 1000))
    engine.dispose()
    assert on_stream(stored, stored.petr.partition) == told
    assert last_numbers(stored) == {ALICE: 2, BOB: 2}


def test_a_worker_reads_numbered_batches_and_how_far_it_came(stored: StoredExchange) -> None:
    partition = stored.petr.partition
    idle = (partition + 1) % 2
    cursors = {partition: 0, idle: 0}
    leases = Leases(stored.channel, "notifier", "n", history_of(stored.channel), cursors)
    reader, hasty = (ReportReader(stored.channel, leases, count) for count in (10, 1))
    assert reader.read(cursors, 0, None).batches == []
    stored.trade(ask(1000, 10))
    stored.trade(cancel(7))
    assert reader.read(cursors, 0, None).reached == cursors  # It is not stored yet.
    stored.store(stored.persister())
    news = reader.read(cursors, 0, None)
    (reported,) = news.batches
    assert (reported.number, reported.numbers) == (1, {BOB: Numbers(1, 1)})
    assert news.reached == {partition: 2, idle: 0}
    assert hasty.read(cursors, 0, None).reached[partition] == 1
    (told,) = reader.reports(news.batches, {BOB})
    assert [report.sequence for report in told.reports] == [1]
    stored.channel.execute("XTRIM", keys.events(partition), "MAXLEN", "=", 0)
    assert reader.reports(news.batches, {ALICE}) == []
    with pytest.raises(Fenced, match="batch 1 of partition"):
        reader.reports(news.batches, {BOB})


def paced(stored: StoredExchange) -> float:
    """After one batch, how many ms a new persister waits before it reads again."""
    worker = stored.persister(pace_ms=9000, listened_pace_ms=3000)
    stored.trade(ask(1000, 10))
    stored.store(worker)
    return worker._pace_ms(step_ms=1)


def test_the_persister_stores_more_often_while_somebody_listens(stored: StoredExchange) -> None:
    assert paced(stored) == 9000
    stored.channel.execute(*listen_command())
    assert 0 < stored.channel.execute("TTL", keys.LISTENERS) <= LISTENER_SECONDS
    stored.persisters[-1].close()
    assert paced(stored) == 3000


def test_steps_that_take_long_are_not_made_more_often(stored: StoredExchange) -> None:
    stored.channel.execute(*listen_command())
    assert paced(stored) == 3000
    worker = stored.persisters[-1]
    assert [worker._pace_ms(step_ms) for step_ms in (1400, 2000, 5000)] == [3000, 4000, 9000]


def test_the_persister_stores_more_often_while_an_endpoint_is_enabled(
    stored: StoredExchange,
) -> None:
    endpoint = EndpointAdded("endpoint", ALICE, "https://example.com", "whsec_x")
    register(stored.channel, RegistryEntry([endpoint]))
    assert paced(stored) == 3000


def problems(stored: StoredExchange) -> list[str]:
    """What `exchange check` and `exchange verify-journal` find."""
    engine = create_engine(sqlalchemy_url(stored.database_url))
    try:
        found = [f.problem for f in findings(stored.channel, engine.connect)]
        with engine.connect() as connection:
            found += [replayed.problem for replayed in replay_all(connection)]
        return [problem for problem in found if problem]
    finally:
        engine.dispose()


def traded(stored: StoredExchange) -> None:
    """Three stored batches of one partition: BOB gets 1 and 2, 3, and 4 of them."""
    stored.trade(ask(1000, 10), bid(1000, 4))
    stored.trade(cancel(1))
    stored.trade(ask(1000, 10))
    stored.store(stored.persister())
    assert problems(stored) == []


DAMAGES = [
    ("DELETE FROM broker_events WHERE last_sequence = 3", "have a gap before number 4"),
    ("DELETE FROM broker_events WHERE last_sequence = 4", "the last report of"),
    ("UPDATE broker_events SET batch = 7 WHERE last_sequence = 3", "are not those of its row"),
    ("UPDATE broker_sequences SET last = 9", "9 were numbered"),
    ("UPDATE journal SET reports = NULL WHERE number = 3", "batch 3 of the journal has no numbers"),
    (r"UPDATE journal SET reports = '\x80' WHERE number = 3", "reports that it does not have"),
    (r"UPDATE journal SET reports = '\x80' WHERE number = 3", "do not fit its events"),
    (r"UPDATE journal SET reports = '\x80' WHERE number = 3", "Redis tells other reports"),
]


@pytest.mark.parametrize(("damage", "problem"), DAMAGES)
def test_a_damage_to_the_numbers_is_found(
    stored: StoredExchange, damage: str, problem: str
) -> None:
    traded(stored)
    with psycopg.connect(stored.database_url) as connection:
        connection.execute(damage)
    assert any(problem in found for found in problems(stored)), problems(stored)


@pytest.mark.parametrize("last", [2, 3, 4])
def test_the_oldest_rows_of_a_broker_may_be_deleted(stored: StoredExchange, last: int) -> None:
    traded(stored)
    with psycopg.connect(stored.database_url) as connection:
        connection.execute(
            "DELETE FROM broker_events WHERE broker_id = %s AND last_sequence <= %s", [BOB, last]
        )
    assert problems(stored) == []


def test_batches_that_an_earlier_version_has_stored_have_no_numbers(
    stored: StoredExchange,
) -> None:
    stored.trade(ask(1000, 10), bid(1000, 4))
    worker = stored.persister()
    stored.store(worker)
    with psycopg.connect(stored.database_url) as connection:
        connection.execute("UPDATE journal SET reports = NULL")
        connection.execute("TRUNCATE broker_events, broker_sequences")
    stored.channel.execute("DEL", keys.reports(stored.petr.partition))
    worker.close()
    again = stored.persister()
    stored.trade(cancel(1))
    stored.store(again)
    assert problems(stored) == []
    assert on_stream(stored, stored.petr.partition) == {2: {BOB: Numbers(1, 1)}}


def test_reports_of_a_newer_copy_of_postgresql_are_forgotten(stored: StoredExchange) -> None:
    partition = stored.petr.partition
    stored.trade(ask(1000, 10))
    worker = stored.persister()
    stored.store(worker)
    with psycopg.connect(stored.database_url) as connection:
        tables = ("orders", "journal", "broker_events", "broker_sequences", "cursors")
        for table in tables:
            connection.execute(f"CREATE TABLE old_{table} AS TABLE {table}")
    stored.trade(bid(1000, 4))
    stored.store(worker)
    told = on_stream(stored, partition)
    worker.close()
    with psycopg.connect(stored.database_url) as connection:
        connection.execute(f"TRUNCATE trades, balances, holdings, candles, {', '.join(tables)}")
        for table in tables:
            connection.execute(f"INSERT INTO {table} SELECT * FROM old_{table}")
    again = stored.persister()
    assert list(on_stream(stored, partition)) == [1]
    eventually(lambda: _told_up_to(stored, again, 2))
    assert on_stream(stored, partition) == told
    assert problems(stored) == []


def test_only_the_owner_may_say_that_reports_are_forgotten(channel: Channel) -> None:
    history = read(channel).history_id
    channel.execute("SET", keys.lease(3, "persister"), "owner")
    channel.execute("XADD", keys.reports(3), "5-0", "r", "x")
    for token, number, forgotten in (("other", 4, 0), ("owner", 5, 0), ("owner", 4, 1)):
        assert channel.call(untell(history, 3, token, number)) == forgotten
        assert channel.execute("EXISTS", keys.reports(3)) == 1 - forgotten
