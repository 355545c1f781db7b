"""What a node of a Redis Cluster answers to a command that it has not executed.

Such an answer is a known refusal: exactly this command may be sent again. Nothing else is ever
repeated.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from runtime.redis.channel import NotConnected, RedisConnectionError, RedisTimeoutError
from runtime.redis.many import Join, ManySlots, RedisCommand
from runtime.redis.slots import SlotMap, key_of, slot_of

SLOTS_COMMAND: RedisCommand = ("CLUSTER", "SLOTS")
ASKING: RedisCommand = ("ASKING",)

AGAIN_SECONDS = 0.2
"""How long a command is repeated that was refused in this way."""
PAUSE_SECONDS = 0.01
"""Before a repeat, except for the first one to a node that was named."""

_LATER = (TryAgainError, ClusterDownError)


SLOT_ERRORS = (AskError, *_LATER)
"""What a node answers when it has not executed a command. A MOVED is an AskError, too."""

NODE_ERRORS = (RedisConnectionError, RedisTimeoutError, *SLOT_ERRORS)
"""What says that one node, or one slot, cannot be used now."""


class NoNode(NotConnected):
    """No node is known that has the slot; nothing was sent."""


class Part:
    """A command of one slot, and what was answered; ``reply`` is ``AWAITED`` until then."""

    __slots__ = ("command", "node", "reply", "slot")

    def __init__(self, command: RedisCommand, key: str) -> None:
        self.command = command
        self.node: Any = None
        """Where a channel has sent it."""
        self.slot = slot_of(key)
        self.reply: Any = AWAITED

    @property
    def is_moved(self) -> bool:
        return isinstance(self.reply, MovedError)

    @property
    def is_refused(self) -> bool:
        """Whether it was not executed, and may be sent again."""
        return isinstance(self.reply, SLOT_ERRORS)

    @property
    def is_later(self) -> bool:
        """Whether it can be executed only after a while."""
        return isinstance(self.reply, _LATER)


AWAITED = object()


class Asked:
    """A command of the caller: its parts, and how their replies become one."""

    __slots__ = ("_join", "parts")

    def __init__(self, parts: Sequence[Part], join: Join | None) -> None:
        self.parts = parts
        self._join = join

    @property
    def reply(self) -> Any:
        replies = [part.reply for part in self.parts]
        return replies[0] if self._join is None else self._join(replies)


def ask(commands: Sequence[RedisCommand]) -> list[Asked]:
    """The commands, cut into parts. A transaction goes where its keys are."""
    asked = []
    for at, command in enumerate(commands):
        if isinstance(command, ManySlots):
            parts = [Part(each, key_of(each)) for each in command.parts()]
            asked.append(Asked(parts, command.join))
        else:
            keyed = command
            if command[0] == "MULTI":
                keyed = commands[at + 1]
            elif command[0] == "EXEC":
                keyed = commands[at - 1]
            asked.append(Asked([Part(command, key_of(keyed))], None))
    return asked


def by_node(parts: Iterable[Part], slots: SlotMap) -> dict[str, list[Part]]:
    """The parts by address of the node that has their slot. Those whose slot nobody has are
    answered here."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        address = slots.owner(part.slot)
        if address:
            groups.setdefault(address, []).append(part)
        else:
            part.reply = NoNode(f"no node of the cluster has slot {part.slot}")
    return groups


def refused(parts: Sequence[Part]) -> list[Part]:
    """The parts to send again. A check of the history that stands behind one of them goes with
    it, because it must not be older than what it vouches for; it only reads."""
    again = []
    slots = set()
    for part in parts:
        if part.is_refused:
            slots.add(part.slot)
            again.append(part)
        elif part.slot in slots and part.command[0] == "FCALL_RO":
            again.append(part)
    return again


def redirected(parts: Iterable[Part], slots: SlotMap) -> dict[str, list[Part]]:
    """The parts by address of the node to send them to again; a node that asks for ASKING has a
    ``+`` before its address."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        error = part.reply
        if isinstance(error, MovedError):
            slots.move(part.slot, "{}:{}".format(*error.node_addr))
        if isinstance(error, AskError) and not isinstance(error, MovedError):  # MOVED is one, too.
            address = "+{}:{}".format(*error.node_addr)
        else:
            address = slots.owner(part.slot)
        part.reply = AWAITED if address else NoNode(f"no node has slot {part.slot}")
        if address:
            groups.setdefault(address, []).append(part)
    return groups


def with_asking(parts: Sequence[Part]) -> list[RedisCommand]:
    """The commands for a node that takes a slot over: each behind an ASKING."""
    return [command for part in parts for command in (ASKING, part.command)]
