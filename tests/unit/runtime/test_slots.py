"""A cluster as a client sees it: its URL, keys, slots, and what is sent again."""

import pytest
from redis.crc import key_slot
from redis.exceptions import AskError, MovedError, ResponseError, TryAgainError

from exchange.local.forming import planned_slots
from protocol import keys
from runtime.redis.channel import Channel
from runtime.redis.cluster import ClusterChannel
from runtime.redis.functions.current import current
from runtime.redis.functions.renew import renew
from runtime.redis.many import ManySlots, read_streams
from runtime.redis.redirects import ask, redirected, refused
from runtime.redis.slots import SlotMap, is_cluster, key_of, slot_of

URL = "redis+cluster://:secret@one:1,two:2/0?socket_keepalive=yes"
HOOK = "3f0c"


def known(url: str = URL) -> SlotMap:
    slots = SlotMap(url)
    slots.learn([[0, 8191, [b"one", 1, b"id"]], [8192, 16383, [b"", 2, b"id"]]], "two:9")
    return slots


def test_the_url_says_whether_there_are_many() -> None:
    assert is_cluster(URL)
    assert not is_cluster("redis://one:1/0")
    assert type(Channel(URL, "t")) is ClusterChannel
    assert type(Channel("redis://one:1/0", "t")) is Channel


def test_a_node_gets_all_of_the_url_but_the_others() -> None:
    slots = known()
    assert slots.seeds == ("one:1", "two:2")
    assert slots.url("one:1") == "redis://:secret@one:1/0?socket_keepalive=yes"
    assert SlotMap("rediss+cluster://one:1").url("one:1") == "rediss://one:1"


def test_a_node_that_does_not_know_its_host_is_where_it_was_asked() -> None:
    slots = known()
    assert [slots.owner(slot) for slot in (0, 8191, 8192, 16383)] == [
        *("one:1", "one:1", "two:2", "two:2")
    ]
    assert slots.nodes == ["one:1", "two:2"]


@pytest.mark.parametrize(
    "key",
    [keys.heads(0), keys.orders(99, "PETR4"), keys.REGISTRY, keys.hook_queue(HOOK)],
)
def test_the_slot_is_that_of_redis(key: str) -> None:
    assert slot_of(key) == slot_of(key) == key_slot(key.encode())


def test_the_key_of_a_command_says_where_it_goes() -> None:
    assert key_of(("HGET", keys.batch(3), "number")) == keys.batch(3)
    assert key_of(current("h", [3]).command) == keys.batch(3)
    assert key_of(read_streams({keys.events(3): 1}, 5, 10)) == keys.events(3)
    assert key_of(("UNLINK", b"{p03}:bell")) == "{p03}:bell"
    for command in (("PING",), ("INFO", "memory"), ("TIME",)):
        assert key_of(command) == keys.REGISTRY


def test_a_transaction_goes_where_its_keys_are() -> None:
    first, _, last = ask([("MULTI",), ("GET", keys.stored(3)), ("EXEC",)])
    slot = slot_of(keys.stored(3))
    assert [part.slot for each in (first, last) for part in each.parts] == [slot, slot]


def test_a_call_of_many_partitions_is_cut_and_reads_the_same() -> None:
    call = renew("h", [1, 2, 3], "matcher", "m/1", 9)
    assert isinstance(call.command, ManySlots)
    (asked,) = ask([call.command])
    assert [part.command[2:5] for part in asked.parts] == [
        (2, keys.batch(p), keys.lease(p, "matcher")) for p in (1, 2, 3)
    ]
    for part, reply in zip(asked.parts, ([1], TryAgainError("x"), [0]), strict=True):
        part.reply = reply
    assert call.read(asked.reply) == {1}


def test_only_what_was_not_executed_is_sent_again() -> None:
    parts = [ask([("INCR", keys.stored(p))])[0].parts[0] for p in range(6)]
    answers = (1, MovedError("7 one:1"), AskError("7 one:1"), TryAgainError("x"))
    for part, reply in zip(
        parts, (*answers, ResponseError("ERR"), ConnectionError("gone")), strict=True
    ):
        part.reply = reply
    assert refused(parts) == parts[1:4]


def test_a_check_goes_again_with_what_it_vouches_for() -> None:
    read, check, other = (
        asked.parts[0]
        for asked in ask(
            [("GET", keys.stored(3)), current("h", [3]).command, current("h", [4]).command]
        )
    )
    read.reply, check.reply, other.reply = TryAgainError("x"), 1, 1
    assert refused([read, check, other]) == [read, check]
    assert refused([check, read]) == [read]


def test_a_slot_that_has_moved_is_remembered_and_one_that_is_asked_for_is_not() -> None:
    slots = known()
    moved, asking = (ask([("GET", keys.stored(p))])[0].parts[0] for p in (0, 1))
    before = slots.owner(asking.slot)
    moved.reply = MovedError(f"{moved.slot} three:3")
    asking.reply = AskError(f"{asking.slot} three:3")
    assert redirected([moved, asking], slots) == {"three:3": [moved], "+three:3": [asking]}
    assert (slots.owner(moved.slot), slots.owner(asking.slot)) == ("three:3", before)


@pytest.mark.parametrize("nodes", [2, 3, 4])
def test_slots_and_partitions_are_shared_out_equally(nodes: int) -> None:
    plan = planned_slots(nodes)
    for shared in (plan, [plan[slot_of(keys.heads(p))] for p in range(16)]):
        counts = [shared.count(node) for node in range(nodes)]
        assert sum(counts) == len(shared)
        assert max(counts) - min(counts) <= max(1, len(shared) // 100)
    assert plan[slot_of(keys.REGISTRY)] == 0
