"""The closed vocabularies of the exchange.

Brokers read and write these values over HTTP. The log holds them too, so a value is never renamed.
New values may be added.
"""

from enum import Enum


class Side(str, Enum):
    """Direction of an order."""

    BID = "bid"
    ASK = "ask"

    @property
    def opposite(self) -> "Side":
        return Side.ASK if self is Side.BID else Side.BID


class OrderType(str, Enum):
    """``STOP`` and ``STOP_LIMIT`` wait until the last trade reaches their stop price. Then they are
    a market order and a limit order."""

    LIMIT = "limit"
    MARKET = "market"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"

    @property
    def has_price(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.STOP_LIMIT)

    @property
    def is_stop(self) -> bool:
        return self in (OrderType.STOP, OrderType.STOP_LIMIT)


class TimeInForce(str, Enum):
    """How long an order may live.

    ``GTC``: until it is canceled. ``DAY``: until the market closes. ``GTD``: until its
    ``valid_until``. ``IOC``: what it cannot fill at once is canceled. ``FOK``: it is filled at once
    and as a whole, or not at all.
    """

    GTC = "gtc"
    DAY = "day"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"


class SelfTradePrevention(str, Enum):
    """What happens instead of a trade between two orders of one owner. An owner is a broker and the
    digits of a document number. The instruction of the incoming order counts."""

    NONE = "none"
    CANCEL_AGGRESSOR = "cancel_aggressor"
    CANCEL_RESTING = "cancel_resting"
    CANCEL_BOTH = "cancel_both"


class InstrumentStatus(str, Enum):
    """What a symbol takes. Cancels are taken in every status.

    ``OPEN``: orders are matched as they come. ``AUCTION``: orders gather and are matched at one
    price when the status becomes ``OPEN`` or ``CLOSED``. ``CANCEL_ONLY``, ``HALTED`` and
    ``CLOSED``: no order is taken and none is amended; orders for the day end at ``CLOSED``.
    """

    OPEN = "open"
    CANCEL_ONLY = "cancel_only"
    HALTED = "halted"
    AUCTION = "auction"
    CLOSED = "closed"


class OrderState(str, Enum):
    """The state of an order.

    An order is ``PENDING`` while it is in the log and no matcher has applied it. This state is
    never stored, only shown.
    """

    PENDING = "pending"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    @property
    def is_open(self) -> bool:
        return self in OPEN_STATES


OPEN_STATES = frozenset({OrderState.PENDING, OrderState.NEW, OrderState.PARTIALLY_FILLED})


class StateReason(str, Enum):
    """Why an order ended. ``NONE`` is the reason of an order that is open or filled."""

    NONE = ""
    # It was canceled.
    USER_REQUEST = "user_request"
    MASS_CANCEL = "mass_cancel"
    CANCEL_TIMER = "cancel_timer"
    OPERATOR = "operator"
    IOC_REMAINDER = "ioc_remainder"
    NO_LIQUIDITY = "no_liquidity"
    FOK_NOT_FILLED = "fok_not_filled"
    SELF_TRADE_PREVENTION = "self_trade_prevention"
    # It expired.
    VALID_UNTIL_REACHED = "valid_until_reached"
    END_OF_DAY = "end_of_day"
    # It was rejected; what a halt leaves of a market order is canceled with the first of these.
    SYMBOL_HALTED = "symbol_halted"
    NOT_IN_AUCTION = "not_in_auction"
    POST_ONLY_WOULD_CROSS = "post_only_would_cross"
    PRICE_BAND = "price_band"
    INVALID_TICK = "invalid_tick"
    INVALID_LOT = "invalid_lot"
    BROKER_DISABLED = "broker_disabled"
    OPEN_ORDERS_LIMIT = "open_orders_limit"
    ORDER_QUANTITY_LIMIT = "order_quantity_limit"
    ORDER_NOTIONAL_LIMIT = "order_notional_limit"
    PRICE_COLLAR = "price_collar"


class ReportType(str, Enum):
    """What an execution report says has happened (``protocol.reports``)."""

    ACCEPTED = "order.accepted"
    REJECTED = "order.rejected"
    EXECUTED = "trade.executed"
    AMENDED = "order.amended"
    TRIGGERED = "order.triggered"
    CANCELED = "order.canceled"
    EXPIRED = "order.expired"
    BUSTED = "trade.busted"


class Liquidity(str, Enum):
    """Which half of a trade an order was: the ``MAKER`` was there first, the ``TAKER`` came."""

    MAKER = "maker"
    TAKER = "taker"


class ExecutionPrice(str, Enum):
    """Whose price a trade takes. It is chosen at the founding and never changes
    (docs/decisions/0006)."""

    MAKER = "maker"
    SELLER = "seller"


class ListingPolicy(str, Enum):
    """``OPEN`` lists a symbol at its first order. ``CLOSED`` takes only symbols that are listed."""

    OPEN = "open"
    CLOSED = "closed"
