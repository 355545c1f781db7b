"""Webhooks: the schedule, the verdicts, and where calls may not go."""

import asyncio
import base64
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from standardwebhooks import Webhook

from notifier.addresses import AddressRefused, is_allowed, resolve
from notifier.delivery import _signed, judge
from notifier.notices import notices
from notifier.retry import DELAYS_SECONDS, next_delay_seconds
from protocol.endpoints import EndpointAdded, EndpointDisabled, WebhookEndpoint
from protocol.registry import Directory, RegistryEntry, RegistryEvent
from protocol.webhooks import QueuedMessage

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


def test_a_queued_message_survives_the_queue() -> None:
    queued = QueuedMessage("order.canceled", 7, 8, b"{}")
    tried = queued.tried("HTTP 500")
    assert QueuedMessage.decode(tried.encode()) == tried
    assert (tried.attempts, tried.result, tried.afresh().attempts) == (1, "HTTP 500", 0)


def test_a_message_that_an_earlier_version_has_queued_is_sent_as_it_was() -> None:
    queued = QueuedMessage.decode(b'7 3 {"a":" b c"}')
    assert queued == QueuedMessage("trade.executed", 7, 0, b'{"a":" b c","sequence":7}', 3)
    assert QueuedMessage.decode(queued.encode()) == queued


def test_a_secret_that_rotates_signs_beside_the_new_one_until_its_time_is_over() -> None:
    one, two = ("whsec_" + base64.b64encode(bytes(32) + text).decode() for text in (b"1", b"2"))
    soon, past = int(time.time() * 1000) + 60_000, 1
    endpoint = WebhookEndpoint("e", "b", "https://x", two, previous_secret=one)
    for until_ms, secrets in ((soon, [two, one]), (past, [two])):
        headers = _signed(replace(endpoint, previous_until_ms=until_ms), "m", b"{}")
        assert len(headers["webhook-signature"].split(" ")) == len(secrets)
        for secret in secrets:
            assert Webhook(secret).verify(b"{}", headers) == {}


def directory(*events: RegistryEvent) -> Directory:
    found = Directory()
    for sequence, event in enumerate(events, 1):
        found.apply(sequence, RegistryEntry([event]))
    return found


def added(endpoint_id: str, broker_id: str = "b") -> EndpointAdded:
    return EndpointAdded(endpoint_id, broker_id, f"https://{endpoint_id}", "s")


def test_the_other_endpoints_of_a_broker_are_told_of_one_that_ended() -> None:
    known = directory(
        *(added("one"), added("two"), added("stranger", "c"), added("stopped")),
        EndpointDisabled("stopped", "broker", 5),
        EndpointDisabled("two", "failed", 6),
        added("late"),
    )
    (notice,) = notices(known, lambda _: True)
    assert (notice.endpoint_id, notice.registry_sequence) == ("one", 6)
    assert notice.message.message_id == "two-disabled-6"
    told = json.loads(notice.message.queued.payload)
    assert told["data"] == {"endpoint_id": "two", "url": "https://two", "state_reason": "failed"}
    assert list(notices(known, lambda endpoint_id: endpoint_id != "one")) == []


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
        "fec0::1",
        "::ffff:0:7f00:1",
        "4000::1",
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
    assert asyncio.run(resolve("localhost", 80, allow_loopback=True)) in ("127.0.0.1", "::1")
    with pytest.raises(AddressRefused, match="not public"):
        asyncio.run(resolve("localhost", 80, allow_loopback=False))
    with pytest.raises(AddressRefused, match="does not resolve"):
        asyncio.run(resolve("no-such-name.invalid", 80, allow_loopback=False))
