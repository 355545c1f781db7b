"""The closed vocabularies of the exchange.

The values are what brokers read and write over HTTP. They also travel in the log, so a value is
never renamed; a new one is only added.
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
    """Where an order is in its life.

    ``PENDING`` is the state between the log and the matcher: it is never stored, only shown.
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
    """Why an order ended as it did; ``NONE`` while nothing needs a reason."""

    NONE = ""
    USER_REQUEST = "user_request"
    IOC_REMAINDER = "ioc_remainder"
    NO_LIQUIDITY = "no_liquidity"
    VALID_UNTIL_REACHED = "valid_until_reached"


class ExecutionPrice(str, Enum):
    """Whose price a trade takes; fixed when an exchange is founded (docs/decisions/0006)."""

    MAKER = "maker"
    SELLER = "seller"


class ListingPolicy(str, Enum):
    """``OPEN`` lists a symbol at its first order; ``CLOSED`` takes only listed ones."""

    OPEN = "open"
    CLOSED = "closed"
