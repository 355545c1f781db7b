"""Order to update: how long from the acceptance of an order until subscribers see it."""

import threading
from typing import Any

from protocol import ids
from simulator.broker import Broker
from simulator.errors import SimulationFailed
from simulator.load.crowd import CrowdSeen
from simulator.load.samples import percentiles

PERIOD_SECONDS = 0.1
PRICES = 20  # So many levels, so that each order changes one that is shown.
PRICE = 1_000


class FeedProbe:
    """An order every tenth of a second, on a symbol that nobody else trades, in a thread. Each
    changes a level of the book.

    The id of an order says when it was accepted, by the clock of the exchange, which must be that
    of this machine."""

    def __init__(self, broker: Broker, symbol: str) -> None:
        self._broker = broker
        self.symbol = symbol
        self._accepted_ms: dict[int, int] = {}
        self.failures = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def open(self) -> None:
        """Place the first order, so that the symbol is listed."""
        self._place(0)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def summary(self, seen: CrowdSeen) -> dict[str, Any]:
        """Percentiles in milliseconds over all reading subscribers, and how many orders a reader
        was never told."""
        delays, told = [], set()
        for first, last, at_ms in seen.updates:
            for sequence in range(first, last + 1):
                if sequence in self._accepted_ms:
                    delays.append(max(0.0, at_ms - self._accepted_ms[sequence]))
                    told.add(sequence)
        # The first order was in the snapshot.
        missed = len(self._accepted_ms) - 1 - len(told)
        return percentiles(sorted(delays)) | {
            "updates": len(delays),
            "orders": len(self._accepted_ms),
            "missed": max(0, missed),
            "failures": self.failures,
        }

    def _run(self) -> None:
        number = 1
        while not self._stop.wait(PERIOD_SECONDS):
            try:
                self._place(number)
            except SimulationFailed:
                self.failures += 1
            number += 1

    def _place(self, number: int) -> None:
        order_id = self._broker.place(
            {
                "document_number": "00000000000",
                "side": "bid",
                "order_type": "limit",
                "symbol": self.symbol,
                "price": PRICE + number % PRICES,
                "quantity": 1,
                "valid_until": "2999-01-01T00:00:00Z",
            }
        )
        decoded = ids.decode(order_id)
        if decoded is not None:
            self._accepted_ms[decoded.sequence] = decoded.time_ms
