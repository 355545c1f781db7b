"""The commit Function: what each refusal is, and that it leaves no trace."""

from typing import Any

import pytest

from matcher.changes import Changes, told
from matcher.engine import Engine
from protocol import codec, keys
from protocol.batches import GENESIS_HASH, BatchEntry
from protocol.commands import Command
from protocol.commits import Commit
from protocol.decisions import Decided
from protocol.enums import OrderState
from runtime.process.errors import Fenced, HistoryChanged
from runtime.redis.channel import Channel, client
from runtime.redis.functions.commit import commit as commit_call
from tests.support.builders import ALICE, BOB, START_MS, SYMBOL, ask, bid, cancel
from tests.support.feeding import history_of

P = 3
TOKEN = "m/1"
BELL = 2


@pytest.fixture
def owned(channel: Channel) -> Channel:
    channel.execute("SET", keys.lease(P, "matcher"), TOKEN)
    return channel


def commit(
    channel: Channel,
    token: str = TOKEN,
    expected: int = 0,
    commit_id: str = "c1",
    history_id: str = "",
) -> str:
    """Commit a batch with a trade: ask 10 @ 1000, bid 4 @ 1050."""
    taken = batch(expected)
    channel.call(commit_call(history_id or history_of(channel), token, commit_id, [taken]))
    return taken.hash


def batch(expected: int = 0, partition: int = P, *more: Command) -> Commit:
    engine = Engine()
    market = engine.market(SYMBOL, 1)
    changes = Changes(partition, engine)
    for sequence, command in enumerate([ask(1000, 10), bid(1050, 4), *more], 1):
        events = engine.apply(market, sequence, START_MS, command)
        payload = codec.encode(command)
        changes.add(market, [BatchEntry(SYMBOL, 1, sequence, START_MS, payload, events)])
    return changes.take(expected, GENESIS_HASH, BELL)


def everything(channel: Channel) -> dict[bytes, Any]:
    return {key: channel.execute("DUMP", key) for key in sorted(channel.execute("KEYS", "*"))}


def test_a_commit_writes_all_that_readers_and_recovery_need(owned: Channel) -> None:
    new_hash = commit(owned)
    open_order = codec.decode_order(owned.execute("HGET", keys.open_orders(P), "1:1"))
    assert (open_order.open_quantity, open_order.state) == (6, OrderState.PARTIALLY_FILLED)
    closed = codec.decode_order(owned.execute("GET", keys.closed_order(P, "1:2")))
    assert (closed.state, closed.filled_notional) == (OrderState.FILLED, 4000)
    for sequence in (1, 2):
        (fill,) = owned.execute("LRANGE", keys.fills(P, f"1:{sequence}"), 0, -1)
        assert codec.decode_fill(fill).price == 1000
    assert owned.execute("HGET", keys.positions(P), SYMBOL) == b"2:1"
    assert owned.execute("GET", keys.book(P, SYMBOL)) == b"2||1000,6,1;"
    assert owned.execute("LRANGE", keys.prices(P, SYMBOL), 0, -1) == [b"1000"]
    assert owned.execute("HGET", keys.balances(P), ALICE) == b"-4000"
    assert owned.execute("HGET", keys.balances(P), BOB) == b"4000"
    ((entry_id, fields),) = owned.execute("XRANGE", keys.events(P), "-", "+")
    assert (entry_id, fields[1].decode()) == (b"1-0", new_hash)
    assert codec.decode_batch(fields[3]).balances == {ALICE: -4000, BOB: 4000}
    marks = owned.execute("HMGET", keys.batch(P), "number", "applied", "bell")
    assert marks == [b"1", b"2", b"2"]


def test_a_commit_tells_what_it_has_decided(owned: Channel, redis_url: str) -> None:
    with client(redis_url, "tests-listener").pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.ssubscribe(keys.decided(P))
        listener.get_message(timeout=5)  # That it has subscribed.
        with pytest.raises(Fenced):
            commit(owned, token="other/1")
        refused = batch(0, P, cancel(9))
        owned.call(commit_call(history_of(owned), TOKEN, "c1", [refused]))
        message = listener.get_message(timeout=5)
    assert message is not None
    decided = codec.decode_decided(message["data"])
    assert decided == Decided(BELL, {SYMBOL: (1, 3)}, [(SYMBOL, 3, "order_not_open")])


def test_partitions_of_one_call_are_committed_or_refused_each_by_itself(owned: Channel) -> None:
    for partition, token in ((2, TOKEN), (4, "other/1"), (5, TOKEN)):
        owned.execute("SET", keys.lease(partition, "matcher"), token)
    commits = [batch(partition=p) for p in (2, P, 4, 5)]
    with pytest.raises(Fenced, match="partition 4 was answered with FENCED"):
        owned.call(commit_call(history_of(owned), TOKEN, "c1", commits))
    numbers = [owned.execute("HGET", keys.batch(p), "number") for p in (2, P, 4, 5)]
    assert numbers == [b"1", b"1", None, b"1"]
    assert owned.execute("GET", keys.book(5, SYMBOL)) == b"2||1000,6,1;"
    assert not owned.execute("EXISTS", keys.positions(4))


def test_a_bell_is_told_without_a_batch(owned: Channel) -> None:
    commit(owned)
    before = everything(owned)
    owned.call(commit_call(history_of(owned), TOKEN, "c2", [told(P, 1, 7)]))
    assert owned.execute("HGET", keys.batch(P), "bell") == b"7"
    owned.execute("HSET", keys.batch(P), "bell", BELL)
    assert everything(owned) == before
    with pytest.raises(Fenced, match="CONFLICT"):
        owned.call(commit_call(history_of(owned), TOKEN, "c3", [told(P, 0, 8)]))


def test_the_same_commit_again_is_a_dup_and_changes_nothing(owned: Channel) -> None:
    commit(owned)
    before = everything(owned)
    with pytest.raises(Fenced, match="DUP"):
        commit(owned)
    assert everything(owned) == before


def test_another_commit_with_a_used_number_is_a_conflict(owned: Channel) -> None:
    commit(owned)
    before = everything(owned)
    with pytest.raises(Fenced, match="CONFLICT"):
        commit(owned, commit_id="c2")
    with pytest.raises(Fenced, match="CONFLICT"):
        commit(owned, expected=7)
    assert everything(owned) == before


@pytest.mark.parametrize("held", ["m/2", "other/1", None])
def test_a_commit_without_the_lease_is_fenced(owned: Channel, held: str | None) -> None:
    if held is None:
        owned.execute("DEL", keys.lease(P, "matcher"))
    else:
        owned.execute("SET", keys.lease(P, "matcher"), held)
    before = everything(owned)
    with pytest.raises(Fenced, match="FENCED"):
        commit(owned)
    assert everything(owned) == before


def test_a_commit_works_when_memory_is_full(owned: Channel) -> None:
    owned.execute("CONFIG", "SET", "maxmemory", 1)
    try:
        commit(owned)
    finally:
        owned.execute("CONFIG", "SET", "maxmemory", 0)
    assert owned.execute("HGET", keys.batch(P), "number") == b"1"


def test_a_commit_that_names_another_history_is_refused(owned: Channel) -> None:
    before = everything(owned)
    with pytest.raises(HistoryChanged):
        commit(owned, history_id="another")
    assert everything(owned) == before
