"""Order to trade: how long from the acknowledgement of an order until its trade can be read."""

import threading
import time
from collections.abc import Iterator

from simulator.broker import Broker
from simulator.errors import SimulationFailed
from simulator.load.samples import percentiles

PERIOD_SECONDS = 0.2
LOOK_AGAIN_SECONDS = 0.001
GIVE_UP_SECONDS = 5.0
PRICE = 1_000


class TradeProbe:
    """A pair of crossing orders every fifth of a second, on a symbol of its own, in a thread of
    the simulator's parent process. Use as a context manager around the run."""

    def __init__(self, seller: Broker, buyer: Broker, symbol: str) -> None:
        self._seller = seller
        self._buyer = buyer
        self._symbol = symbol
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.delays_ms: list[float] = []
        self.failures = 0

    def __enter__(self) -> "TradeProbe":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def summary(self) -> dict[str, float]:
        return percentiles(sorted(self.delays_ms)) | {
            "probes": len(self.delays_ms),
            "failures": self.failures,
        }

    def _run(self) -> None:
        for _ in self._beats():
            try:
                self.delays_ms.append(self._probe())
            except (SimulationFailed, TimeoutError):
                self.failures += 1

    def _beats(self) -> Iterator[None]:
        while not self._stop.wait(PERIOD_SECONDS):
            yield

    def _probe(self) -> float:
        self._seller.place(self._order("ask"))
        bid = self._buyer.place(self._order("bid"))
        accepted = time.perf_counter()
        while not self._buyer.order(bid)["trades"]:
            if time.perf_counter() - accepted > GIVE_UP_SECONDS:
                raise TimeoutError
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
