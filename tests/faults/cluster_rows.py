"""Rows of the fault matrix: a Redis Cluster of three nodes."""

import shutil
import time
from typing import Any, cast

from exchange.local.cluster import EmbeddedCluster
from exchange.local.servers import EmbeddedRedis
from protocol.registry import Directory
from runtime.redis.registry import refresh
from tests.faults.fleet import Fleet, pause
from tests.faults.load import ACKNOWLEDGED, SYMBOLS, BrokersAtWork
from tests.faults.oracles import Verdict, judge
from tests.faults.row import Budget, Row, trading
from tests.support.eventually import eventually
from tests.support.slots import move, move_at_once, owner

NODES = 3
AWAY_SECONDS = 2.0
OTHERS_SECONDS_MAX = 1.5
"""How long the partitions of the other nodes may stand still when a node dies."""


class ClusterFleet(Fleet):
    """An exchange on three nodes. The first node has the registry."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.cluster = EmbeddedCluster(self.folder, NODES)
        self.redis = cast(EmbeddedRedis, self.cluster)

    def __enter__(self) -> "ClusterFleet":
        super().__enter__()
        return self

    def partition(self, symbol: str) -> int:
        directory = Directory()
        channel = self.channel()
        try:
            refresh(directory, channel)
        finally:
            channel.close()
        return directory.instruments[symbol].partition


def node_killed(seed: int, budget: Budget) -> Row:
    """A node killed and away for a while: the partitions of the others trade on, and its own come
    back with all that was acknowledged."""
    return _killed(seed, 1, f"Redis node kill -9, away {AWAY_SECONDS:g} s")


def registry_node_killed(seed: int, budget: Budget) -> Row:
    """The same with the node that has the registry and the leases' members."""
    return _killed(seed, 0, "Redis node with the registry kill -9")


def _killed(seed: int, victim: int, fault: str) -> Row:
    with ClusterFleet() as fleet, trading(fleet, seed) as load:
        eventually(lambda: len(_traded(load)) == len(SYMBOLS), 20, "all symbols to trade")
        node = fleet.cluster.nodes[victim]
        homes = {symbol: owner(fleet.cluster, fleet.partition(symbol)) for symbol in SYMBOLS}
        others = {symbol for symbol, home in homes.items() if home is not node}
        node.kill()
        killed_at = time.monotonic()
        others_after = _seconds(load, killed_at, others)
        pause(AWAY_SECONDS)
        node.start()
        started_at = time.monotonic()
        own_after = _seconds(load, started_at, set(SYMBOLS) - others)
        verdict = judge(load)
        if others_after > OTHERS_SECONDS_MAX:
            verdict.problems.append(f"the others stood still for {others_after:.1f} s")
        note = f"others after {others_after:.2f} s, its own {own_after:.2f} s after its start"
        return Row(fault, seed, verdict, 1, [own_after], note)


def node_emptied(seed: int, budget: Budget) -> Row:
    """A node comes back without its data: no worker goes on with it."""
    fault = "a Redis node comes back empty"
    with ClusterFleet() as fleet, trading(fleet, seed) as load:
        eventually(lambda: len(_traded(load)) == len(SYMBOLS), 20, "all symbols to trade")
        node = fleet.cluster.nodes[1]
        eventually(lambda: fleet.batches().unstored == 0, 20, "everything to be stored")
        load.stop()
        node.kill()
        shutil.rmtree(node.directories[0] / "appendonlydir")
        node.start()
        said = fleet.wait_refused("matcher-1")
        verdict = Verdict(acknowledged=len(load.acknowledged()))
        if "Redis has lost commits" not in said:
            verdict.problems.append(f"the matcher said {said!r}")
        return Row(fault, seed, verdict, 1)


def slot_moved(seed: int, budget: Budget) -> Row:
    """The slot of the busiest partition moves from node to node while it trades: key by key, and
    in one step of Valkey."""
    with ClusterFleet() as fleet, trading(fleet, seed) as load:
        eventually(lambda: SYMBOLS[0] in _traded(load), 20, "the first symbol to trade")
        partition = fleet.partition(SYMBOLS[0])
        recovered, lasted = [], []
        for move_slot in (move, move_at_once, move):
            home = fleet.cluster.nodes.index(owner(fleet.cluster, partition))
            at = time.monotonic()
            move_slot(fleet.cluster, partition, fleet.cluster.nodes[(home + 1) % NODES])
            lasted.append(time.monotonic() - at)
            recovered.append(_seconds(load, time.monotonic(), {SYMBOLS[0]}))
        note = "moves took " + ", ".join(f"{seconds:.2f}" for seconds in lasted) + " s"
        return Row("a slot moves while it trades", seed, judge(load), 3, recovered, note)


def _traded(load: BrokersAtWork) -> set[str]:
    return {sent.body["symbol"] for sent in load.acknowledged()}


def _seconds(load: BrokersAtWork, since: float, symbols: set[str]) -> float:
    """From ``since`` until an order sent after it in one of the symbols is acknowledged."""

    def look() -> float | None:
        for sent in list(load.sent):
            is_one = sent.outcome == ACKNOWLEDGED and sent.body["symbol"] in symbols
            if is_one and sent.at - sent.seconds >= since:
                return sent.at - since
        return None

    found = eventually(look, 30, f"orders in {sorted(symbols)} to be acknowledged")
    assert found is not None
    return found
