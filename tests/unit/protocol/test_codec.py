"""The wire: golden bytes, which an innocent change of a field must not move."""

import msgspec
import pytest

from protocol import codec
from protocol.batches import Batch, BatchEntry, chain_hash
from protocol.commands import (
    AmendOrder,
    BustTrade,
    CancelOrder,
    Command,
    MassCancel,
    PlaceOrder,
    PlaceSpecialOrder,
    SetBroker,
    SetInstrument,
    SetStatus,
    Tick,
    implied_time_in_force,
    place_order,
)
from protocol.decisions import Decided
from protocol.endpoints import (
    EndpointAdded,
    EndpointChanged,
    EndpointDisabled,
    EndpointEnabled,
    EndpointRemoved,
    SecretRotated,
)
from protocol.enums import (
    InstrumentStatus,
    OrderState,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)
from protocol.events import (
    BrokerChanged,
    CommandRefused,
    Event,
    InstrumentChanged,
    MassCanceled,
    OrderAccepted,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderTriggered,
    StatusChanged,
    Trade,
    TradeBusted,
    Uncrossed,
)
from protocol.records import FillRecord, InstrumentRecord, OrderRecord, Special
from protocol.registry import (
    BrokerLimitsSet,
    BrokerRegistered,
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
    (
        PlaceSpecialOrder(
            *("b", "1", Side.BID, OrderType.STOP_LIMIT, 9, 8, None, "c", TimeInForce.DAY, True),
            *(SelfTradePrevention.CANCEL_BOTH, "m", 7, 6),
        ),
        (
            "9f05a162a131a3626964aa73746f705f6c696d69740908c0a163a3646179c3ab63616e"
            "63656c5f626f7468a16d0706"
        ),
    ),
    (MassCancel("m", "b"), "9606a16da162c0a0ab6d6173735f63616e63656c"),
    (
        MassCancel("m", "b", Side.ASK, "1", StateReason.CANCEL_TIMER),
        "9606a16da162a361736ba131ac63616e63656c5f74696d6572",
    ),
    (SetInstrument(), "9707010100000000"),
    (SetInstrument(5, 100, 1000, 2000, 500, 60), "97070564cd03e8cd07d0cd01f43c"),
    (SetStatus(InstrumentStatus.AUCTION, "x"), "9308a761756374696f6ea178"),
    (SetBroker("b"), "9709a162c300000000"),
    (SetBroker("b", False, 1, 2, 3, 4), "9709a162c201020304"),
    (
        BustTrade(1, 2, 3, "b", "s", 4, 5, "x", Side.BID, 6, 7, 8),
        "9d0a010203a162a1730405a178a3626964060708",
    ),
]

EVENTS: list[tuple[Event, str]] = [
    (OrderAccepted(1), "920101"),
    (
        Trade(1, 2, 3, Side.BID, 4, 5, "m", "t", 6, 7, 8, 9),
        "9d02010203a36269640405a16da17406070809",
    ),
    (OrderCanceled(1, 2, StateReason.USER_REQUEST), "95030102ac757365725f7265717565737400"),
    (OrderExpired(1, 2), "94040102b376616c69645f756e74696c5f72656163686564"),
    (CommandRefused("x"), "9205a178"),
    (OrderAmended(1, 2, 3, None, True, 4, 5), "9806010203c0c30405"),
    (OrderRejected(1, StateReason.PRICE_BAND), "930701aa70726963655f62616e64"),
    (OrderTriggered(1, 2), "93080102"),
    (MassCanceled("m", "b", 3), "9409a16da16203"),
    (InstrumentChanged(5, 100, 1000, 2000, 500, 60), "970a0564cd03e8cd07d0cd01f43c"),
    (StatusChanged(InstrumentStatus.HALTED, "x"), "930ba668616c746564a178"),
    (Uncrossed(1, 2), "930c0102"),
    (BrokerChanged("b", False, 1, 2, 3, 4), "970da162c201020304"),
    (
        TradeBusted(1, 2, 3, "b", "s", 4, 5, "x", Side.BID, 6, 7, 8),
        "9d0e010203a162a1730405a178a3626964060708",
    ),
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
        ("990a010203a162a1730405a178", BustTrade(1, 2, 3, "b", "s", 4, 5, "x")),
    ):
        assert codec.decode_command(bytes.fromhex(old)) == command


@pytest.mark.parametrize(("event", "golden"), EVENTS)
def test_events_keep_their_bytes(event: Event, golden: str) -> None:
    assert codec.encode(event).hex() == golden


def test_events_from_before_the_last_field_are_still_read() -> None:
    """As they stand in a journal."""
    amended, busted = OrderAmended(1, 2, 3, None, True), TradeBusted(1, 2, 3, "b", "s", 4, 5, "x")
    events = [EVENTS[2][0], EVENTS[3][0], amended, busted]
    entry = BatchEntry("P", 1, 2, 3, b"", events)
    payload = codec.encode(Batch(1, 2, [entry], [], {}))
    new = b"".join([codec.encode(event) for event in events])
    old = bytes.fromhex(
        "94030102ac757365725f72657175657374" + "93040102" + "9606010203c0c3"
        "990e010203a162a1730405a178"
    )
    assert new in payload
    before = payload.replace(new, old).removeprefix(b"\x97").removesuffix(b"\x80\x80")
    assert codec.decode_batch(b"\x95" + before).entries == [entry]


