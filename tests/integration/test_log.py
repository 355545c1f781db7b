"""The append Function: dense sequences, a time that never goes back, whole or not at all."""

import pytest

from protocol import codec, keys
from protocol.commands import Tick
from runtime.connections import Channel, OutOfMemoryError
from runtime.log import Entry, Limits, append_call
from tests.builders import ask, bid
from tests.integration.feeding import append, list_symbol


def test_sequences_are_dense_and_entries_carry_time_and_command(channel: Channel) -> None:
    petr = list_symbol(channel, "PETR4")
    time_ms, *sequences = append(channel, petr, bid(10, 1), ask(11, 2))
    assert sequences == [1, 2]
    assert append(channel, petr, Tick())[1:] == [3]
    entries = channel.execute("XRANGE", keys.orders(petr.partition, "PETR4"), "-", "+")
    assert [entry_id for entry_id, _ in entries] == [b"1-0", b"2-0", b"3-0"]
    assert entries[0][1] == [b"t", b"%d" % time_ms, b"c", codec.encode(bid(10, 1))]


def test_one_call_takes_commands_of_several_symbols_in_their_order(channel: Channel) -> None:
    first, second = list_symbol(channel, "AAA", 1), list_symbol(channel, "BBB", 1)
    tick = codec.encode(Tick())
    entries = [Entry("AAA", tick), Entry("BBB", tick), Entry("AAA", tick)]
    reply = channel.execute(*append_call(0, entries, Limits()))
    assert reply[1:] == [1, 1, 2]
    assert (first.partition, second.partition) == (0, 0)
    bells = channel.execute("XRANGE", keys.bell(0), "-", "+")
    assert bells == [[b"1-0", [b"s", b"AAA BBB"]]]


def test_time_does_not_go_back_when_the_clock_does(channel: Channel) -> None:
    petr = list_symbol(channel, "PETR4")
    future_ms = append(channel, petr, Tick())[0] + 3_600_000
    channel.execute("HSET", keys.heads(petr.partition), "@time", future_ms)
    assert append(channel, petr, Tick())[0] == future_ms


def test_an_append_is_refused_whole_when_memory_is_full(channel: Channel) -> None:
    petr = list_symbol(channel, "PETR4")
    channel.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError):
            append(channel, petr, Tick())
    finally:
        channel.execute("CONFIG", "SET", "maxmemory", 0)
    assert append(channel, petr, Tick())[1:] == [1]


def test_symbols_are_listed_once_each_on_the_emptiest_partition(channel: Channel) -> None:
    listed = [list_symbol(channel, f"S{n}", 4) for n in range(8)]
    assert [i.partition for i in listed] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [i.number for i in listed] == list(range(1, 9))
    assert list_symbol(channel, "S3", 4) == listed[3]
    assert channel.execute("XLEN", keys.REGISTRY) == 8
