"""What the exchange answers, as types.

Prices and cash are integers in cents of BRL, quantities are whole shares, and times are in UTC. A
field that this version does not know is ignored, so a newer exchange can be used.
"""

from datetime import date, datetime
from typing import Generic, Literal, TypeVar

import msgspec

T = TypeVar("T")

Side = Literal["bid", "ask"]
OrderType = Literal["limit", "market", "stop", "stop_limit"]
TimeInForce = Literal["gtc", "day", "gtd", "ioc", "fok"]
SelfTradePrevention = Literal["none", "cancel_aggressor", "cancel_resting", "cancel_both"]
State = Literal["pending", "new", "partially_filled", "filled", "canceled", "expired", "rejected"]
Status = Literal["open", "closed"]
Liquidity = Literal["maker", "taker"]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The base of all answers: they are values and never change."""


class OrderTrade(Answer, frozen=True, kw_only=True):
    """One trade of an order."""

    trade_id: str
    price: int
    quantity: int
    counterparty_broker: str
    executed_at: datetime


class ListedOrder(Answer, frozen=True, kw_only=True):
    """An order without its trades. ``version`` is 0 until the matcher has seen the order."""

    order_id: str
    client_order_id: str
    document_number: str
    symbol: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    price: int | None
    stop_price: int | None
    quantity: int
    display_quantity: int | None
    filled_quantity: int
    remaining_quantity: int
    filled_notional: int
    status: Status
    state: State
    state_reason: str | None
    valid_until: datetime | None
    post_only: bool
    self_trade_prevention: SelfTradePrevention
    memo: str | None
    created_at: datetime
    updated_at: datetime
    version: int


class Order(ListedOrder, frozen=True, kw_only=True):
    """An order with its trades, oldest first.

    ``was_repeated`` is true where the exchange had taken the order before, by the same
    ``client_order_id``.
    """

    trades: tuple[OrderTrade, ...]
    was_repeated: bool = False


class Validated(Answer, frozen=True, kw_only=True):
    """The order would be taken now, with these words where it named none."""

    order_type: OrderType
    time_in_force: TimeInForce


class MassCancel(Answer, frozen=True, kw_only=True):
    """The cancel is in the log of each symbol and will be carried out."""

    mass_cancel_id: str


class Switch(Answer, frozen=True, kw_only=True):
    """The dead-man switch as it is now; ``fires_at`` is ``None`` where it was taken away."""

    timeout_seconds: int
    fires_at: datetime | None
    mass_cancel_id: str | None


class Fill(Answer, frozen=True, kw_only=True):
    """The own side of a trade."""

    trade_id: str
    order_id: str
    symbol: str
    side: Side
    price: int
    quantity: int
    liquidity: Liquidity
    counterparty_broker: str
    executed_at: datetime
    busted: bool


class Position(Answer, frozen=True, kw_only=True):
    """What was bought of a symbol, minus what was sold."""

    symbol: str
    quantity: int


class Balance(Answer, frozen=True, kw_only=True):
    """The own cash: what was sold for, minus what was bought for."""

    broker_id: str
    broker_name: str
    balance: int


class Level(Answer, frozen=True, kw_only=True):
    """All orders of one side at one price."""

    price: int
    total_quantity: int
    order_count: int


class Book(Answer, frozen=True, kw_only=True):
    """The best levels of both sides, best price first, after the entry ``sequence`` of the log."""

    symbol: str
    sequence: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class Price(Answer, frozen=True, kw_only=True):
    """The last price, and the average over the last trades."""

    symbol: str
    last_price: int
    average_price: int
    trades_in_average: int


class Band(Answer, frozen=True, kw_only=True):
    """How far a price may be from the reference price."""

    basis_points: int
    reference_price: int
    lowest: int
    highest: int


class Stock(Answer, frozen=True, kw_only=True):
    """An instrument with its rules and its status, as they are now."""

    symbol: str
    name: str
    status: str
    status_reason: str | None
    tick_size: int
    lot_size: int
    price_band: Band | None
    halt_band: Band | None
    currency: str
    trading_day: date
    last_price: int | None
    auction_ends_at: datetime | None
    indicative_price: int | None
    indicative_quantity: int | None


class Registered(Answer, frozen=True, kw_only=True):
    """A new broker. Both secrets are shown here and never again."""

    broker_id: str
    api_key: str
    webhook_secret: str | None = None


class Page(Answer, Generic[T], frozen=True, kw_only=True):
    """A page of a list; ``next_cursor`` is ``None`` on the last one."""

    data: tuple[T, ...]
    next_cursor: str | None


class Listing(Answer, Generic[T], frozen=True, kw_only=True):
    """A list that is answered as a whole."""

    data: tuple[T, ...]


class Clock(Answer, frozen=True, kw_only=True):
    """The clock of the exchange."""

    server_time: datetime


Interval = Literal["1m", "5m", "15m", "1h", "1d"]
DeliveryStatus = Literal["pending", "delivered", "failed"]
ReportType = Literal[
    "order.accepted",
    "order.rejected",
    "order.triggered",
    "order.amended",
    "order.canceled",
    "order.expired",
    "trade.executed",
    "trade.busted",
]


class MarketTrade(Answer, frozen=True, kw_only=True):
    """A trade as everybody can see it. ``sequence`` counts the trades of the symbol."""

    trade_id: str
    sequence: int
    price: int
    quantity: int
    aggressor_side: Side
    executed_at: datetime
    busted: bool


class Candle(Answer, frozen=True, kw_only=True):
    """What was traded from ``start`` on, for the length of the interval."""

    start: datetime
    open: int
    high: int
    low: int
    close: int
    volume: int
    notional: int
    trades: int


class Candles(Answer, frozen=True, kw_only=True):
    """Candles of a symbol, oldest first; only where there were trades."""

    symbol: str
    interval: Interval
    data: tuple[Candle, ...]
    has_more: bool


class Ticker(Answer, frozen=True, kw_only=True):
    """How a symbol trades today. Prices are ``None`` where there was no trade."""

    symbol: str
    day: date
    last_price: int | None
    previous_close: int | None
    change: int | None
    open: int | None
    high: int | None
    low: int | None
    volume: int
    notional: int
    trades: int
    best_bid: Level | None
    best_ask: Level | None
    trade_sequence: int
    book_sequence: int


class Report(Answer, frozen=True, kw_only=True):
    """An execution report: one event of one own order. The quantities and the state are those right
    after it; ``last_price`` and ``last_quantity`` are those of this fill alone."""

    sequence: int
    type: ReportType
    timestamp: datetime
    order_id: str | None
    client_order_id: str | None
    symbol: str
    side: Side
    order_type: OrderType | None
    price: int | None
    quantity: int | None
    filled_quantity: int | None
    remaining_quantity: int | None
    state: State | None
    state_reason: str | None
    memo: str | None
    trade_id: str | None = None
    last_price: int | None = None
    last_quantity: int | None = None
    liquidity: Liquidity | None = None
    prevented_quantity: int = 0
    bust_reason: str | None = None


class Reports(Answer, frozen=True, kw_only=True):
    """Execution reports in a row."""

    data: tuple[Report, ...]
    next_after: int
    has_more: bool


class Endpoint(Answer, frozen=True, kw_only=True):
    """A webhook endpoint."""

    endpoint_id: str
    url: str
    types: tuple[str, ...]
    state: Literal["enabled", "disabled"]
    state_reason: str | None
    disabled_at: datetime | None
    created_at: datetime | None
    previous_secret_valid_until: datetime | None


class AddedEndpoint(Endpoint, frozen=True, kw_only=True):
    """The new endpoint with its secret."""

    secret: str


class RotatedSecret(Answer, frozen=True, kw_only=True):
    """The new secret, and until when messages are signed with the old one too."""

    secret: str
    previous_secret_valid_until: datetime


class QueuedMessage(Answer, frozen=True, kw_only=True):
    """A message that will be sent within a moment."""

    message_id: str


class Delivery(Answer, frozen=True, kw_only=True):
    """A message to an endpoint. ``body`` is the JSON that is sent, as it is signed."""

    message_id: str
    type: str
    sequence: int | None
    status: DeliveryStatus
    attempts: int
    last_result: str | None
    queued_at: datetime | None
    next_attempt_at: datetime | None
    ended_at: datetime | None
    body: str
