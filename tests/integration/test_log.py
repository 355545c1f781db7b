"""The append Function: dense sequences, a time that never goes back, whole or not at all."""

import pytest

from protocol import codec, keys
from protocol.commands import Tick
from runtime.process.errors import HistoryChanged
from runtime.redis.channel import Channel, OutOfMemoryError
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace, Urgency, append_to
from runtime.redis.functions.append import append as append_call
from tests.support.builders import ask, bid
from tests.support.feeding import append, history_of, list_symbol, send


def test_sequences_are_dense_and_entries_carry_time_and_command(channel: Channel) -> None:
    petr = list_symbol(channel, "PETR4")
    first, second = append(channel, petr, bid(10, 1), ask(11, 2))
    assert (first.sequence, second.sequence) == (1, 2)
    assert append(channel, petr, Tick())[0].sequence == 3
    entries = channel.execute("XRANGE", keys.orders(petr.partition, "PETR4"), "-", "+")
    assert [entry_id for entry_id, _ in entries] == [b"1-0", b"2-0", b"3-0"]
    assert entries[0][1] == [b"t", b"%d" % first.time_ms, b"c", codec.encode(bid(10, 1))]


def test_one_call_takes_commands_of_several_symbols_in_their_order(channel: Channel) -> None:
    first, second = list_symbol(channel, "AAA", 1), list_symbol(channel, "BBB", 1)
    tick = codec.encode(Tick())
    entries = [AppendRequest("AAA", tick), AppendRequest("BBB", tick), AppendRequest("AAA", tick)]
    places = send(channel, 0, *entries)
    assert [place.sequence for place in places if place] == [1, 1, 2]
    assert (first.partition, second.partition) == (0, 0)
    ((bell, fields),) = channel.execute("XRANGE", keys.bell(0), "-", "+")
    stamp = b"%d" % places[0].time_ms if places[0] else b""
    assert (bell, fields[:4]) == (b"1-0", [b"s", b"AAA BBB", b"t", stamp])
    assert fields[4:] == [b"AAA 1-0", tick, b"BBB 1-0", tick, b"AAA 2-0", tick]


def test_a_bell_carries_no_commands_when_many_come_or_wait(channel: Channel) -> None:
    petr = list_symbol(channel, "PETR4")
    append(channel, petr, *[Tick()] * 65)
    for _ in range(4):
        append(channel, petr, *[Tick()] * 64)
    bells = channel.execute("XRANGE", keys.bell(petr.partition), "-", "+")
    carried = [len(fields) // 2 - 2 for _, fields in bells]
    assert carried == [-1, 64, 64, 64, -1]  # 257 are waiting before the last one.


def test_one_call_serves_partitions_of_two_histories(channel: Channel) -> None:
    petr, vale = list_symbol(channel, "PETR4"), list_symbol(channel, "VALE3")
    tick = codec.encode(Tick())
    history_id = history_of(channel)
    channel.execute("HSET", keys.batch(petr.partition), "history", "another")
    requests = {i.partition: [AppendRequest(i.symbol, tick)] for i in (petr, vale)}
    refused, taken = channel.call(append_call(history_id, requests, Limits()))
    assert refused is None
    assert taken is not None
    assert taken[0] is not None
    assert taken[0].sequence == 1
    assert not channel.execute("EXISTS", keys.orders(petr.partition, "PETR4"))


def test_time_does_not_go_back_when_the_clock_does(channel: Channel) -> None:
    petr = list_symbol(channel, "PETR4")
    future_ms = append(channel, petr, Tick())[0].time_ms + 3_600_000
    channel.execute("HSET", keys.heads(petr.partition), "@time", future_ms)
    assert append(channel, petr, Tick())[0].time_ms == future_ms


def test_an_append_is_refused_whole_when_memory_is_full(channel: Channel) -> None:
    petr = list_symbol(channel, "PETR4")
    channel.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError):
            append(channel, petr, Tick())
    finally:
        channel.execute("CONFIG", "SET", "maxmemory", 0)
    assert append(channel, petr, Tick())[0].sequence == 1


def test_symbols_are_listed_once_each_on_the_emptiest_partition(channel: Channel) -> None:
    listed = [list_symbol(channel, f"S{n}", 4) for n in range(8)]
    assert [i.partition for i in listed] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [i.number for i in listed] == list(range(1, 9))
    assert list_symbol(channel, "S3", 4) == listed[3]
    assert channel.execute("XLEN", keys.REGISTRY) == 8


