"""The commit Function: what each refusal is, and that it leaves no trace."""

from typing import Any

import pytest

from matcher.changes import Changes
from matcher.engine import Engine
from protocol import codec, keys
from protocol.batches import GENESIS_HASH, BatchEntry
from protocol.enums import OrderState
from runtime.process.errors import Fenced, HistoryChanged
from runtime.redis.channel import Channel
from runtime.redis.functions.commit import commit as commit_call
from tests.support.builders import ALICE, BOB, START_MS, SYMBOL, ask, bid
from tests.support.feeding import history_of

P = 3
TOKEN = "m/1"


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
    engine = Engine()
    market = engine.market(SYMBOL, 1)
    changes = Changes(P, engine)
    for sequence, command in enumerate([ask(1000, 10), bid(1050, 4)], 1):
        events = engine.apply(market, sequence, START_MS, command)
        payload = codec.encode(command)
        changes.add(market, BatchEntry(SYMBOL, 1, sequence, START_MS, payload, events))
    taken = changes.take(expected, GENESIS_HASH)
    channel.call(commit_call(history_id or history_of(channel), token, commit_id, taken))
    return taken.hash


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
    assert owned.execute("HGET", keys.books(P), SYMBOL) == b"2||1000,6,1;"
    assert owned.execute("LRANGE", keys.prices(P, SYMBOL), 0, -1) == [b"1000"]
    assert owned.execute("HGET", keys.balances(P), ALICE) == b"-4000"
    assert owned.execute("HGET", keys.balances(P), BOB) == b"4000"
    ((entry_id, fields),) = owned.execute("XRANGE", keys.events(P), "-", "+")
    assert (entry_id, fields[1].decode()) == (b"1-0", new_hash)
    assert codec.decode_batch(fields[3]).balances == {ALICE: -4000, BOB: 4000}


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
