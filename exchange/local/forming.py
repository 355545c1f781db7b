"""Forming a Redis Cluster of nodes that run: they meet, and slots that nobody has are shared out.

Partitions are shared out equally, and not only slots. A cluster that was formed before keeps its
slots; its nodes meet again, because their addresses may be new.
"""

import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from protocol import keys
from protocol.partitions import PARTITIONS_MAX
from runtime.process.errors import ExchangeError
from runtime.redis.channel import Channel, RedisError
from runtime.redis.slots import SlotMap, slot_of

SLOTS = 16384
FORM_SECONDS_MAX = 30.0


class NotFormed(ExchangeError):
    """The nodes do not answer, or do not agree."""


class Node:
    """A node that runs. The nodes talk to one another at its port and 10,000."""

    def __init__(self, url: str, address: str) -> None:
        self.url = url
        self.host, _, port = address.rpartition(":")
        self.port = int(port)

    def ask(self, *command: Any) -> Any:
        with closing(Channel(self.url, "exchange-forming")) as channel:
            return channel.execute(*command)

    def info(self) -> dict[str, str]:
        """CLUSTER INFO."""
        lines = self.ask("CLUSTER", "INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def slots(self) -> SlotMap:
        """Who has which slot, as this node knows it."""
        slots = SlotMap(f"redis+cluster://{self.host}:{self.port}")
        slots.learn(self.ask("CLUSTER", "SLOTS"), f"{self.host}:{self.port}")
        return slots


def form_url(url: str) -> int:
    """Form the cluster of the nodes that this URL names; returns their number."""
    slots = SlotMap(url)
    form([Node(slots.url(address), address) for address in slots.seeds])
    return len(slots.seeds)


def form(nodes: Sequence[Node]) -> None:
    """Returns when all nodes agree. Raises :class:`NotFormed`."""
    first = nodes[0]
    try:
        for node in nodes[1:]:
            # The command takes no name.
            first.ask("CLUSTER", "MEET", socket.gethostbyname(node.host), node.port)
        _wait(nodes, lambda node: int(node.info()["cluster_known_nodes"]) >= len(nodes))
        # A node tells its slots once it has met the others.
        _wait(nodes, lambda node: node.slots().owners == first.slots().owners)
        _share_out(nodes)
        _wait(nodes, lambda node: node.info()["cluster_state"] == "ok")
        _wait(nodes, lambda node: node.slots().owners == first.slots().owners)
        _wait(nodes, lambda node: "" not in node.slots().owners)
    except (RedisError, OSError) as error:
        raise NotFormed(f"a node of Redis does not answer: {error}") from error


def _share_out(nodes: Sequence[Node]) -> None:
    known = nodes[0].slots()
    plan = planned_slots(len(nodes))
    for number, node in enumerate(nodes):
        missing = [s for s in range(SLOTS) if not known.owner(s) and plan[s] == number]
        if missing:
            node.ask("CLUSTER", "ADDSLOTS", *missing)


def planned_slots(nodes: int) -> list[int]:
    """Which of ``nodes`` gets each slot: equal shares, of the partitions too."""
    plan = [slot * nodes // SLOTS for slot in range(SLOTS)]
    for partition in range(PARTITIONS_MAX):
        plan[slot_of(keys.heads(partition))] = partition % nodes
    plan[slot_of(keys.REGISTRY)] = 0
    return plan


def _wait(nodes: Sequence[Node], agrees: Callable[[Node], bool]) -> None:
    deadline = time.monotonic() + FORM_SECONDS_MAX
    for node in nodes:
        while not agrees(node):
            if time.monotonic() > deadline:
                raise NotFormed("the nodes of Redis do not find together; see their logs")
            time.sleep(0.02)
