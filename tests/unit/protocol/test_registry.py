"""The directory of brokers, keys, endpoints and instruments."""

from protocol.registry import (
    BrokerRegistered,
    Directory,
    EndpointAdded,
    EndpointDisabled,
    InstrumentListed,
    KeyIssued,
    KeysRevoked,
    RegistryEntry,
    hash_key,
)


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
    assert directory.brokers_by_key_hash[hash_key("k1")].name == "Alice"
    assert directory.instruments["PETR4"] is directory.instruments_by_number[1]
    assert [e.endpoint_id for e in directory.endpoints_by_broker["b"]] == ["e"]
    directory.apply(2, RegistryEntry([KeysRevoked("b"), KeyIssued("b", hash_key("k2"))]))
    assert set(directory.brokers_by_key_hash) == {hash_key("k2")}
    directory.apply(3, RegistryEntry([EndpointDisabled("e")]))
    assert directory.endpoints_by_broker["b"] == []
    assert (directory.sequence, directory.revocations) == (3, 1)
