"""Moving slots of an embedded cluster from node to node."""

from exchange.local.cluster import HOST, ClusterNode, EmbeddedCluster
from protocol import keys
from runtime.redis.slots import slot_of
from tests.support.eventually import eventually


def slot(partition: int) -> int:
    return slot_of(keys.heads(partition))


def owner(cluster: EmbeddedCluster, partition: int) -> ClusterNode:
    """The node that has this partition, as the first node knows it."""
    by_port = {node.port: node for node in cluster.nodes}
    for first, last, (_, port, *_), *_ in cluster.nodes[0].ask("CLUSTER", "SLOTS"):
        if first <= slot(partition) <= last:
            return by_port[int(port)]
    raise AssertionError(f"nobody has partition {partition}")


def begin_move(cluster: EmbeddedCluster, partition: int, target: ClusterNode) -> ClusterNode:
    """Let a slot be on its way, with all keys still where they were. Returns the node that gives
    it away."""
    source = owner(cluster, partition)
    source_id, target_id = (node.ask("CLUSTER", "MYID") for node in (source, target))
    target.ask("CLUSTER", "SETSLOT", slot(partition), "IMPORTING", source_id)
    source.ask("CLUSTER", "SETSLOT", slot(partition), "MIGRATING", target_id)
    return source


def move_keys(source: ClusterNode, target: ClusterNode, *names: str | bytes) -> None:
    password = source.options()["requirepass"]
    source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "AUTH", password, "KEYS", *names)


def end_move(cluster: EmbeddedCluster, partition: int, target: ClusterNode) -> None:
    """Move what is left, and let the slot belong to ``target``."""
    for node in cluster.nodes:
        while names := node.ask("CLUSTER", "GETKEYSINSLOT", slot(partition), 2):
            if node is target:
                break
            # Slowly, so that commands meet a slot of which a part is here and a part there.
            move_keys(node, target, *names)
    target_id = target.ask("CLUSTER", "MYID")
    for node in (target, *cluster.nodes):
        node.ask("CLUSTER", "SETSLOT", slot(partition), "NODE", target_id)


def move(cluster: EmbeddedCluster, partition: int, target: ClusterNode) -> None:
    """Move a slot as redis-cli does: key by key, while it is in use."""
    begin_move(cluster, partition, target)
    end_move(cluster, partition, target)


def move_at_once(cluster: EmbeddedCluster, partition: int, target: ClusterNode) -> None:
    """The same in one step of the nodes, as Valkey 9 can."""
    target_id = target.ask("CLUSTER", "MYID")
    number = slot(partition)
    owner(cluster, partition).ask(
        "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", number, number, "NODE", target_id
    )
    eventually(lambda: owner(cluster, partition) is target, 20, "the slot to be moved")
