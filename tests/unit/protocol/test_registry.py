"""The directory of brokers, keys, endpoints and instruments."""

from protocol.endpoints import (
    EndpointAdded,
    EndpointChanged,
    EndpointDisabled,
    EndpointEnabled,
    EndpointRemoved,
    SecretRotated,
)
from protocol.registry import (
    BrokerRegistered,
    Directory,
    InstrumentListed,
    KeyIssued,
    KeysRevoked,
    RegistryEntry,
    RegistryEvent,
    hash_key,
)
from protocol.webhooks import ENDPOINTS_MAX


def test_the_directory_knows_brokers_keys_endpoints_and_instruments() -> None:
    directory = Directory()
    directory.apply(
        1,
        RegistryEntry(
            [
                BrokerRegistered("b", "Alice", 1),
                KeyIssued("b", hash_key("k1")),
                EndpointAdded("e", "b", "https://x", "whsec_x"),
                InstrumentListed("PETR4", 1, 2),
            ]
        ),
    )
    assert directory.keys[hash_key("k1")].broker.name == "Alice"
    assert directory.instruments["PETR4"] is directory.instruments_by_number[1]
    assert [e.endpoint_id for e in directory.endpoints_by_broker["b"]] == ["e"]
    directory.apply(2, RegistryEntry([KeysRevoked("b"), KeyIssued("b", hash_key("k2"))]))
    assert set(directory.keys) == {hash_key("k2")}
    directory.apply(3, RegistryEntry([EndpointDisabled("e")]))
    assert directory.endpoints == {}
    assert (directory.sequence, directory.revocations) == (3, 1)


def endpoints(*entries: RegistryEvent) -> Directory:
    """A directory after these events, each in an entry of its own."""
    directory = Directory()
    for sequence, event in enumerate(entries, 1):
        directory.apply(sequence, RegistryEntry([event]))
    return directory


ADDED = EndpointAdded("e", "b", "https://x", "one", ("order.canceled",), 5)


def test_an_endpoint_changes_rotates_ends_and_comes_back() -> None:
    directory = endpoints(
        ADDED,
        EndpointChanged("e", url="https://y"),
        SecretRotated("e", "two", 90),
        SecretRotated("e", "three", 99),
        EndpointDisabled("e", "failed", 50),
        EndpointDisabled("e", "gone", 60),
    )
    (ended,) = directory.disabled_endpoints.values()
    assert (ended.url, ended.types, ended.created_ms) == ("https://y", ("order.canceled",), 5)
    assert (ended.secret, ended.previous_secret, ended.previous_until_ms) == ("three", "two", 99)
    assert (ended.disabled_reason, ended.disabled_ms, ended.disabled_sequence) == ("failed", 50, 5)
    assert (ended.sequence, ended.is_enabled, directory.endpoints) == (1, False, {})
    directory.apply(7, RegistryEntry([EndpointEnabled("e")]))
    back = directory.endpoints["e"]
    assert (back.is_enabled, back.disabled_ms, directory.disabled_endpoints) == (True, 0, {})
    assert directory.endpoints_by_broker["b"] == [back]
    assert directory.endpoint("e") is back


def test_what_comes_late_for_a_removed_endpoint_changes_nothing() -> None:
    directory = endpoints(
        ADDED,
        EndpointRemoved("e"),
        EndpointDisabled("e", "gone", 1),
        EndpointEnabled("e"),
        EndpointRemoved("e"),
    )
    assert directory.endpoint("e") is None
    assert directory.removed_endpoints == {"e": "b"}
    assert directory.endpoints_by_broker["b"] == []


def test_two_processes_cannot_add_more_endpoints_than_may_be() -> None:
    added = [EndpointAdded(f"e{n}", "b", "https://x", "s") for n in range(ENDPOINTS_MAX + 1)]
    directory = endpoints(*added, EndpointAdded("other", "c", "https://x", "s"))
    assert list(directory.endpoints) == [f"e{n}" for n in range(ENDPOINTS_MAX)] + ["other"]
