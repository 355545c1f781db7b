"""Order to trade: how long from the acknowledgement of an order until its trade can be read."""

import threading
import time
from collections.abc import Iterator
from typing import Any

from simulator.broker import Broker
from simulator.errors import GaveUp, SimulationFailed
from simulator.load.samples import percentiles

PERIOD_SECONDS = 0.2
LOOK_AGAIN_SECONDS = 0.001
GIVE_UP_SECONDS = 5.0
PRICE = 1_000


class TradeProbe:
    """A pair of crossing orders every fifth of a second, on a symbol of its own, in a thread of
    the simulator's parent process. Use as a context manager around the run.

    A probe that the exchange refuses or does not answer is counted; anything else that goes wrong
    in the thread is raised at the end of the context."""

    def __init__(self, seller: Broker, buyer: Broker, symbol: str) -> None:
        self._seller = seller
        self._buyer = buyer
        self._symbol = symbol
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.delays_ms: list[float] = []
        self.failures = 0
        self.first_failure = ""
        self._error: Exception | None = None

    def __enter__(self) -> "TradeProbe":
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def wait(self, seconds: float) -> None:
        """Return when the thread of the probe has ended by itself, or after ``seconds``."""
        self._thread.join(seconds)

    def summary(self) -> dict[str, Any]:
        """Percentiles in milliseconds, how many probes there were and how many failed, and why
        the first of those did."""
        return percentiles(sorted(self.delays_ms)) | {
            "probes": len(self.delays_ms),
            "failures": self.failures,
            "first_failure": self.first_failure,
        }

    def _run(self) -> None:
        try:
            for _ in self._beats():
                self._try()
        except Exception as error:  # noqa: BLE001 - the end of a thread; __exit__ raises it.
            self._error = error

    def _try(self) -> None:
        try:
            self.delays_ms.append(self._probe())
        except SimulationFailed as error:
            self.failures += 1
            self.first_failure = self.first_failure or str(error)

    def _beats(self) -> Iterator[None]:
        while not self._stop.wait(PERIOD_SECONDS):
            yield

    def _probe(self) -> float:
        self._seller.place(self._order("ask"))
        bid = self._buyer.place(self._order("bid"))
        accepted = time.perf_counter()
        while not self._buyer.order(bid).get("trades"):
            if time.perf_counter() - accepted > GIVE_UP_SECONDS:
                raise GaveUp(f"waited {GIVE_UP_SECONDS:g} s in vain for the trade of order {bid}")
            time.sleep(LOOK_AGAIN_SECONDS)
        return (time.perf_counter() - accepted) * 1000

    def _order(self, side: str) -> dict[str, object]:
        return {
            "document_number": "00000000000",
            "side": side,
            "order_type": "limit",
            "symbol": self._symbol,
            "price": PRICE,
            "quantity": 1,
            "valid_until": "2999-01-01T00:00:00Z",
        }
