"""B3 at 100 %: the numbers that the simulation is made of, and their scaling."""

from dataclasses import dataclass

SYMBOLS = 450
BROKERS = 100
ORDERS_PER_SECOND = 700.0
CANCELS_PER_SECOND = 245.0
READ_SHARE = 0.28  # Of all requests.
ZIPF_EXPONENT = 0.95  # Of 450, the top symbol gets 13 %, the top ten 40 %.

PASSIVE_SHARE = 0.75
AGGRESSIVE_SHARE = 0.20  # The rest are market orders.
PASSIVE_AWAY = (0.05, 0.20)
AGGRESSIVE_AROUND = 0.05
PASSIVE_QUANTITY = (50, 500)
AGGRESSIVE_QUANTITY = (50, 200)

DAY_SECONDS = 86_400.0
# Share, shortest and longest life of a limit order, seconds.
LIVES = ((0.10, 0.5, 1.0), (0.20, 5.0, 10.0), (0.70, DAY_SECONDS, DAY_SECONDS))
# Share, youngest and oldest age of the order that a cancel is for, seconds.
CANCEL_AGES = ((0.40, 0.5, 5.0), (0.35, 5.0, 60.0), (0.25, 60.0, 600.0))
# Share of each kind of read.
STATUS_SHARE, PRICE_SHARE, BOOK_SHARE, BALANCE_SHARE = 0.35, 0.30, 0.25, 0.10

OPENING_ORDERS_PER_SIDE = 20
OPENING_AWAY = (0.01, 0.10)
BASE_PRICE_CENTS = (500, 20_000)


@dataclass(frozen=True, slots=True)
class MarketLoad:
    """Rates and sizes at a scale in percent of B3. Below 100 symbols and brokers shrink too."""

    scale: float

    @property
    def factor(self) -> float:
        """The scale as a factor."""
        return self.scale / 100

    @property
    def symbols(self) -> int:
        """How many symbols are traded."""
        return max(1, round(SYMBOLS * min(1.0, self.factor)))

    @property
    def brokers(self) -> int:
        """How many brokers trade."""
        return max(2, round(BROKERS * min(1.0, self.factor)))

    @property
    def orders_per_second(self) -> float:
        """New orders, limit and market."""
        return ORDERS_PER_SECOND * self.factor

    @property
    def cancels_per_second(self) -> float:
        """Cancels, each of an order of its own."""
        return CANCELS_PER_SECOND * self.factor

    @property
    def reads_per_second(self) -> float:
        """Looks at orders, prices, books and balances."""
        writes = self.orders_per_second + self.cancels_per_second
        return writes * READ_SHARE / (1 - READ_SHARE)

    @property
    def requests_per_second(self) -> float:
        """All of it together."""
        return self.orders_per_second + self.cancels_per_second + self.reads_per_second
