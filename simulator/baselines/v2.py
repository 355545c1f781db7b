"""Version 2: matching in memory, a flush in bulk about every 30 ms, reads from PostgreSQL.

An order is answered when it is matched in memory and queued for the flush, so what was answered
in the last 30 ms is lost in a crash, and a read in that time does not see it: it waits for the
next flush, as brokers expect to find what they have been told.
"""

import asyncio
import contextlib
import uuid

from simulator.baselines.contract import OPEN, Order, Trade
from simulator.baselines.database import Database
from simulator.baselines.memory import MemoryMarket

FLUSH_SECONDS = 0.03


class Version2(Database):
    """See ``simulator.baselines.contract.Exchange``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._market = MemoryMarket()
        self._flushing: asyncio.Task[None] | None = None
        self._flushed = asyncio.Event()
        self._stopping = False

    async def start(self) -> None:
        """Let the open orders rest again, then begin to flush."""
        await super().start()
        for order in await self.open_orders():
            self._market.restore(order)
        self._market.cash.update(await self.balances())
        self._flushing = asyncio.create_task(self._flush())

    async def stop(self) -> None:
        """Flush once more."""
        self._stopping = True
        if self._flushing is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing
        await super().stop()

    async def place(self, order: Order) -> None:
        """Match an order in memory; the next flush stores it."""
        self._market.place(order)

    async def cancel(self, order_id: uuid.UUID) -> None:
        """Close an order in memory if it is open; the next flush stores that."""
        self._market.cancel(order_id)

    async def order(self, order_id: uuid.UUID) -> tuple[Order, list[Trade]] | None:
        """An order and its trades from PostgreSQL, after the next flush where it is not there."""
        is_known = order_id in self._market.orders  # Asked first: a flush may forget it meanwhile.
        found = await super().order(order_id)
        while found is None and is_known:  # The flush that runs now may have begun too early.
            await self._flushed.wait()
            found = await super().order(order_id)
        return found

    def _forget(self, order: Order) -> None:
        """A closed order has been stored: reads find it in PostgreSQL."""
        self._market.orders.pop(order.order_id, None)

    async def _flush(self) -> None:
        while True:
            stopping = self._stopping
            await asyncio.sleep(0 if stopping else FLUSH_SECONDS)
            changed, made, cash = self._market.drain()
            await self.store(changed, made, cash)
            for order in changed:
                if order.state not in OPEN:
                    self._forget(order)
            flushed, self._flushed = self._flushed, asyncio.Event()
            flushed.set()
            if stopping:
                return
