"""Webhooks: the schedule, the verdicts, and where calls may not go."""

import asyncio
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from notifier.addresses import AddressRefused, is_allowed, resolve
from notifier.delivery import judge
from notifier.messages import QueuedMessage
from notifier.retry import DELAYS_SECONDS, next_delay_seconds

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_attempts_follow_the_schedule_and_then_end() -> None:
    delays = [next_delay_seconds(n, 0.5) for n in range(1, 10)]
    assert delays == list(DELAYS_SECONDS[1:])
    assert next_delay_seconds(len(DELAYS_SECONDS), 0.5) is None


def test_jitter_spreads_by_a_fifth_and_the_receiver_may_ask_for_more_time() -> None:
    assert next_delay_seconds(1, 0.0) == 4.0
    assert next_delay_seconds(1, 1.0) == 6.0
    assert next_delay_seconds(1, 0.5, 100) == 100
    assert next_delay_seconds(2, 0.5, 100) == 300
    assert next_delay_seconds(1, 0.5, 10**9) == 24 * 3600


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "delivered"),
        (204, "delivered"),
        (301, "failed"),
        (404, "failed"),
        (410, "gone"),
        (500, "failed"),
    ],
)
def test_what_a_status_means(status: int, verdict: str) -> None:
    assert judge(status, None, NOW).verdict == verdict


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Sun, 22 Nov 2026 00:01:00 GMT", 60.0),
        ("Sat, 21 Nov 2026 00:00:00 GMT", 0.0),
        ("soon", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_retry_after_in_either_form(value: str | None, seconds: float | None) -> None:
    assert judge(503, value, NOW).retry_after_seconds == seconds
    assert judge(500, value, NOW).retry_after_seconds is None


def test_a_queued_message_survives_the_queue_and_signs_its_sequence() -> None:
    queued = QueuedMessage.decode(b'7 0 {"a":" b c"}')
    assert QueuedMessage.decode(queued.failed().encode()).attempts == 1
    assert queued.payload == b'{"a":" b c","sequence":7}'


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "2002:7f00:1::",
        "2002:a00:1::",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2001:db8::1",
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_allowed(ip_address(address), allow_loopback=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), allow_loopback=False)


def test_development_allows_loopback_and_nothing_else() -> None:
    assert is_allowed(ip_address("127.0.0.1"), allow_loopback=True)
    assert is_allowed(ip_address("::1"), allow_loopback=True)
    assert not is_allowed(ip_address("10.0.0.1"), allow_loopback=True)


def test_a_name_is_resolved_and_judged() -> None:
    assert asyncio.run(resolve("127.0.0.1", 80, allow_loopback=True)) == "127.0.0.1"
    with pytest.raises(AddressRefused, match="not public"):
        asyncio.run(resolve("127.0.0.1", 80, allow_loopback=False))
    with pytest.raises(AddressRefused, match="does not resolve"):
        asyncio.run(resolve("no-such-name.invalid", 80, allow_loopback=False))
