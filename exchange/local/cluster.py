"""A Redis Cluster of embedded servers: masters without replicas, so nothing fails over by itself.

Each node keeps its log in a directory of its own. A node that was killed comes back with all of it,
and meanwhile the other nodes go on.
"""

import os
import secrets
import socket
from pathlib import Path
from typing import Any

from exchange.local.binaries import valkey_server
from exchange.local.forming import Node, form
from exchange.local.servers import EmbeddedRedis
from runtime.process.errors import ExchangeError

NODE_TIMEOUT_MS = 2000
"""After so long without an answer the others call a node failed. Nobody takes its place."""
HOST = "127.0.0.1"
BUS_OFFSET = 10_000


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
        self.port = _free_port()
        self.address = f"{HOST}:{self.port}"
        self.url = f"redis://:{password}@{self.address}"
        self.node = Node(self.url, self.address)

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
        return self.node.ask(*command)


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
        """Let the nodes that run find together."""
        form([node.node for node in self.nodes])

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


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


def _free_port() -> int:
    """A port that is free, and with it the one at which nodes talk to one another."""
    while True:
        with socket.socket() as client, socket.socket() as bus:
            client.bind((HOST, 0))
            port: int = client.getsockname()[1]
            if port + BUS_OFFSET < 65536 and bus.connect_ex((HOST, port + BUS_OFFSET)):
                return port
