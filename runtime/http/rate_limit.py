"""How many messages a second a broker may send: a bucket each for orders, cancels and reads.

A bucket holds what a second allows, and fills as time passes. A message that finds it empty is
refused. A batch needs only one free place and owes the others, so it is never refused for its size.
Every HTTP process counts for itself, and the limits are off unless the operator has set them.
"""

import math
import time
from enum import Enum

from protocol.registry import BrokerLimitsSet, Directory
from runtime.http.endpoints import Answer, Call, Endpoint, Headers
from runtime.http.keyring import Keyring
from runtime.http.problems import rate_limit_headers, rate_limited

BUCKETS_MAX = 10_000


class Kind(str, Enum):
    """What a message asks for."""

    ORDERS = "orders"
    CANCELS = "cancels"
    READS = "reads"


class Bucket:
    """``per_second`` messages a second; times are seconds of one monotonic clock."""

    __slots__ = ("_at", "_free", "per_second")

    def __init__(self, per_second: int, now: float) -> None:
        self.per_second = per_second
        self._free = float(per_second)
        self._at = now

    def take(self, now: float) -> bool:
        """Take a place for one message, if there is one."""
        self._fill(now)
        if self._free < 1:
            return False
        self._free -= 1
        return True

    def owe(self, count: int) -> None:
        """Take more places than there may be."""
        self._free -= count

    def free(self, now: float) -> int:
        """How many messages may come at once."""
        self._fill(now)
        return max(0, math.floor(self._free))

    def seconds_until_free(self, now: float) -> int:
        """Whole seconds until a message may come."""
        self._fill(now)
        return max(0, math.ceil((1 - self._free) / self.per_second))

    def _fill(self, now: float) -> None:
        free = self._free + (now - self._at) * self.per_second
        self._free = min(float(self.per_second), free)
        self._at = now


class RateLimits:
    """The buckets of this process. ``directory`` has the limits of the brokers."""

    def __init__(self, directory: Directory, keyring: Keyring) -> None:
        self._directory = directory
        self._keyring = keyring
        self._buckets: dict[tuple[str, Kind], Bucket] = {}

    @property
    def may_apply(self) -> bool:
        """Whether any broker has limits."""
        return bool(self._directory.limits)

    async def answer(self, endpoint: Endpoint, call: Call, now: float) -> Answer:
        """What the endpoint answers, unless the broker has sent too much; with the headers that
        tell him how much he may send."""
        kind = kind_of(endpoint)
        bucket = self._bucket(call.authorization, kind, now)
        if bucket is None:
            return await endpoint.handler(call)
        _take(bucket, kind, now)
        answer = await endpoint.handler(call)
        answer.headers = (*answer.headers, *_told(bucket, kind, now))
        return answer

    def admit(self, authorization: bytes | None, kind: Kind) -> Headers:
        """The same for a call of ordinary FastAPI: raises ``rate_limited``, or returns the headers
        that tell the broker how much he may send; none where he has no limit."""
        now = time.perf_counter()
        bucket = self._bucket(authorization, kind, now)
        if bucket is None:
            return []
        _take(bucket, kind, now)
        return list(_told(bucket, kind, now))

    def owe(self, broker_id: str, kind: Kind, count: int) -> None:
        """Count ``count`` messages more for a request that brings many."""
        bucket = self._buckets.get((broker_id, kind))
        if bucket is not None:
            bucket.owe(count)

    def _bucket(self, authorization: bytes | None, kind: Kind, now: float) -> Bucket | None:
        broker = self._keyring.broker(authorization)
        limits = None if broker is None else self._directory.limits.get(broker.broker_id)
        if broker is None or limits is None:
            return None
        per_second = per_second_of(limits.rules, kind)
        key = (broker.broker_id, kind)
        bucket = self._buckets.get(key)
        if bucket is None or bucket.per_second != per_second:
            if len(self._buckets) >= BUCKETS_MAX:
                self._buckets.clear()
            self._buckets.pop(key, None)
            if per_second == 0:
                return None
            bucket = self._buckets[key] = Bucket(per_second, now)
        return bucket


def _take(bucket: Bucket, kind: Kind, now: float) -> None:
    if not bucket.take(now):
        raise rate_limited(kind.value, bucket.per_second, bucket.seconds_until_free(now))


def _told(bucket: Bucket, kind: Kind, now: float) -> tuple[tuple[bytes, bytes], ...]:
    return rate_limit_headers(
        kind.value, bucket.per_second, bucket.free(now), bucket.seconds_until_free(now)
    )


def kind_of(endpoint: Endpoint) -> Kind:
    """In which bucket a call of the endpoint is counted."""
    if endpoint.method == "GET":
        return Kind.READS
    if endpoint.method == "DELETE" or "cancel" in endpoint.path:
        return Kind.CANCELS
    return Kind.ORDERS


def per_second_of(rules: BrokerLimitsSet, kind: Kind) -> int:
    """0 where there is no such limit."""
    match kind:
        case Kind.ORDERS:
            return rules.orders_per_second
        case Kind.CANCELS:
            return rules.cancels_per_second
        case Kind.READS:
            return rules.reads_per_second
