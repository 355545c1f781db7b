"""Calls to webhooks cannot be led into our own network, whatever a real resolver says.

The names are resolved by the C library, which asks a DNS server of ours. That needs a network and a
mount namespace, where ``unshare`` may make them; the rules themselves are tested without in
tests/unit/notifier/test_webhooks.py.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.webhook_world import LITERALS, PORT, REBINDING, RECORDS

_APART = ["unshare", "--user", "--map-root-user", "--net", "--mount"]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    try:
        subprocess.run([*_APART, "ip", "link"], check=True, capture_output=True, timeout=20)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no namespaces here, which need root or unprivileged user namespaces: {error}")
    done = subprocess.run(
        [*_APART, sys.executable, "-m", "tests.support.webhook_world"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_name_with_a_public_address_is_called(seen: dict[str, Any]) -> None:
    assert seen["outcomes"]["public"] == "delivered: HTTP 200"
    assert f"public.test:{PORT}/" in seen["public"]


@pytest.mark.parametrize("name", sorted(set(RECORDS) - {"public"}))
def test_a_name_with_any_other_address_is_not(seen: dict[str, Any], name: str) -> None:
    outcome = seen["outcomes"][name]
    assert outcome.startswith("failed: "), outcome
    # The C library itself drops an IPv4 address that IPv6 wraps in this way.
    refused = "does not resolve" if name == "mapped" else "which is not public"
    assert refused in outcome


@pytest.mark.parametrize("literal", LITERALS)
def test_no_spelling_of_an_address_of_our_own_is_called(seen: dict[str, Any], literal: str) -> None:
    assert "which is not public" in seen["outcomes"][literal]


def test_a_redirect_is_not_followed(seen: dict[str, Any]) -> None:
    assert seen["outcomes"]["redirect"] == "failed: HTTP 307"
    assert f"public.test:{PORT}/moved" in seen["public"]


def test_a_name_that_changes_its_address_is_called_where_it_was_checked(
    seen: dict[str, Any],
) -> None:
    """The first attempt looks it up once, so the second answer of the server comes too late; the
    second attempt looks it up again and refuses."""
    assert seen["outcomes"]["rebinding 1"] == "delivered: HTTP 200"
    assert f"{REBINDING}:{PORT}/first" in seen["public"]
    assert "which is not public" in seen["outcomes"]["rebinding 2"]
    assert seen["asked"][f"{REBINDING} A"] == 2


def test_names_that_are_never_answered_do_not_hold_up_the_others(seen: dict[str, Any]) -> None:
    outcome, _, seconds = seen["outcomes"]["beside the silent"].rpartition(" in ")
    assert outcome == "delivered: HTTP 200"
    assert float(seconds.removesuffix(" s")) < 0.9  # A look-up that nobody answers takes 1 s.
    for number in range(30):
        assert "does not resolve" in seen["outcomes"][f"silent {number}"]


def test_nothing_has_come_to_our_own_network(seen: dict[str, Any]) -> None:
    assert seen["loopback"] == []
