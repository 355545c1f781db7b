"""Orders, fills and the rules of symbols as they are kept in Redis and carried to PostgreSQL.

A record is the absolute state after a change, never a difference: writing it twice is harmless.
"""

import msgspec

from protocol import ids, keys
from protocol.commands import SetBroker, SetInstrument, implied_time_in_force
from protocol.enums import (
    InstrumentStatus,
    OrderState,
    OrderType,
    SelfTradePrevention,
    Side,
    StateReason,
    TimeInForce,
)


class Special(msgspec.Struct, array_like=True, gc=False):
    """What only an order has that was placed with special instructions, and how it stands with
    them. The first fields are those of :class:`~protocol.commands.PlaceSpecialOrder`."""

    time_in_force: TimeInForce | None = None
    post_only: bool = False
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.NONE
    memo: str = ""
    stop_price: int | None = None
    display_quantity: int = 0
    hidden_quantity: int = 0
    """What the book does not show of a resting iceberg order."""
    turn: int = 0
    """Counts the turns that one entry of the log has given, after that of its own order."""
    is_waiting: bool = False
    """Whether a stop order has not been triggered yet."""


class OrderRecord(msgspec.Struct, array_like=True, gc=False):
    """One order. ``open_quantity`` keeps what was not filled also after the order has ended."""

    symbol: str
    instrument_number: int
    sequence: int
    created_ms: int
    broker_id: str
    document_number: str
    side: Side
    order_type: OrderType
    price: int | None
    quantity: int
    open_quantity: int
    filled_notional: int
    state: OrderState
    reason: StateReason
    valid_until_ms: int | None
    updated_ms: int
    version: int
    priority: int = 0
    """Sequence of the entry that gave the order its turn; 0 means its own."""
    amended_sequence: int = 0
    """Sequence of the last amendment that was made; 0 means none."""
    client_order_id: str = ""
    """The broker's own id of the order; empty when there is none."""
    special: Special | None = None
    """``None`` for a plain order, as nearly all are."""

    @property
    def order_id(self) -> str:
        return ids.encode(self.created_ms, self.instrument_number, self.sequence)

    @property
    def field(self) -> str:
        """What names the order in the keys of its partition."""
        return keys.order_field(self.instrument_number, self.sequence)

    @property
    def filled_quantity(self) -> int:
        return self.quantity - self.open_quantity

    @property
    def shown_quantity(self) -> int:
        """What the book shows of the order; 0 for a stop order that waits."""
        if self.special is None:
            return self.open_quantity
        if self.special.is_waiting:
            return 0
        return self.open_quantity - self.special.hidden_quantity

    @property
    def time_in_force(self) -> TimeInForce:
        stated = self.special.time_in_force if self.special is not None else None
        return stated or implied_time_in_force(self.order_type, self.valid_until_ms)

    @property
    def turn(self) -> tuple[int, int]:
        """Orders of one price are sorted by this: who has the lower one is filled first."""
        turn = self.special.turn if self.special is not None else 0
        return self.priority or self.sequence, turn


class FillRecord(msgspec.Struct, array_like=True, gc=False):
    """One order's half of a trade."""

    trade_number: int
    price: int
    quantity: int
    counterparty_broker_id: str
    executed_ms: int


class InstrumentRecord(msgspec.Struct, array_like=True):
    """The rules and the status of a symbol after the entry ``sequence`` of its log. A symbol
    without a record is open and has no rules.

    ``brokers`` has what was set for a broker, by its id; ``busted_trades`` the numbers of the
    trades that count no more. ``auction_ends_ms`` is 0 when no auction ends by itself.
    ``indicative_price`` and ``indicative_quantity`` say how an auction would end now; they are 0
    when nothing would be traded.
    """

    symbol: str
    instrument_number: int
    sequence: int
    updated_ms: int
    status: InstrumentStatus = InstrumentStatus.OPEN
    status_reason: str = ""
    auction_ends_ms: int = 0
    rules: SetInstrument = SetInstrument()
    brokers: dict[str, SetBroker] = {}
    busted_trades: list[int] = []
    indicative_price: int = 0
    indicative_quantity: int = 0
