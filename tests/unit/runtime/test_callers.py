"""Whose address counts, and what a restricted key is refused."""

import tracemalloc
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from protocol.broker_keys import ALL_SCOPES, KeyAdded, KeyRevoked, Scope
from protocol.registry import (
    ApiKey,
    Broker,
    BrokerRegistered,
    Directory,
    KeyIssued,
    KeysRevoked,
    RegistryEntry,
    hash_key,
)
from runtime.http.callers import Caller, client_address, refuse_key
from runtime.http.keyring import Keyring, new_api_key
from runtime.http.problems import Problem
from runtime.process.errors import SettingsError
from runtime.process.networks import parse_networks
from runtime.process.settings import Settings, load

TRUSTED = parse_networks("X", "10.0.0.0/8 2001:db8:1::/48")


def caller(peer: str | None, *forwarded: str) -> Caller:
    headers = [(b"x-forwarded-for", text.encode()) for text in forwarded]
    return Caller(None, headers, None if peer is None else (peer, 4711))


@pytest.mark.parametrize(
    ("asking", "address"),
    [
        (caller("203.0.113.7"), "203.0.113.7"),
        # Whoever is no trusted proxy may write what he likes.
        (caller("203.0.113.7", "198.51.100.1"), "203.0.113.7"),
        (caller("10.1.1.1", "198.51.100.1"), "198.51.100.1"),
        # What the client wrote stands before what the proxy added.
        (caller("10.1.1.1", "127.0.0.1, 198.51.100.1"), "198.51.100.1"),
        (caller("10.1.1.1", "127.0.0.1", "198.51.100.1"), "198.51.100.1"),
        (caller("10.1.1.1", "127.0.0.1,198.51.100.1 , 10.2.2.2"), "198.51.100.1"),
        (caller("2001:db8:1::1", "2001:db8:2::1"), "2001:db8:2::1"),
        (caller("10.1.1.1", "10.2.2.2"), "10.2.2.2"),
        # A socket for both kinds tells an IPv4 address inside an IPv6 one.
        (caller("::ffff:10.1.1.1", "::ffff:198.51.100.1"), "198.51.100.1"),
        (caller("10.1.1.1"), None),
        (caller("10.1.1.1", "unknown"), None),
        (caller("10.1.1.1", "198.51.100.1, _hidden"), None),
        (caller("10.1.1.1", "198.51.100.1:80"), None),
        (caller(None, "198.51.100.1"), None),
    ],
)
def test_the_address_of_a_client_is_what_the_last_trusted_proxy_says(
    asking: Caller, address: str | None
) -> None:
    found = client_address(asking, TRUSTED)
    assert found == (None if address is None else ip_address(address))


def test_networks_that_are_none_are_refused() -> None:
    for text in ("10.0.0.1/8", "proxy.example", "10.0.0.0/33"):
        with pytest.raises(SettingsError, match="EXCHANGE_TRUSTED_PROXIES"):
            load(Settings, {"EXCHANGE_TRUSTED_PROXIES": text})
    assert load(Settings, {"EXCHANGE_TRUSTED_PROXIES": "10.0.0.0/8 ::1"}).trusted_proxies


def key(scopes: frozenset[Scope] = ALL_SCOPES, expires_ms: int = 0, networks: str = "") -> ApiKey:
    allowed = tuple(ip_network(text) for text in networks.split())
    return ApiKey(Broker("b", "B"), "hash", "k", scopes, 1, expires_ms, allowed, False)


def refusal(one: ApiKey, scope: Scope, asking: Caller, now_ms: int = 1000) -> str | None:
    try:
        refuse_key(one, scope, asking, TRUSTED, now_ms)
    except Problem as problem:
        return problem.code
    return None


def test_a_restricted_key_is_good_for_what_it_says_and_for_nothing_else() -> None:
    here, there = caller("203.0.113.7"), caller("203.0.114.7")
    for one, other in ((Scope.READ, Scope.TRADE), (Scope.TRADE, Scope.READ)):
        assert refusal(key(frozenset([one])), one, here) is None
        assert refusal(key(frozenset([one])), other, here) == "insufficient_scope"
    assert refusal(key(expires_ms=1001), Scope.READ, here) is None
    assert refusal(key(expires_ms=1000), Scope.READ, here) == "key_expired"
    near = key(networks="203.0.113.0/24 2001:db8:5::/48")
    assert refusal(near, Scope.READ, here) is None
    assert refusal(near, Scope.READ, caller("2001:db8:5::9")) is None
    assert refusal(near, Scope.READ, there) == "address_not_allowed"
    assert refusal(near, Scope.READ, caller("2001:db8:6::9")) == "address_not_allowed"
    assert refusal(near, Scope.READ, caller(None)) == "address_not_allowed"
    assert refusal(near, Scope.READ, caller("10.1.1.1", "203.0.113.9")) is None
    assert refusal(near, Scope.READ, caller("10.1.1.1", "203.0.113.9, 1.1.1.1")) is not None


def test_padded_headers_are_known_and_take_no_memory() -> None:
    directory, api_key = Directory(), new_api_key()
    issued = KeyIssued("b", hash_key(api_key))
    directory.apply(1, RegistryEntry([BrokerRegistered("b", "B", 1), issued]))
    keyring = Keyring(directory, "admin")
    tracemalloc.start()
    for spaces in range(2000, 3000):
        header = b"Bearer" + b" " * spaces + api_key.encode()
        assert keyring.broker(header) == Broker("b", "B")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 500_000


def test_the_directory_keeps_all_keys_of_a_broker_until_each_is_revoked() -> None:
    first, second, third = (new_api_key() for _ in range(3))
    directory = Directory()
    added = KeyAdded("b", hash_key(second), "night", [Scope.READ], 5, 9, ["203.0.113.7/32"])
    broker, issued = BrokerRegistered("b", "B", 1), KeyIssued("b", hash_key(first))
    other = KeyAdded("b", hash_key(third), "x", [], 5)
    directory.apply(1, RegistryEntry([broker, issued, added, other]))
    keyring = Keyring(directory, "admin")

    assert [one.name for one in directory.keys_of("b")] == ["", "night", "x"]
    found = keyring.key(f"Bearer {second}".encode())
    assert found is not None
    assert not found.is_unrestricted
    assert found.networks == (ip_network(IPv4Address("203.0.113.7")),)
    assert keyring.broker(f"Bearer {second}".encode()) is None, "it has expired"
    assert keyring.broker(f"Bearer {third}".encode()) == Broker("b", "B")

    directory.apply(2, RegistryEntry([KeyRevoked("b", hash_key(third))]))
    assert keyring.key(f"Bearer {third}".encode()) is None
    assert keyring.broker(f"Bearer {first}".encode()) == Broker("b", "B")
    directory.apply(3, RegistryEntry([KeysRevoked("b")]))
    assert directory.keys_of("b") == []
    assert keyring.key(f"Bearer {first}".encode()) is None
