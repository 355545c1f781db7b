"""Keys, units, registry and book snapshots: the small words of the protocol."""

import inspect
import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import books, keys
from protocol.enums import Side
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
from protocol.units import TIME_MS_MAX, format_time, milliseconds


def test_every_key_is_in_the_table_of_its_module() -> None:
    assert keys.__doc__ is not None
    made = [keys.GENESIS, keys.RESTORING, keys.REGISTRY, keys.INSTRUMENTS, keys.LISTED]
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        if name in ("order_field", "client_field"):
            continue
        names = list(inspect.signature(function).parameters)
        values = {"partition": 7, "kind": "KIND", "symbol": "SYMBOL", "field": "N:S"}
        made.append(function(*[values.get(p, "ID") for p in names]))
    shapes = {key.replace("{p07}", "{pNN}") for key in made}
    table = set(re.findall(r"^(\{\S+)", keys.__doc__, re.MULTILINE))
    assert shapes == table


@given(st.integers(0, TIME_MS_MAX))
def test_a_time_is_written_so_that_it_can_be_read_back(time_ms: int) -> None:
    written = format_time(time_ms)
    assert milliseconds(datetime.fromisoformat(written)) == time_ms
    assert written.endswith("+00:00")


def test_milliseconds_round_down_and_mind_the_offset() -> None:
    zone = timezone(timedelta(hours=-3))
    moment = datetime(1970, 1, 1, 0, 0, 0, 1_999, tzinfo=zone)
    assert milliseconds(moment) == 3 * 3_600_000 + 1
    assert milliseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0


def test_sides_have_opposites() -> None:
    assert [side.opposite for side in Side] == [Side.ASK, Side.BID]


def test_a_snapshot_renders_to_the_depth_asked_for() -> None:
    stored = books.snapshot(9, books.level(10, 5, 1) + books.level(9, 7, 2), "")
    assert json.loads(books.render("X", stored, 1)) == {
        "symbol": "X",
        "depth": 1,
        "bids": [{"price": 10, "total_quantity": 5, "order_count": 1}],
        "asks": [],
        "sequence": 9,
    }
    assert len(json.loads(books.render("X", stored, 50))["bids"]) == 2
    assert json.loads(books.render("X", books.EMPTY, 10))["sequence"] == 0


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


@pytest.mark.parametrize("partition", [0, 7, 99])
def test_all_keys_of_a_partition_share_its_hash_tag(partition: int) -> None:
    tag = f"{{p{partition:02d}}}:"
    for key in (
        keys.heads(partition),
        keys.orders(partition, "X"),
        keys.lease(partition, "matcher"),
        keys.closed_order(partition, "1:1"),
        keys.events(partition),
    ):
        assert key.startswith(tag)
