"""Every key of Redis: in the table of its module, and with the hash tag of its partition."""

import inspect
import re

import pytest

from protocol import keys

FIELDS = ("order_field", "client_field", "broker_mark", "holding_field", "parse_holding_field")


def test_every_key_is_in_the_table_of_its_module() -> None:
    assert keys.__doc__ is not None
    made = [keys.GENESIS, keys.RESTORING, keys.REGISTRY, keys.INSTRUMENTS, keys.LISTED]
    made += [keys.TIMERS, keys.ARMED, keys.LISTENERS, keys.MARKET]
    for name, function in inspect.getmembers(keys, inspect.isfunction):
        if name in FIELDS:
            continue
        names = list(inspect.signature(function).parameters)
        values = {"partition": 7, "kind": "KIND", "symbol": "SYMBOL", "field": "N:S"}
        made.append(function(*[values.get(p, "ID") for p in names]))
    shapes = {key.replace("{p07}", "{pNN}") for key in made}
    table = set(re.findall(r"^(\{\S+)", keys.__doc__, re.MULTILINE))
    assert shapes == table


@pytest.mark.parametrize("partition", [0, 7, 99])
def test_all_keys_of_a_partition_share_its_hash_tag(partition: int) -> None:
    tag = f"{{p{partition:02d}}}:"
    for key in (
        keys.heads(partition),
        keys.orders(partition, "X"),
        keys.lease(partition, "matcher"),
        keys.closed_order(partition, "1:1"),
        keys.events(partition),
        keys.reports(partition),
    ):
        assert key.startswith(tag)


def test_a_holding_field_is_read_back() -> None:
    assert keys.parse_holding_field(keys.holding_field(7, "b").encode()) == (7, "b")
