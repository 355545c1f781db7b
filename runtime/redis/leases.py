"""Ownership of partitions: leases that the workers of one kind share among themselves.

The lease decides who should try. It does not make anything safe: that is the token check inside
the commit (matcher), the cursor in PostgreSQL (persister) and the progress record per endpoint
(notifier). A token is new at every start of a worker. A worker that was started again in the place
of a dead one (same ``instance``) takes its leases over at once instead of waiting.

Leases belong to one history: a call that finds another one raises
:class:`~runtime.process.errors.HistoryChanged`.
"""

import logging
import math
import secrets
import time
from collections.abc import Iterable, Mapping

from protocol import keys
from runtime.process.errors import Fenced, HistoryChanged, HistoryMismatch
from runtime.process.sharing import plan
from runtime.redis.channel import Channel
from runtime.redis.functions.acquire import acquire
from runtime.redis.functions.beat import Pulse
from runtime.redis.functions.current import current
from runtime.redis.functions.release import release
from runtime.redis.functions.renew import renew
from runtime.redis.members import Heart, Member, Share, members

log = logging.getLogger(__name__)

TTL_MS = 3000
TEND_SECONDS = 0.5
MOVING_SECONDS = 0.05
"""Instead of ``TEND_SECONDS`` while partitions are about to be moved, so that they are not without
an owner for long."""
MOVING_SECONDS_MAX = 1.5
GIVING_SECONDS = 2.0
CALM_SECONDS = 10.0
"""Out of ``CALM_SECONDS`` a worker gives partitions up in the first ``GIVING_SECONDS`` only, unless
somebody has none."""
QUIET = 50.0
"""Up to so many commands a second, of all partitions together, moves disturb nobody."""


