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
    LIMIT = "limit"
    MARKET = "market"


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
    USER_REQUEST = "user_request"
    IOC_REMAINDER = "ioc_remainder"
    NO_LIQUIDITY = "no_liquidity"
    VALID_UNTIL_REACHED = "valid_until_reached"


class ExecutionPrice(str, Enum):
    """Whose price a trade takes. It is chosen at the founding and never changes
    (docs/decisions/0006)."""

    MAKER = "maker"
    SELLER = "seller"


class ListingPolicy(str, Enum):
    """``OPEN`` lists a symbol at its first order. ``CLOSED`` takes only symbols that are listed."""

    OPEN = "open"
    CLOSED = "closed"