def test_equal_orders_have_the_same_shortest_command() -> None:
    plain = PlaceOrder("b", "1", Side.BID, OrderType.LIMIT, 9, 8, None)
    parts = ("b", "1", Side.BID, OrderType.LIMIT, 9, 8, None)
    assert place_order(*parts) == plain
    assert place_order(*parts, time_in_force=TimeInForce.GTC, display_quantity=8) == plain
    special = place_order(*parts, time_in_force=TimeInForce.DAY)
    assert isinstance(special, PlaceSpecialOrder)
    assert special.time_in_force is TimeInForce.DAY


@pytest.mark.parametrize(
    ("order_type", "valid_until_ms", "implied"),
    [
        (OrderType.LIMIT, None, TimeInForce.GTC),
        (OrderType.LIMIT, 7, TimeInForce.GTD),
        (OrderType.STOP_LIMIT, 7, TimeInForce.GTD),
        (OrderType.MARKET, None, TimeInForce.IOC),
        (OrderType.STOP, None, TimeInForce.GTC),
    ],
)
def test_a_time_in_force_that_is_not_stated_is_implied(
    order_type: OrderType, valid_until_ms: int | None, implied: TimeInForce
) -> None:
    assert implied_time_in_force(order_type, valid_until_ms) is implied


def test_special_orders_and_instruments_keep_their_bytes() -> None:
    special = Special(
        *(TimeInForce.DAY, True, SelfTradePrevention.CANCEL_BOTH, "m", 7, 6, 5, 4, True),
    )
    assert codec.encode(special).hex() == "99a3646179c3ab63616e63656c5f626f7468a16d07060504c3"
    assert Special() == Special(None, False, SelfTradePrevention.NONE, "", None, 0, 0, 0, False)
    record = msgspec.structs.replace(RECORD, special=special)
    assert codec.decode_order(codec.encode(record)) == record
    assert (RECORD.time_in_force, record.time_in_force) == (TimeInForce.GTD, TimeInForce.DAY)
    assert (RECORD.turn, record.turn) == ((2, 0), (2, 4))
    assert (RECORD.shown_quantity, record.shown_quantity) == (2, 0)  # The second one waits.
    special.is_waiting, special.hidden_quantity = False, 1
    assert record.shown_quantity == 1
    instrument = InstrumentRecord(
        *("P", 1, 2, 3, InstrumentStatus.CLOSED, "x", 4, SetInstrument(5)),
        *({"b": SetBroker("b", False)}, [6], 7, 8),
    )
    assert codec.encode(instrument).hex() == (
        "9ca150010203a6636c6f736564a17804970705010000000081a1629709a162c20000000091060708"
    )
    assert codec.decode_instrument(codec.encode(instrument)) == instrument
    assert codec.decode_instrument(bytes.fromhex("94a15001" + "0203")) == InstrumentRecord(
        "P", 1, 2, 3
    )


def test_records_keep_their_bytes() -> None:
    tail = (
        "a55045545234010203a162a164a3626964a56c696d69740a05021e"
        "b07061727469616c6c795f66696c6c6564a0090402"
    )
    golden = f"dc0015{tail}0000a0c0"
    assert codec.encode(RECORD).hex() == golden
    before_special_orders = f"dc0014{tail}0000a0"
    before_client_order_ids, before_amendments = f"dc0013{tail}0000", f"dc0011{tail}"
    for known in (golden, before_special_orders, before_client_order_ids, before_amendments):
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
            EndpointChanged("e", "https://y", ("order.canceled",)),
            EndpointEnabled("e"),
            SecretRotated("e", "whsec_y", 7),
            EndpointRemoved("e"),
            InstrumentListed("PETR4", 1, 2),
            BrokerLimitsSet("b", False, 1, 2, 3, 4, 5, 6, 7),
        ]
    )
    assert codec.decode_registry(codec.encode(entry)) == entry


def test_what_is_said_of_endpoints_keeps_its_bytes() -> None:
    entry = RegistryEntry(
        [
            EndpointAdded("e", "b", "u", "s", ("order.canceled",), 7),
            EndpointDisabled("e", "failed", 7),
            EndpointChanged("e", None, ("order.canceled",)),
            EndpointEnabled("e"),
            SecretRotated("e", "s", 7),
            EndpointRemoved("e"),
        ]
    )
    kind = "91ae6f726465722e63616e63656c6564"
    golden = (
        f"91969704a165a162a175a173{kind}07" + "9406a165a66661696c656407" + f"9409a165c0{kind}"
        "920aa165" + "940ba165a17307" + "920ca165"
    )
    assert codec.encode(entry).hex() == golden
    assert codec.decode_registry(bytes.fromhex(golden)) == entry


def test_endpoints_of_an_earlier_version_are_told_of_trades() -> None:
    """As they stand in a registry of before types could be chosen."""
    stored = bytes.fromhex("9192" + "9504a165a162a175a173" + "9206a165")
    added, disabled = EndpointAdded("e", "b", "u", "s"), EndpointDisabled("e")
    assert codec.decode_registry(stored) == RegistryEntry([added, disabled])
    assert (added.types, added.created_ms) == (("trade.executed",), 0)
    assert (disabled.reason, disabled.disabled_ms) == ("gone", 0)


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"\x91\x63", b"\x92\x02\xa1x", b"\xc1", b"\x91" * 100_000, b"\x92\x02"],
)
def test_what_nobody_wrote_does_not_decode(payload: bytes) -> None:
    with pytest.raises(codec.DecodeError):
        codec.decode_command(payload)
