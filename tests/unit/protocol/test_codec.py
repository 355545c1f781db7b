"""The wire: golden bytes, which an innocent change of a field must not move."""

import pytest

from protocol import codec
from protocol.batches import Batch, BatchEntry, chain_hash
from protocol.commands import AmendOrder, CancelOrder, Command, PlaceOrder, Tick
from protocol.decisions import Decided
from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.events import (
    CommandRefused,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    Trade,
)
from protocol.records import FillRecord, OrderRecord
from protocol.registry import (
    BrokerRegistered,
    EndpointAdded,
    EndpointDisabled,
    InstrumentListed,
    KeyIssued,
    KeysRevoked,
    RegistryEntry,
)

GOLDEN_COMMANDS: list[tuple[Command, str]] = [
    (
        PlaceOrder("b", "123", Side.BID, OrderType.LIMIT, 1000, 5, 7),
        "9901a162a3313233a3626964a56c696d6974cd03e80507a0",
    ),
    (
        PlaceOrder("b", "1", Side.ASK, OrderType.MARKET, None, 5, None),
        "9901a162a131a361736ba66d61726b6574c005c0a0",
    ),
    (CancelOrder(300), "9402cd012ca000"),
    (CancelOrder(1, "b", 7), "940201a16207"),
    (Tick(), "9103"),
    (AmendOrder(1, 2, None, 3), "98040102c003c0a000"),
    (AmendOrder(1, None, 2, None, 4, "b", 7), "980401c002c004a16207"),
]

EVENTS: list[tuple[Event, str]] = [
    (OrderAccepted(1), "920101"),
    (
        Trade(1, 2, 3, Side.BID, 4, 5, "m", "t", 6, 7, 8, 9),
        "9d02010203a36269640405a16da17406070809",
    ),
    (OrderCanceled(1, 2, StateReason.USER_REQUEST), "94030102ac757365725f72657175657374"),
    (OrderExpired(1, 2), "93040102"),
    (CommandRefused("x"), "9205a178"),
    (OrderAmended(1, 2, 3, None, True), "9606010203c0c3"),
]

RECORD = OrderRecord(
    "PETR4",
    *(1, 2, 3, "b", "d"),
    Side.BID,
    OrderType.LIMIT,
    *(10, 5, 2, 30),
    OrderState.PARTIALLY_FILLED,
    StateReason.NONE,
    *(9, 4, 2),
)


@pytest.mark.parametrize(("command", "golden"), GOLDEN_COMMANDS)
def test_commands_keep_their_bytes(command: Command, golden: str) -> None:
    assert codec.encode(command).hex() == golden
    assert codec.decode_command(bytes.fromhex(golden)) == command


def test_commands_from_before_the_last_field_are_still_read() -> None:
    for old, command in (
        ("9801a162a3313233a3626964a56c696d6974cd03e80507", GOLDEN_COMMANDS[0][0]),
        ("9202cd012c", CancelOrder(300)),
        ("95040102c003", AmendOrder(1, 2, None, 3)),
        ("96040102c003c0", AmendOrder(1, 2, None, 3)),
    ):
        assert codec.decode_command(bytes.fromhex(old)) == command


@pytest.mark.parametrize(("event", "golden"), EVENTS)
def test_events_keep_their_bytes(event: Event, golden: str) -> None:
    assert codec.encode(event).hex() == golden


def test_records_keep_their_bytes() -> None:
    tail = (
        "a55045545234010203a162a164a3626964a56c696d69740a05021e"
        "b07061727469616c6c795f66696c6c6564a0090402"
    )
    golden = f"dc0014{tail}0000a0"
    assert codec.encode(RECORD).hex() == golden
    before_client_order_ids, before_amendments = f"dc0013{tail}0000", f"dc0011{tail}"
    for known in (golden, before_client_order_ids, before_amendments):
        assert codec.decode_order(bytes.fromhex(known)) == RECORD
    fill = FillRecord(1, 2, 3, "b", 4)
    assert codec.encode(fill).hex() == "95010203a16204"
    assert codec.decode_fill(codec.encode(fill)) == fill


def test_a_batch_survives_the_wire_and_the_chain_is_pinned() -> None:
    batch = Batch(
        2,
        3,
        [BatchEntry("PETR4", 1, 2, 3, b"\x91\x03", [event for event, _ in EVENTS])],
        [codec.encode(RECORD)],
        {"b": -5},
    )
    payload = codec.encode(batch)
    assert codec.decode_batch(payload) == batch
    assert chain_hash("0" * 64, b"abc") == (
        "b64374d04ef9c4f39fddb1e0d6be38a0130f6c057fc0f4ee467ea0e18bc758f1"
    )


def test_decisions_keep_their_bytes() -> None:
    decided = Decided(7, {"PETR4": (1, 2)}, [("PETR4", 1, "not_owner")])
    golden = "930781a55045545234920102" + "9193a5504554523401a96e6f745f6f776e6572"
    assert codec.encode(decided).hex() == golden
    assert codec.decode_decided(bytes.fromhex(golden)) == decided


def test_a_registry_entry_survives_the_wire() -> None:
    entry = RegistryEntry(
        [
            BrokerRegistered("b", "Alice", 1),
            KeyIssued("b", "hash"),
            KeysRevoked("b"),
            EndpointAdded("e", "b", "https://x", "whsec_x"),
            EndpointDisabled("e"),
            InstrumentListed("PETR4", 1, 2),
        ]
    )
    assert codec.decode_registry(codec.encode(entry)) == entry


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"\x91\x63", b"\x92\x02\xa1x", b"\xc1", b"\x91" * 100_000, b"\x92\x02"],
)
def test_what_nobody_wrote_does_not_decode(payload: bytes) -> None:
    with pytest.raises(codec.DecodeError):
        codec.decode_command(payload)