class Leases:
    """The leases of one worker; call :meth:`tend` at least every ``TEND_SECONDS``."""

    def __init__(
        self,
        channel: Channel,
        kind: str,
        instance: str,
        history_id: str,
        partitions: Iterable[int],
        health_port: int | None = None,
    ) -> None:
        self.history_id = history_id
        self.held: set[int] = set()
        self._channel = channel
        self._kind = kind
        self._instance = instance
        self._partitions = tuple(partitions)
        self._incarnation = secrets.token_hex(8)
        self._heart = Heart(channel, kind, instance, health_port, share=self._told_share)
        self._members: list[Member] = []
        self._next_tend = 0.0
        self._loads: Mapping[int, float] = {}
        self._known_loads: dict[int, float] = {}
        self._planned: set[int] | None = None
        self._moves: set[tuple[str, int]] = set()
        self._has_begun = False
        self._moving_until = self._giving_until = self._calm_until = 0.0

    @property
    def token(self) -> str:
        return f"{self._instance}/{self._incarnation}"

    @property
    def clock_ms(self) -> int:
        """The clock of Redis, as of the last heartbeat and what has passed since."""
        return self._heart.clock_ms

    @property
    def seconds_to_tend(self) -> float:
        return max(0.0, self._next_tend - time.monotonic())

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._next_tend

    def known_load(self, partition: int) -> float:
        """What the last owner has told of a partition, in commands a second."""
        return self._known_loads.get(partition, 0.0)

    def tend(self, loads: Mapping[int, float] = {}) -> tuple[set[int], set[int]]:
        """Heartbeat, renew, share. Returns the partitions gained and those lost to others.
        ``loads`` are the commands a second of those that are held.

        Partitions that are to be given up for fairness are named by :meth:`surplus` instead, so
        that the worker can finish with them before it calls :meth:`release`.
        """
        self._loads = loads
        gained = set() if self._has_begun else self._begin()
        lost = self._renew()
        return gained | self._acquire(), lost

    def keep(self) -> None:
        """Renew in the middle of a long recovery, so that no other worker takes its partitions."""
        if self.due:
            self._renew()

    def gap(self, partition: int, what: str) -> Exception:
        """The error for something that is missing from a stream.

        A worker that was paused for long finds what others have done and trimmed meanwhile, and a
        worker of an older history finds what a reset has left. Only the owner in this history has
        found a real gap.
        """
        check = current(self.history_id, [partition])
        token, still_current = self._channel.all_ok(
            [("GET", keys.lease(partition, self._kind)), check.command]
        )
        try:
            check.read(still_current)
        except HistoryChanged as error:
            return error
        if token == self.token.encode():
            return HistoryMismatch(
                f"{what}: Redis has lost entries, or PostgreSQL is older than what Redis has"
                " trimmed; bring the newer copy back, or run `exchange restore`"
            )
        return Fenced(f"partition {partition} belongs to another worker by now ({what})")

    def surplus(self) -> set[int]:
        """The partitions that this worker should give up so that all members have their share."""
        if self._planned is None:
            return set(sorted(self.held)[self._share() :])
        # For a moment workers may make different plans, and nobody would take what is given up.
        wanted = {p for member in self._members for p in member.wants or ()}
        surplus = (self.held - self._planned) & wanted
        now = time.monotonic()
        if surplus and now >= self._calm_until:
            self._giving_until, self._calm_until = now + GIVING_SECONDS, now + CALM_SECONDS
        may_give = now < self._giving_until or not all(m.loads for m in self._members)
        return self._one_by_one(surplus) if may_give else set()

    def _one_by_one(self, surplus: set[int]) -> set[int]:
        """Under load the busiest one, and none before the last one that was given up has an owner:
        whoever takes several at once reads them back in turn, and the last one waits for all."""
        told = [p for member in self._members for p in member.loads or ()]
        is_quiet = sum(self._known_loads.get(p, 0.0) for p in self._partitions) <= QUIET
        if is_quiet or not surplus:
            return surplus
        if set(self._partitions) - set(told):
            return set()
        return {max(surplus, key=lambda p: (self.known_load(p), p))}

    def release(self, partitions: Iterable[int]) -> None:
        """Give partitions up."""
        released = [p for p in partitions if p in self.held]
        if released:
            call = release(released, self._kind, self.token)
            (answer,) = self._channel.call_each([call])
            if isinstance(answer, Exception):  # They run out, then.
                log.warning("leases were not released", extra={"error": str(answer)})
            self.held.difference_update(released)

    def leave(self) -> None:
        """Give everything up and say so, so that others take over without any wait."""
        self.release(set(self.held))
        self._heart.stop()

    def _begin(self) -> set[int]:
        """Take back what an earlier incarnation has, and note what it has told, before its last
        heartbeat is written over. Else it would look as if nobody had them, without any load."""
        self._has_begun = True
        for member in sorted(members(self._channel, self._kind), key=lambda member: member.seen_ms):
            self._known_loads.update(member.loads or {})
        return self._take(list(self._partitions), 0)

    def _renew(self) -> set[int]:
        """Heartbeat and renew, in one journey to Redis. Returns the partitions that are lost."""
        self._next_tend = time.monotonic() + TEND_SECONDS
        held = sorted(self.held)
        beating = self._heart.beating()
        renewing = renew(self.history_id, held, self._kind, self.token, TTL_MS)
        pulse, renewed = self._channel.call_each([beating, renewing])
        if isinstance(pulse, Pulse):
            self._members = self._heart.heard(pulse)
        else:  # The members stay as they were seen last.
            log.warning("no heartbeat", extra={"error": str(pulse)})
        self._planned = self._plan()
        assert isinstance(renewed, set), "an error is a lease that is not known to be ours"
        lost = self.held - renewed
        self.held -= lost
        return lost

    def _told_share(self) -> Share:
        loads = {p: self._loads.get(p, self.known_load(p)) for p in sorted(self.held)}
        return Share(loads, sorted((self._planned or set()) - self.held))

    def _plan(self) -> set[int] | None:
        """What this worker should own; ``None`` while a worker of an earlier version, which does
        not tell what it owns, shares by the number of partitions."""
        workers: dict[str, dict[int, float]] = {}
        for member in sorted(self._members, key=lambda member: member.seen_ms):
            if member.loads is None:
                return None
            workers[member.instance] = member.loads
            self._known_loads.update(member.loads)
        # What this worker holds is known for sure, so it comes last.
        workers[self._instance] = workers.pop(self._instance, {})
        planned = plan(workers, self._partitions, self._known_loads)
        self._note_moves(
            {(w, p) for w, owned in planned.items() for p in owned if p not in workers[w]}
        )
        return planned[self._instance]

    def _note_moves(self, moves: set[tuple[str, int]]) -> None:
        """Tend again soon while a worker is to get what it does not tell of yet."""
        now = time.monotonic()
        if moves != self._moves:
            self._moves = moves
            self._moving_until = now + MOVING_SECONDS_MAX
        is_alone = len(self._members) == 1  # Nobody else takes or gives anything.
        if moves and not is_alone and now < self._moving_until:
            self._next_tend = now + MOVING_SECONDS

    def _share(self) -> int:
        """How many partitions each worker has when all have the same number."""
        return math.ceil(len(self._partitions) / max(1, len(self._members)))

    def _acquire(self) -> set[int]:
        if self._planned is not None:
            free = sorted(self._planned - self.held)
            wanted = len(free)
        else:
            free = [p for p in self._partitions if p not in self.held]
            wanted = self._share() - len(self.held)
        if wanted <= 0 or not free:
            return set()
        return self._take(free, wanted)

    def _take(self, partitions: list[int], wanted: int) -> set[int]:
        """Take up to ``wanted`` free ones of these, and what an earlier incarnation has."""
        gained: set[int] = set()
        for together in [[p] for p in partitions] if self._channel.is_cluster else [partitions]:
            if not wanted or len(gained) < wanted:
                gained |= self._take_together(together, max(0, wanted - len(gained)))
        self.held |= gained
        if gained:
            log.info("partitions gained", extra={"kind": self._kind, "partitions": sorted(gained)})
        return gained

    def _take_together(self, partitions: list[int], wanted: int) -> set[int]:
        """The same for partitions that lie in one slot on a cluster."""
        call = acquire(
            self.history_id,
            partitions,
            self._kind,
            self._instance,
            self._incarnation,
            TTL_MS,
            wanted,
        )
        (gained,) = self._channel.call_each([call])
        return gained if isinstance(gained, set) else set()
