"""Message rates: buckets that fill with time, one for each kind of message."""

import asyncio

import pytest

from protocol.registry import (
    BrokerLimitsSet,
    BrokerRegistered,
    Directory,
    KeyIssued,
    RegistryEntry,
    RegistryEvent,
    hash_key,
)
from runtime.http.endpoints import Answer, Call, Endpoint
from runtime.http.keyring import Keyring
from runtime.http.problems import Problem
from runtime.http.rate_limit import Bucket, Kind, RateLimits, kind_of


def test_a_bucket_holds_what_a_second_allows_and_fills_with_time() -> None:
    bucket = Bucket(10, 100.0)
    assert [bucket.take(100.0) for _ in range(11)] == [True] * 10 + [False]
    assert (bucket.free(100.0), bucket.seconds_until_free(100.0)) == (0, 1)
    assert bucket.free(100.35) == 3
    assert bucket.take(100.35)
    assert bucket.free(1000.0) == 10


def test_a_batch_owes_what_is_not_there() -> None:
    bucket = Bucket(10, 0.0)
    assert bucket.take(0.0)
    bucket.owe(49)
    assert not bucket.take(3.9)
    assert bucket.seconds_until_free(0.0) == 5
    assert bucket.take(4.2)


async def taken(_call: Call) -> Answer:
    return Answer(201, b"", ((b"location", b"/x"),))


PLACE = Endpoint("POST", "/orders", taken)
CANCEL = Endpoint("POST", "/orders/{order_id}/cancel", taken)
READ = Endpoint("GET", "/balance", taken)


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/orders", Kind.ORDERS),
        ("PATCH", "/orders/{order_id}", Kind.ORDERS),
        ("POST", "/orders/batch", Kind.ORDERS),
        ("POST", "/orders/validate", Kind.ORDERS),
        ("DELETE", "/orders", Kind.CANCELS),
        ("POST", "/orders/{order_id}/cancel", Kind.CANCELS),
        ("POST", "/orders/cancel-all-after", Kind.CANCELS),
        ("GET", "/orders/{order_id}", Kind.READS),
    ],
)
def test_each_call_has_its_bucket(method: str, path: str, kind: Kind) -> None:
    assert kind_of(Endpoint(method, path, taken)) is kind


class Limited:
    """Two brokers with the keys ``xk_a`` and ``xk_b``; calls come at the second ``now``."""

    def __init__(self) -> None:
        self.directory = Directory()
        self.limits = RateLimits(self.directory, Keyring(self.directory, ""))
        self.now = 0.0
        for broker in "ab":
            self.register(BrokerRegistered(broker, broker, 1))
            self.register(KeyIssued(broker, hash_key(f"xk_{broker}")))

    def register(self, event: RegistryEvent) -> None:
        self.directory.apply(self.directory.sequence + 1, RegistryEntry([event]))

    def call(self, endpoint: Endpoint, key: str | None = "xk_a") -> Answer:
        authorization = None if key is None else f"Bearer {key}".encode()
        call = Call([], authorization, b"", b"", ())
        return asyncio.run(_answer(self.limits, endpoint, call, self.now))


async def _answer(limits: RateLimits, endpoint: Endpoint, call: Call, now: float) -> Answer:
    return await limits.answer(endpoint, call, now)


def test_without_limits_nothing_is_counted_or_told() -> None:
    limited = Limited()
    assert not limited.limits.may_apply
    limited.register(BrokerLimitsSet("b", orders_per_second=1))
    assert limited.limits.may_apply
    for _ in range(5):
        assert limited.call(PLACE).headers == ((b"location", b"/x"),)
        assert limited.call(PLACE, None).status == 201
        assert limited.call(PLACE, "xk_nobody").status == 201


def test_who_sends_too_much_is_told_when_to_come_again() -> None:
    limited = Limited()
    limited.register(BrokerLimitsSet("a", orders_per_second=2, cancels_per_second=3))
    assert limited.call(PLACE).headers[1:] == (
        (b"ratelimit-policy", b'"orders";q=2;w=1'),
        (b"ratelimit", b'"orders";r=1;t=0'),
    )
    limited.call(PLACE)
    with pytest.raises(Problem) as raised:
        limited.call(PLACE)
    assert (raised.value.code, raised.value.status) == ("rate_limited", 429)
    headers = dict(raised.value.headers)
    assert headers[b"retry-after"] == b"1"
    assert headers[b"ratelimit"] == b'"orders";r=0;t=1'
    # Cancels, reads and other brokers have nothing to do with it.
    assert [limited.call(CANCEL).status for _ in range(3)] == [201] * 3
    assert [limited.call(READ).status for _ in range(9)] == [201] * 9
    assert limited.call(PLACE, "xk_b").status == 201
    limited.now = 0.6
    assert limited.call(PLACE).status == 201


def test_another_limit_counts_at_once_and_none_is_none() -> None:
    limited = Limited()
    limited.register(BrokerLimitsSet("a", orders_per_second=1))
    limited.call(PLACE)
    with pytest.raises(Problem):
        limited.call(PLACE)
    limited.register(BrokerLimitsSet("a", orders_per_second=3))
    assert [limited.call(PLACE).status for _ in range(3)] == [201] * 3
    limited.limits.owe("a", Kind.ORDERS, 50)
    limited.now = 10.0
    with pytest.raises(Problem) as raised:
        limited.call(PLACE)
    assert dict(raised.value.headers)[b"retry-after"] == b"7"
    limited.register(BrokerLimitsSet("a"))
    assert [limited.call(PLACE).status for _ in range(9)] == [201] * 9
