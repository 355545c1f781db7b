"""A Redis Cluster as a client sees it: the URL, the slots, and who answers for which slot.

The URL is ``redis+cluster://[user:password@]host:port,host:port[?options]`` (``rediss+cluster://``
with TLS). It names some nodes, and these tell where the others are.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.crc import key_slot

from protocol import keys

SCHEMES = {"redis+cluster": "redis", "rediss+cluster": "rediss"}

_KEYLESS = frozenset({"PING", "TIME", "INFO", "CONFIG", "FUNCTION", "CLUSTER"})


def is_cluster(url: str) -> bool:
    return url.partition("://")[0] in SCHEMES


_tags: dict[str, int] = {}


def slot_of(key: str) -> int:
    """The slot of a key of ours, which begins with its tag."""
    tag = key[: key.find("}") + 1]
    slot = _tags.get(tag)
    if slot is None:
        slot = key_slot(key.encode())
        if tag.startswith("{p"):  # The tags of endpoints are without number.
            _tags[tag] = slot
    return slot


def key_of(command: Sequence[Any]) -> str:
    """The key that says to which node a command goes. What has no key goes to the node that has
    the registry."""
    name = command[0]
    if name in ("FCALL", "FCALL_RO"):
        key = command[3]
    elif name == "XREAD":
        key = command[command.index("STREAMS") + 1]
    elif len(command) == 1 or name in _KEYLESS:
        key = keys.REGISTRY
    else:
        key = command[1]
    return key if isinstance(key, str) else bytes(key).decode()


class SlotMap:
    """Which node has which slot. An address is ``host:port``."""

    def __init__(self, url: str) -> None:
        split = urlsplit(url)
        user, _, hosts = split.netloc.rpartition("@")
        self.seeds = tuple(hosts.split(","))
        self._scheme = SCHEMES[split.scheme]
        self._user = f"{user}@" if user else ""
        self._rest = split.path + (f"?{split.query}" if split.query else "")
        self._owners: list[str] = []
        self.replicas: list[str] = []
        """The addresses of those that are known."""

    def url(self, address: str) -> str:
        """The URL of one node."""
        return f"{self._scheme}://{self._user}{address}{self._rest}"

    @property
    def is_known(self) -> bool:
        return bool(self._owners)

    @property
    def nodes(self) -> list[str]:
        """The masters that have slots."""
        return sorted({address for address in self._owners if address})

    @property
    def owners(self) -> tuple[str, ...]:
        """The address of the owner of each slot; empty while nothing is known."""
        return tuple(self._owners)

    def owner(self, slot: int) -> str:
        """The address of the master of this slot; empty where nobody has it."""
        return self._owners[slot] if self._owners else ""

    def learn(self, reply: Sequence[Any], asked: str) -> None:
        """Take in what the node ``asked`` has answered to CLUSTER SLOTS."""
        owners = [""] * 16384
        replicas = set()
        host_asked = asked.rpartition(":")[0]
        for first, last, *nodes in reply:
            address, *others = [
                f"{host.decode() if host else host_asked}:{int(port)}" for host, port, *_ in nodes
            ]
            owners[first : last + 1] = [address] * (last + 1 - first)
            replicas |= {*others}
        self._owners, self.replicas = owners, sorted(replicas)

    def move(self, slot: int, address: str) -> None:
        """A node has said that another one has this slot now."""
        if self._owners:
            self._owners[slot] = address
