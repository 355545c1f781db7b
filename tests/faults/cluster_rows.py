"""Rows of the fault matrix: a Redis Cluster of three nodes."""

import time
from collections.abc import Callable
from typing import Any, cast

from exchange.local.cluster import HOST, ClusterNode, EmbeddedCluster
from exchange.local.servers import EmbeddedRedis
from protocol import keys
from protocol.registry import Directory
from runtime.redis.registry import refresh
from runtime.redis.slots import slot_of
from tests.faults.fleet import Fleet, pause
from tests.faults.load import ACKNOWLEDGED, SYMBOLS, BrokersAtWork
from tests.faults.oracles import judge
from tests.faults.row import Budget, Row, trading
from tests.support.eventually import eventually

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

    def partition(self, symbol: str) -> int:
        directory = Directory()
        channel = self.channel()
        try:
            refresh(directory, channel)
        finally:
            channel.close()
        return directory.instruments[symbol].partition

    def owner(self, partition: int) -> ClusterNode:
        """The node that has this partition now."""
        slot = slot_of(keys.heads(partition))
        by_port = {node.port: node for node in self.cluster.nodes}
        for first, last, (_, port, *_), *_ in self.cluster.nodes[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return by_port[int(port)]
        raise AssertionError(f"nobody has slot {slot}")

    def move(self, partition: int, target: ClusterNode) -> None:
        """Move the slot of a partition as redis-cli does: key by key, while it is in use."""
        slot, source = slot_of(keys.heads(partition)), self.owner(partition)
        source_id, target_id = (node.ask("CLUSTER", "MYID") for node in (source, target))
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        password = source.options()["requirepass"]
        while names := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 2):
            # Slowly, so that commands meet a slot of which a part is here and a part there.
            source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "AUTH", password, "KEYS", *names)
        for node in (target, source, *self.cluster.nodes):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def move_at_once(self, partition: int, target: ClusterNode) -> None:
        """The same in one step of the nodes, as Valkey 9 can."""
        slot, source = slot_of(keys.heads(partition)), self.owner(partition)
        target_id = target.ask("CLUSTER", "MYID")
        source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target_id)
        eventually(lambda: self.owner(partition) is target, 20, "the slot to be moved")


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
        homes = {symbol: fleet.owner(fleet.partition(symbol)) for symbol in SYMBOLS}
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


def slot_moved(seed: int, budget: Budget) -> Row:
    """The slot of the busiest partition moves from node to node while it trades, key by key."""
    return _moved(seed, "a slot moves key by key", ClusterFleet.move)


def slot_moved_at_once(seed: int, budget: Budget) -> Row:
    """The same in one step of Valkey."""
    return _moved(seed, "a slot moves at once", ClusterFleet.move_at_once)


def _moved(seed: int, fault: str, move: Callable[[ClusterFleet, int, ClusterNode], None]) -> Row:
    with ClusterFleet() as fleet, trading(fleet, seed) as load:
        eventually(lambda: SYMBOLS[0] in _traded(load), 20, "the first symbol to trade")
        partition = fleet.partition(SYMBOLS[0])
        recovered, lasted = [], []
        for turn in range(3):
            home = fleet.cluster.nodes.index(fleet.owner(partition))
            at = time.monotonic()
            move(fleet, partition, fleet.cluster.nodes[(home + 1) % NODES])
            lasted.append(time.monotonic() - at)
            recovered.append(_seconds(load, time.monotonic(), {SYMBOLS[0]}))
            pause(0.3 * turn)
        note = f"a move took up to {max(lasted):.2f} s"
        return Row(fault, seed, judge(load), len(recovered), recovered, note)


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

