"""A Redis Cluster of embedded servers: masters without replicas, so nothing fails over by itself.

Each node keeps its log in a directory of its own. A node that was killed comes back with all of it,
and meanwhile the other nodes go on.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from exchange.local.binaries import valkey_server
from exchange.local.servers import EmbeddedRedis, ServerFailed
from protocol import keys
from protocol.partitions import PARTITIONS_MAX
from runtime.process.errors import ExchangeError
from runtime.redis.channel import Channel, RedisError
from runtime.redis.slots import SlotMap, slot_of

SLOTS = 16384
NODE_TIMEOUT_MS = 2000
"""After so long without an answer the others call a node failed. Nobody takes its place."""
FORM_SECONDS_MAX = 30.0
HOST = "127.0.0.1"


class OtherKind(ExchangeError):
    """The directory holds another number of Redis nodes."""


class ClusterNode(EmbeddedRedis):
    """One master. Its addresses are new in every process that makes it."""

    def __init__(self, data: Path, number: int, count: int, password: str) -> None:
        super().__init__(data)
        self.name = f"valkey-{number}"
        self.log_path = data / f"valkey-{number}.log"
        self._dir = data / f"redis-{number}"
        self._share = count
        self._password = password
        self.port, self._bus_port = _free_ports(2)
        self.address = f"{HOST}:{self.port}"
        self.url = f"redis://:{password}@{self.address}"

    @property
    def shown(self) -> str:
        return f"redis://{self.address}"

    def options(self) -> dict[str, str]:
        """See :meth:`EmbeddedRedis.options`."""
        shared = super().options()
        del shared["unixsocket"], shared["unixsocketperm"]
        return {
            **shared,
            "bind": HOST,
            "port": str(self.port),
            "cluster-port": str(self._bus_port),
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            # The partitions of the other nodes trade on while one is away.
            "cluster-require-full-coverage": "no",
            "requirepass": self._password,
            "primaryauth": self._password,  # A slot that moves is copied from node to node.
            "maxmemory": str(int(shared["maxmemory"]) // self._share),
        }

    def command(self) -> list[str]:
        """The options stand in a file, because the list of processes shows a command to all."""
        text = "".join(f'{name} "{value}"\n' for name, value in self.options().items())
        path = self._dir / "node.conf"
        _write_private(path, text)
        return [str(self._binary or valkey_server()), str(path)]

    def ask(self, *command: Any) -> Any:
        with closing(Channel(self.url, "exchange-embedded")) as channel:
            return channel.execute(*command)

    def info(self) -> dict[str, str]:
        """CLUSTER INFO."""
        lines = self.ask("CLUSTER", "INFO").decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


class EmbeddedCluster:
    """Its nodes, and the URL of them all."""

    def __init__(self, data: Path, count: int) -> None:
        data.mkdir(parents=True, exist_ok=True)
        password = _password(data / "redis_password")
        numbers = range(1, count + 1)
        self.nodes = [ClusterNode(data, number, count, password) for number in numbers]
        addresses = ",".join(node.address for node in self.nodes)
        self.url = f"redis+cluster://:{password}@{addresses}"

    @property
    def directories(self) -> list[Path]:
        return [path for node in self.nodes for path in node.directories]

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        self.form()

    def form(self) -> None:
        """Let the nodes that run meet, share out the slots that nobody has, and wait until all of
        them agree. A cluster that was formed before keeps its slots."""
        first = self.nodes[0]
        for node in self.nodes[1:]:
            first.ask("CLUSTER", "MEET", HOST, node.port, node._bus_port)
        self._wait(lambda node: int(node.info()["cluster_known_nodes"]) == len(self.nodes))
        # A node tells its slots once it has met the others.
        self._wait(lambda node: self._slots(node).owners == self._slots(first).owners)
        owners = self._slots(first)
        for number, node in enumerate(self.nodes):
            plan = planned_slots(len(self.nodes))
            missing = [s for s in range(SLOTS) if not owners.owner(s) and plan[s] == number]
            if missing:
                node.ask("CLUSTER", "ADDSLOTS", *missing)
        self._wait(lambda node: node.info()["cluster_state"] == "ok")
        self._wait(lambda node: self._slots(node).nodes == sorted(n.address for n in self.nodes))

    def _slots(self, node: ClusterNode) -> SlotMap:
        slots = SlotMap(self.url)
        slots.learn(node.ask("CLUSTER", "SLOTS"), node.address)
        return slots

    def _wait(self, agrees: Callable[[ClusterNode], bool]) -> None:
        deadline = time.monotonic() + FORM_SECONDS_MAX
        for node in self.nodes:
            while True:
                try:
                    if agrees(node):
                        break
                except RedisError as error:
                    raise ServerFailed(f"{node.name} does not answer: {error}") from error
                if time.monotonic() > deadline:
                    raise ServerFailed("the nodes of Redis do not find together; see their logs")
                time.sleep(0.02)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def planned_slots(nodes: int) -> list[int]:
    """Which of ``nodes`` gets each slot: equal shares, of the partitions too."""
    plan = [slot * nodes // SLOTS for slot in range(SLOTS)]
    for partition in range(PARTITIONS_MAX):
        plan[slot_of(keys.heads(partition))] = partition % nodes
    plan[slot_of(keys.REGISTRY)] = 0
    return plan


def nodes_of(data: Path) -> int:
    """How many embedded nodes of a Redis Cluster have their data here; 0 where there are none."""
    return len(list(data.glob("redis-[0-9]*")))


def refuse_other_kind(data: Path, wanted: int) -> None:
    """Raises :class:`OtherKind` unless ``wanted`` nodes fit the data that are here; 1 is one Redis
    without a cluster."""
    cluster = nodes_of(data)
    present = cluster or (1 if (data / "redis").exists() else 0)
    if present not in (0, wanted):
        raise OtherKind(
            f"the exchange in {data} was founded on {_redis(present)}, and --redis-nodes says"
            f" {wanted}: start it with --redis-nodes {present}, or choose another --data"
        )


def _redis(nodes: int) -> str:
    return "one Redis" if nodes == 1 else f"a Redis Cluster of {nodes} nodes"


def _password(path: Path) -> str:
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(24))
    return path.read_text().strip()


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _free_ports(count: int) -> Sequence[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
