"""How often a broker may call: token buckets, and the headers that tell about them.

Pure: the clock is handed in, milliseconds of one monotonic clock, and all numbers are integers.
Orders, cancels and reads have buckets of their own, so that a broker who places too many orders
can still cancel them. A broker without a policy is not limited. Each HTTP process counts alone.

The headers are ``RateLimit`` and ``RateLimit-Policy`` of draft-ietf-httpapi-ratelimit-headers-10.
"""

from enum import Enum
from typing import NamedTuple

Headers = tuple[tuple[bytes, bytes], ...]


class CallKind(str, Enum):
    """What is counted together; the value is the name of the policy in the headers."""

    ORDERS = "orders"
    CANCELS = "cancels"
    READS = "reads"


class Policy(NamedTuple):
    """Up to ``quota`` calls at once, and on average ``quota`` in ``window_seconds``; both are at
    least 1."""

    quota: int
    window_seconds: int


class Verdict(NamedTuple):
    """What became of a call.

    ``remaining`` is how many calls could follow at once. ``reset_seconds`` is how long it takes
    until there is one more. ``retry_seconds`` is how long to wait until this very call would be
    let in, 0 when it was.
    """

    kind: CallKind
    policy: Policy
    remaining: int
    reset_seconds: int
    retry_seconds: int

    @property
    def is_allowed(self) -> bool:
        return not self.retry_seconds

    def headers(self) -> Headers:
        """The headers for the answer, also for one that is no refusal."""
        name, (quota, window) = self.kind.value, self.policy
        told: Headers = (
            (b"ratelimit-policy", f'"{name}";q={quota};w={window}'.encode()),
            (b"ratelimit", f'"{name}";r={self.remaining};t={self.reset_seconds}'.encode()),
        )
        if self.is_allowed:
            return told
        return (*told, (b"retry-after", b"%d" % self.retry_seconds))


class Bucket:
    """The tokens of one broker for one kind of call.

    A token is counted as so many units as its window has milliseconds. Then each millisecond adds
    ``quota`` units, and nothing is ever rounded.
    """

    __slots__ = ("_at_ms", "_kind", "_units", "policy")

    def __init__(self, kind: CallKind, policy: Policy, now_ms: int, tokens: int) -> None:
        self.policy = policy
        self._kind = kind
        self._at_ms = now_ms
        self._units = min(tokens, policy.quota) * policy.window_seconds * 1000

    def tokens(self, now_ms: int) -> int:
        """How many calls could come at once."""
        self._refill(now_ms)
        return self._units // (self.policy.window_seconds * 1000)

    def take(self, now_ms: int, count: int = 1) -> Verdict:
        """Take ``count`` tokens, at least 1, or none when there are not enough of them.

        A ``count`` above the quota is let in when the bucket is full, for it could never be
        otherwise; the bucket is then empty.
        """
        self._refill(now_ms)
        quota, window = self.policy
        token = window * 1000
        missing = min(count, quota) * token - self._units
        if missing <= 0:
            self._units -= min(count, quota) * token
        return Verdict(
            self._kind,
            self.policy,
            remaining=self._units // token,
            reset_seconds=_seconds(token - self._units % token, quota),
            retry_seconds=_seconds(missing, quota) if missing > 0 else 0,
        )

    def _refill(self, now_ms: int) -> None:
        quota, window = self.policy
        gained = (now_ms - self._at_ms) * quota
        self._units = min(self._units + gained, quota * window * 1000)
        self._at_ms = now_ms


class RateLimits:
    """The buckets of all brokers."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, CallKind], Bucket] = {}

    def set_policy(
        self, broker_id: str, kind: CallKind, policy: Policy | None, now_ms: int
    ) -> None:
        """Limit a broker from now on, or with ``None`` no longer. A bucket begins full. Under a
        changed policy it keeps its tokens, as far as they fit, so that a change gives nobody a
        second burst."""
        bucket = self._buckets.get((broker_id, kind))
        if policy is None:
            self._buckets.pop((broker_id, kind), None)
        elif bucket is None or bucket.policy != policy:
            tokens = policy.quota if bucket is None else bucket.tokens(now_ms)
            self._buckets[broker_id, kind] = Bucket(kind, policy, now_ms, tokens)

    def take(self, broker_id: str, kind: CallKind, now_ms: int, count: int = 1) -> Verdict | None:
        """Count a call, or a batch of ``count``; ``None`` when the broker is not limited."""
        bucket = self._buckets.get((broker_id, kind))
        return None if bucket is None else bucket.take(now_ms, count)


def _seconds(units: int, quota: int) -> int:
    """How long the bucket needs for so many units, in whole seconds, rounded up."""
    return -(-units // (quota * 1000))
