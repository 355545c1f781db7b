"""Replaying a journal: also one that an earlier version has begun."""

from typing import cast

import msgspec
from sqlalchemy import Connection

from exchange.audit.replay import PartitionReplay
from matcher.changes import Changes
from matcher.engine import Engine
from protocol import codec
from protocol.batches import GENESIS_HASH, Batch, BatchEntry
from protocol.commands import Command
from protocol.enums import ExecutionPrice
from tests.support.builders import ALICE, BOB, START_MS, SYMBOL, ask, bid

PARTITION = 3


class Recorder:
    """An engine whose batches have one command each."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.market = self.engine.market(SYMBOL, 1)

    def batch(self, command: Command) -> Batch:
        sequence = self.market.sequence + 1
        time_ms = START_MS + sequence
        changes = Changes(PARTITION, self.engine)
        events = self.engine.apply(self.market, sequence, time_ms, command)
        payload = codec.encode(command)
        changes.add(self.market, [BatchEntry(SYMBOL, 1, sequence, time_ms, payload, events)])
        return codec.decode_batch(changes.take(sequence - 1, GENESIS_HASH, sequence).payload)


def replay() -> PartitionReplay:
    nothing = cast("Connection", None)  # The batches are handed over here.
    return PartitionReplay(nothing, PARTITION, ExecutionPrice.MAKER)


def as_before(batch: Batch) -> Batch:
    """The batch as the version before special orders wrote it."""
    orders = [codec.encode(msgspec.msgpack.decode(record)[:20]) for record in batch.orders]
    return msgspec.structs.replace(batch, orders=orders, holdings={}, instruments={})


def test_a_journal_that_an_earlier_version_has_begun_gives_everything_again() -> None:
    recorder, replayed = Recorder(), replay()
    for number, command in enumerate([ask(1000, 10), bid(1000, 4)], 1):
        assert replayed.batch(number, as_before(recorder.batch(command))) == ""
    recorder.market.holdings.clear()  # The new matcher found none.
    batch = recorder.batch(bid(1000, 1))
    assert batch.holdings == {f"1:{ALICE}": 1, f"1:{BOB}": -1}
    assert replayed.batch(3, batch) == ""


def test_holdings_and_orders_that_are_not_those_of_the_journal_are_found() -> None:
    recorder, replayed = Recorder(), replay()
    for number, command in enumerate([ask(1000, 10), bid(1000, 4)], 1):
        assert replayed.batch(number, recorder.batch(command)) == ""
    batch = recorder.batch(bid(1000, 1))
    wrong = msgspec.structs.replace(batch, holdings={f"1:{ALICE}": 6, f"1:{BOB}": -6})
    assert "holdings" in replayed.batch(3, wrong)


def test_an_order_that_is_not_that_of_the_journal_is_found() -> None:
    batch = Recorder().batch(ask(1000, 10))
    record = codec.decode_order(batch.orders[0])
    other = codec.encode(msgspec.structs.replace(record, open_quantity=9))
    wrong = msgspec.structs.replace(batch, orders=[other])
    assert "orders" in replay().batch(1, wrong)
