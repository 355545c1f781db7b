"""Leases, heartbeats and watermarks: one call for many partitions, and what each refuses."""

import time

import pytest

from protocol import keys
from protocol.registry import BrokerRegistered, RegistryEntry
from runtime.process.errors import HistoryChanged
from runtime.redis.channel import Channel
from runtime.redis.events import EventReader
from runtime.redis.functions.mark_notified import mark_notified
from runtime.redis.functions.mark_stored import StoredMark, mark_stored
from runtime.redis.functions.register_instrument import register_instrument
from runtime.redis.functions.trim import StoredStreams, trim
from runtime.redis.leases import MOVING_SECONDS, TTL_MS, Leases
from runtime.redis.members import Heart, members
from runtime.redis.registry import registry_entries
from tests.support.builders import ALICE
from tests.support.feeding import history_of, register

PARTITIONS = 4


def leases(channel: Channel, instance: str) -> Leases:
    return Leases(channel, "persister", instance, history_of(channel), range(PARTITIONS))


def settle(*workers: Leases) -> None:
    """Each tells what it owns and wants, and gives up what others have asked for."""
    for _ in range(4):
        for worker in workers:
            worker.tend()
            worker.release(worker.surplus())


def test_two_workers_share_and_the_one_that_stays_takes_all(channel: Channel) -> None:
    first, second = leases(channel, "a"), leases(channel, "b")
    assert first.tend() == ({0, 1, 2, 3}, set())
    assert second.tend() == (set(), set())
    first.tend()
    second.tend()
    first.tend()
    assert len(first.held) == 4  # Nothing is given up before it is released.
    settle(first, second)
    assert len(first.held) == len(second.held) == 2
    left = set(second.held)
    second.leave()
    assert first.tend() == (left, set())
    assert 0 < channel.execute("PTTL", keys.lease(0, "persister")) <= TTL_MS


def test_a_worker_that_starts_again_has_its_partitions_and_their_loads_at_once(
    channel: Channel,
) -> None:
    first, second = leases(channel, "a"), leases(channel, "b")
    settle(first, second)
    had = set(first.held)
    first.tend(dict.fromkeys(first.held, 700.0))
    second.tend(dict.fromkeys(second.held, 600.0))
    again = leases(channel, "a")
    assert again.tend() == (had, set())
    assert [again.known_load(p) for p in had] == [700.0, 700.0]
    (told,) = [m.loads for m in members(channel, "persister") if m.instance == "a"]
    assert told == dict.fromkeys(had, 700.0)
    second.tend(dict.fromkeys(second.held, 600.0))
    assert second.surplus() == set()


def test_a_worker_takes_no_more_than_its_share_of_what_is_free(channel: Channel) -> None:
    Heart(channel, "persister", "b", None).beat()
    first = leases(channel, "a")
    gained, _ = first.tend()
    assert len(gained) == 2
    assert channel.execute("EXISTS", *[keys.lease(p, "persister") for p in range(4)]) == 2


def test_only_the_leases_that_are_still_ours_are_renewed(channel: Channel) -> None:
    worker = leases(channel, "a")
    worker.tend()
    channel.execute("SET", keys.lease(1, "persister"), "other/1")
    channel.execute("PEXPIRE", keys.lease(2, "persister"), 500)
    gained, lost = worker.tend()
    assert (gained, lost, worker.held) == (set(), {1}, {0, 2, 3})
    assert channel.execute("GET", keys.lease(1, "persister")) == b"other/1"
    assert channel.execute("PTTL", keys.lease(1, "persister")) == -1
    assert channel.execute("PTTL", keys.lease(2, "persister")) > 500


def test_one_partition_in_another_history_ends_the_renewal_of_all(channel: Channel) -> None:
    worker = leases(channel, "a")
    worker.tend()
    channel.execute("HSET", keys.batch(3), "history", "a new one")
    channel.execute("PEXPIRE", keys.lease(0, "persister"), 500)
    with pytest.raises(HistoryChanged):
        worker.tend()
    assert channel.execute("PTTL", keys.lease(0, "persister")) <= 500


def test_a_heartbeat_is_stamped_by_the_clock_of_redis(channel: Channel) -> None:
    heart = Heart(channel, "persister", "a", 8101)
    for _ in range(2):
        (alive,) = heart.beat()
        seconds, microseconds = map(int, channel.execute("TIME"))
        now_ms = seconds * 1000 + microseconds // 1000
        assert now_ms - 1000 < alive.seen_ms <= now_ms + 5
        assert (alive.instance, alive.health_port) == ("a", 8101)
    heart.stop()
    assert members(channel, "persister") == []


def test_a_notified_mark_never_moves_back(channel: Channel) -> None:
    history = history_of(channel)
    assert channel.call(mark_notified(history, {0: 5, 1: 7})) == 2
    assert channel.call(mark_notified(history, {0: 10, 1: 6})) == 1
    assert channel.execute("MGET", keys.notified(0), keys.notified(1)) == [b"10", b"7"]