def test_orders_are_refused_before_cancels_and_ticks_never(channel: Channel) -> None:
    list_symbol(channel, "PETR4", 1)
    limits = Limits(backlog=2)
    order = AppendRequest("PETR4", codec.encode(bid(10, 1)))
    cancel, tick = (order._replace(urgency=u) for u in (Urgency.CANCEL, Urgency.TICK))
    answers = send(channel, 0, *[order] * 3, *[cancel] * 3, tick, limits=limits)
    taken = [place.sequence if place else None for place in answers]
    assert taken == [1, 2, None, 3, 4, None, 5]
    assert channel.execute("XLEN", keys.orders(0, "PETR4")) == 5
    assert channel.execute("HGET", keys.heads(0), "@count") == b"5"
    # What a matcher has applied makes room.
    channel.execute("HSET", keys.batch(0), "applied", 4)
    assert [bool(p) for p in send(channel, 0, order, order, limits=limits)] == [True, False]


def test_batches_that_nobody_stores_refuse_orders(channel: Channel) -> None:
    list_symbol(channel, "PETR4", 1)
    limits = Limits(unstored=2)
    for number in range(1, 3):
        channel.execute("XADD", keys.events(0), f"{number}-0", "b", "")
    order = AppendRequest("PETR4", codec.encode(bid(10, 1)))
    answers = send(channel, 0, order, order._replace(urgency=Urgency.CANCEL), limits=limits)
    assert [bool(place) for place in answers] == [False, True]


def test_a_refusal_leaves_no_trace(channel: Channel) -> None:
    list_symbol(channel, "PETR4", 1)
    channel.execute("XADD", keys.events(0), "1-0", "b", "")
    before = channel.execute("DBSIZE")
    entry = AppendRequest("PETR4", b"c", client="1:b:x", digest="d")
    assert send(channel, 0, entry, limits=Limits(unstored=1)) == [None]
    assert channel.execute("DBSIZE") == before


def test_a_client_field_is_taken_once_also_within_one_call(channel: Channel) -> None:
    list_symbol(channel, "PETR4", 1)
    entry = AppendRequest("PETR4", b"c", client="1:b:x", digest="d1")
    first, again = send(channel, 0, entry, entry)
    assert first is not None
    assert again == LogPlace(first.time_ms, 1, True, "d1")
    (other,) = send(channel, 0, entry._replace(digest="d2"))
    assert other == again
    assert channel.execute("XLEN", keys.orders(0, "PETR4")) == 1


def test_records_are_kept_for_at_least_their_number_and_bounded(channel: Channel) -> None:
    list_symbol(channel, "PETR4", 1)
    limits = Limits(records=10)
    entries = [AppendRequest("PETR4", b"c", client=f"1:b:{n}", digest="d") for n in range(35)]
    for entry in entries:
        send(channel, 0, entry, limits=limits)
    kept = [channel.execute("HLEN", key) - 1 for key in (keys.clients(0), keys.clients_before(0))]
    assert 10 <= sum(kept) <= 20
    latest = send(channel, 0, *entries[-10:], limits=limits)
    assert all(place is not None and place.repeated for place in latest)
    (forgotten,) = send(channel, 0, entries[0], limits=limits)
    assert forgotten is not None
    assert not forgotten.repeated
    assert channel.execute("PTTL", keys.clients_before(0)) > 0


def test_records_are_turned_by_age(channel: Channel) -> None:
    list_symbol(channel, "PETR4", 1)
    first, second, third = (
        AppendRequest("PETR4", b"c", client=f"1:b:{n}", digest="d") for n in range(3)
    )
    send(channel, 0, first)
    channel.execute("HSET", keys.clients(0), "@since", 1)  # Long ago.
    send(channel, 0, second)
    assert channel.execute("HEXISTS", keys.clients_before(0), "1:b:0") == 1
    channel.execute("HSET", keys.clients(0), "@since", 1)
    send(channel, 0, third)
    assert channel.execute("HEXISTS", keys.clients_before(0), "1:b:0") == 0


def test_an_append_that_names_another_history_is_refused_and_leaves_no_trace(
    channel: Channel,
) -> None:
    list_symbol(channel, "PETR4", 1)
    before = channel.execute("DBSIZE")
    call = append_to("another", 0, [AppendRequest("PETR4", b"c")], Limits())
    with pytest.raises(HistoryChanged):
        channel.call(call)
    assert channel.execute("DBSIZE") == before
