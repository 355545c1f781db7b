"""Version 3: everything in memory, PostgreSQL for a restart and for old closed orders only.

The flush is that of version 2; reads come from the same process's memory.
"""

import uuid
from collections import defaultdict, deque
from datetime import UTC, datetime

from simulator.baselines.contract import OPEN, Level, Order, Trade
from simulator.baselines.database import expired
from simulator.baselines.v2 import Version2

CLOSED_KEPT = 100_000
PRICES_KEPT = 1_000


class Version3(Version2):
    """See ``simulator.baselines.contract.Exchange``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._trades: defaultdict[uuid.UUID, list[Trade]] = defaultdict(list)
        self._prices: defaultdict[str, deque[int]] = defaultdict(lambda: deque(maxlen=PRICES_KEPT))
        self._recent: deque[Order] = deque()

    async def place(self, order: Order) -> None:
        """Match an order in memory; the next flush stores it."""
        for trade in self._market.place(order):
            self._trades[trade.bid_order_id].append(trade)
            self._trades[trade.ask_order_id].append(trade)
            self._prices[trade.symbol].appendleft(trade.price)
        self._recent.append(order)
        if len(self._recent) > CLOSED_KEPT:
            oldest = self._recent.popleft()
            if expired(oldest, datetime.now(UTC)).state not in OPEN:
                self._trades.pop(oldest.order_id, None)
                self._market.orders.pop(oldest.order_id, None)

    def _forget(self, order: Order) -> None:
        """Closed orders stay in memory until there are too many."""

    async def order(self, order_id: uuid.UUID) -> tuple[Order, list[Trade]] | None:
        """An order and its trades from memory; from PostgreSQL when it has left the memory."""
        order = self._market.orders.get(order_id)
        if order is not None:
            return expired(order, datetime.now(UTC)), self._trades.get(order_id, [])
        return await super().order(order_id)

    async def prices(self, symbol: str, count: int) -> list[int]:
        """Latest first, from memory."""
        kept = self._prices.get(symbol)
        if kept is None:
            return await super().prices(symbol, count)
        return [price for _, price in zip(range(count), kept, strict=False)]

    async def book(self, symbol: str, depth: int) -> tuple[list[Level], list[Level]]:
        """Bids and asks from memory, best first."""
        return (
            self._market.levels(symbol, "bid", depth),
            self._market.levels(symbol, "ask", depth),
        )

    async def balance(self, broker_id: uuid.UUID) -> int:
        """Cash from memory, in cents."""
        return self._market.cash[broker_id]
