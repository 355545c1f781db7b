"""C11 and C12: the journal through fresh engines gives the same bytes, wherever one begins.

``python -m tests.faults.replaying DATABASE_URL`` prints what it finds as JSON. The oracles run it
with another ``PYTHONHASHSEED``, so that nothing may depend on the order of a set.
"""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import psycopg

from matcher.changes import Changes
from matcher.engine import Engine
from matcher.market import Market
from matcher.recovery import recover
from matcher.worker import UNREADABLE
from protocol import codec
from protocol.batches import GENESIS_HASH, BatchEntry
from protocol.enums import ExecutionPrice
from protocol.partitions import all_partitions, partition_name
from protocol.registry import Directory
from runtime.redis.channel import Channel
from runtime.redis.registry import refresh

HASH_SEED = "20261124"
Journal = list[tuple[int, bytes]]
"""Number and bytes of every batch of a partition, in order."""


def image(engine: Engine) -> str:
    """A hash of all that an engine holds: each field of each order, and each queue in its order."""
    encode = msgspec.msgpack.Encoder().encode
    digest = hashlib.sha256(engine.state_hash().encode())
    for symbol in sorted(engine.markets):
        book = engine.markets[symbol].book
        for side in (book.bids, book.asks):
            for level in side.levels():
                queue = [order.sequence for order in level]
                digest.update(encode((symbol, side.side, level.price, queue)))
    return digest.hexdigest()


def snapshot_of(engine: Engine, rule: ExecutionPrice) -> Engine:
    """A new engine from the bytes that a commit keeps of the old one, as a matcher starts."""
    new = Engine(rule)
    for symbol, market in engine.markets.items():
        again = new.markets[symbol] = Market(
            symbol, market.instrument_number, market.sequence, market.trade_number
        )
        again.last_price = market.last_price
        if market.instrument is not None:
            again.set_instrument(codec.decode_instrument(codec.encode(market.instrument)))
        again.holdings.update(market.holdings)
    new.balances.update(engine.balances)
    records = [
        codec.decode_order(codec.encode(order.record(symbol, market.instrument_number)))
        for symbol, market in engine.markets.items()
        for order in market.book.orders.values()
    ]
    for record in sorted(records, key=lambda r: r.turn):
        new.restore(record)
    for market in new.markets.values():
        market.view.forget_changes()
    return new


class Replay:
    """One partition. ``problem`` is the first batch that comes out with other bytes."""

    def __init__(self, partition: int, rule: ExecutionPrice) -> None:
        self.engine = Engine(rule)
        self.problem = ""
        self._partition = partition

    def run(self, journal: Journal) -> None:
        for number, payload in journal:
            changes = Changes(self._partition, self.engine)
            for entry in codec.decode_batch(payload).entries:
                self._apply(changes, entry)
            taken = changes.take(number - 1, GENESIS_HASH, 0)
            if taken.payload != payload:
                self.problem = f"batch {number} comes out with other bytes"
                return

    def _apply(self, changes: Changes, entry: BatchEntry) -> None:
        market = self.engine.market(entry.symbol, entry.instrument_number)
        sequence = entry.sequence
        try:
            command = codec.decode_command(entry.command)
        except codec.DecodeError as error:
            events = self.engine.refuse(market, sequence, UNREADABLE)
            again = msgspec.structs.replace(entry, events=events)
            changes.add(market, [again])
            changes.add_dead(again, str(error))
            return
        events = self.engine.apply(market, sequence, entry.time_ms, command)
        changes.add(market, [msgspec.structs.replace(entry, events=events)])


def replayed(url: str) -> dict[str, dict[str, str]]:
    """For each partition the problem from the start, the problem from a snapshot in the middle, and
    the images at the end of both."""
    return {
        partition_name(partition): _replay_twice(partition, journal, rule)
        for partition, journal, rule in _journals(url)
    }


def _replay_twice(partition: int, journal: Journal, rule: ExecutionPrice) -> dict[str, str]:
    middle = len(journal) // 2
    whole = Replay(partition, rule)
    whole.run(journal[:middle])
    from_snapshot = Replay(partition, rule)
    from_snapshot.engine = snapshot_of(whole.engine, rule)
    whole.run(journal[middle:])
    from_snapshot.run(journal[middle:])
    return {
        "whole": whole.problem,
        "from a snapshot": from_snapshot.problem,
        "image": image(whole.engine),
        "image from a snapshot": image(from_snapshot.engine),
    }


def _journals(url: str) -> Iterator[tuple[int, Journal, ExecutionPrice]]:
    with psycopg.connect(url) as connection:
        ((partitions, rule),) = connection.execute(
            "SELECT partitions, execution_price FROM genesis"
        ).fetchall()
        for partition in all_partitions(partitions):
            rows = connection.execute(
                "SELECT number, batch FROM journal WHERE partition = %s ORDER BY number",
                [partition],
            ).fetchall()
            yield partition, [(number, bytes(b)) for number, b in rows], ExecutionPrice(rule)


def problems_of(url: str, channel: Channel) -> list[str]:
    """What C12 finds in the journal, and C11: a matcher that starts now must hold the same, with
    each queue in the same order."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.faults.replaying", url],
        env={**os.environ, "PYTHONHASHSEED": HASH_SEED},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found: dict[str, dict[str, str]] = json.loads(answer.stdout)
    return [*_c12(found), *_c11(found, url, channel)]


def _c12(found: dict[str, dict[str, str]]) -> Iterator[str]:
    for name, replay in found.items():
        for start in ("whole", "from a snapshot"):
            if replay[start]:
                yield f"C12: {name}, {start}: {replay[start]}"
        if replay["image"] != replay["image from a snapshot"]:
            yield f"C12: {name} ends otherwise from a snapshot"


def _c11(found: dict[str, dict[str, str]], url: str, channel: Channel) -> Iterator[str]:
    directory = Directory()
    refresh(directory, channel)
    with psycopg.connect(url) as connection:
        ((rule,),) = connection.execute("SELECT execution_price FROM genesis").fetchall()
    for partition in all_partitions(len(found)):
        name = partition_name(partition)
        started = recover(channel, partition, ExecutionPrice(rule), directory, lambda: None)
        if image(started.engine) != found[name]["image"]:
            yield f"C11: {name}: a matcher that starts does not hold what the journal gives"


def main() -> None:
    print(json.dumps(replayed(sys.argv[1])))


if __name__ == "__main__":
    main()