def test_one_partition_in_another_history_refuses_the_marks_of_all(channel: Channel) -> None:
    history = history_of(channel)
    channel.execute("HSET", keys.batch(1), "history", "a new one")
    with pytest.raises(HistoryChanged):
        channel.call(mark_notified(history, {0: 5, 1: 7}))
    with pytest.raises(HistoryChanged):
        channel.call(mark_stored(history, [StoredMark(0, 5, []), StoredMark(1, 7, [])], 60))
    with pytest.raises(HistoryChanged):
        channel.call(trim(history, [StoredStreams(0, 5, {}), StoredStreams(1, 7, {})]))
    marks = [key(p) for key in (keys.notified, keys.stored) for p in (0, 1)]
    assert channel.execute("EXISTS", *marks) == 0


def test_each_stream_is_trimmed_up_to_its_own_place(channel: Channel) -> None:
    history = history_of(channel)
    logs = {"PETR4": keys.orders(0, "PETR4"), "VALE3": keys.orders(1, "VALE3")}
    for stream in (keys.events(0), keys.events(1), *logs.values()):
        for number in range(1, 11):
            channel.execute("XADD", stream, f"{number}-0", "x", "y")
    channel.call(mark_notified(history, {0: 4, 1: 9}))
    stored = [StoredStreams(0, 6, {"PETR4": 3}), StoredStreams(1, 8, {"VALE3": 7})]
    assert channel.call(trim(history, stored)) == [4, 8]
    lengths = [
        channel.execute("XLEN", stream)
        for stream in (keys.events(0), keys.events(1), *logs.values())
    ]
    assert lengths == [6, 2, 7, 3]


def test_the_registry_is_read_to_its_end_however_few_batches_are_wanted(channel: Channel) -> None:
    for number in range(7):
        register(channel, RegistryEntry([BrokerRegistered(ALICE, str(number), 1)]))
    reader = EventReader(channel, leases(channel, "a"), batches_max=3)
    for raw in (reader.read({}, 2, None).registry, reader.skim([], 2, 1).registry):
        assert [sequence for sequence, _ in registry_entries(raw)] == [3, 4, 5, 6, 7]
    assert reader.read({0: 0}, 7, None).registry == []


def test_who_is_busy_gives_up_what_another_one_has_asked_for(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = leases(channel, "a"), leases(channel, "b")
    settle(first, second)
    idle, busy = dict.fromkeys(second.held, 0.0), dict.fromkeys(first.held, 500.0)
    monkeypatch.setattr(first, "_giving_until", 0.0)
    first.tend(busy)
    second.tend(idle)  # Now it knows that it is to get one, and tells so the next time.
    assert second.seconds_to_tend <= MOVING_SECONDS
    monkeypatch.setattr(first, "_calm_until", 0.0)
    first.tend(busy)
    assert first.surplus() == set()
    second.tend(idle)
    monkeypatch.setattr(first, "_calm_until", time.monotonic() + 1)
    first.tend(busy)
    assert first.surplus() == set()  # It has given partitions up not long ago.
    monkeypatch.setattr(first, "_calm_until", 0.0)
    surplus = first.surplus()
    assert len(surplus) == 1
    first.release(surplus)
    assert second.tend(idle) == (surplus, set())
    assert second.known_load(*surplus) == 500.0


def test_under_load_a_new_worker_gets_one_partition_after_the_other(channel: Channel) -> None:
    first, second = leases(channel, "a"), leases(channel, "b")
    loads = {0: 400.0, 1: 300.0, 2: 200.0, 3: 100.0}
    first.tend()
    first.tend(loads)
    for _ in range(2):  # It sees what it is to get, and tells it.
        second.tend()
    first.tend(loads)
    (given,) = first.surplus()
    first.release({given})
    first.tend({p: loads[p] for p in first.held})
    assert first.surplus() == set()  # The other one has not told that it has it.
    assert second.tend() == ({given}, set())
    assert first.surplus() == set()
    owned = {given}
    while len(second.held) < 2:
        second.tend({p: loads[p] for p in second.held})
        first.tend({p: loads[p] for p in first.held})
        surplus = first.surplus()
        assert len(surplus) <= 1
        first.release(surplus)
        owned |= surplus
    assert second.held == owned
    assert first.held == {0, 1, 2, 3} - owned


def test_beside_a_worker_that_does_not_tell_its_loads_the_number_counts(channel: Channel) -> None:
    worker = leases(channel, "a")
    worker.tend()
    Heart(channel, "persister", "of an earlier version", None).beat()
    worker.tend(dict.fromkeys(worker.held, 0.0))
    assert len(worker.surplus()) == 2


def test_a_new_symbol_is_placed_where_it_is_quiet_and_there_where_few_are(
    channel: Channel,
) -> None:
    history, loads = history_of(channel), {0: 55.0, 1: 9.0, 3: 1000.0}
    placed = [
        channel.call(register_instrument(history, f"S{number}", 4, loads)).partition
        for number in range(4)
    ]
    assert placed[:2] == [1, 2]
    again = channel.call(register_instrument(history, "S0", 4))
    assert again.partition == 1
