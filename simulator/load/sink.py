"""A local receiver of webhooks that verifies every signature, counts, and measures the way."""

import threading
import time
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook

from simulator.answers import json_object
from simulator.load.checks import Checks
from simulator.load.samples import percentiles
from simulator.receiver import is_signed, receiver

SETTLE_SECONDS_MAX = 60.0
LOOK_AGAIN_SECONDS = 0.1


class WebhookSink:
    """One URL per broker; use as a context manager. Counts distinct messages, repeats and calls
    whose signature does not hold. ``delays`` has when each trade was made (seconds of the epoch),
    and how long it took until its message was here (ms)."""

    def __init__(self) -> None:
        self._verifiers: dict[str, Webhook] = {}
        self._ids: set[str] = set()
        self._lock = threading.Lock()
        self.repeated = 0
        self.unverified = 0
        self.delays: list[tuple[float, float]] = []
        self._server = receiver(0, self.take)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def url(self, number: int) -> str:
        """Where the broker of this number is told."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{number}"

    def expect(self, number: int, secret: str) -> None:
        """Verify what comes for the broker of this number with its secret."""
        self._verifiers[f"/{number}"] = Webhook(secret)

    @property
    def received(self) -> int:
        """How many distinct messages have come."""
        return len(self._ids)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> bool:
        """Count one call; false when its signature does not hold."""
        verifier = self._verifiers.get(path)
        verified = verifier is not None and is_signed(verifier, body, headers)
        message_id = headers.get("webhook-id", "")
        received = time.time()
        with self._lock:
            if not verified:
                self.unverified += 1
            elif message_id in self._ids:
                self.repeated += 1
            else:
                self._ids.add(message_id)
                self._measure(body, received)
        return verified

    def _measure(self, body: bytes, received: float) -> None:
        executed_at = json_object(body).get("executed_at")
        if isinstance(executed_at, str):
            executed = datetime.fromisoformat(executed_at).timestamp()
            self.delays.append((executed, 1000 * (received - executed)))

    def summary(self, since: float) -> dict[str, Any]:
        """Percentiles in milliseconds from a trade until its message was received, for the trades
        since then, and how many messages that were. The time of a trade is that of the order that
        made it, when it came into the log; the clocks are compared, so both must be one machine."""
        delays = sorted(delay for executed, delay in self.delays if executed >= since)
        return percentiles(delays) | {"messages": len(delays)}

    def wait_for(self, count: int) -> int:
        """How many messages have come once there are ``count``, or after
        ``SETTLE_SECONDS_MAX``."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while self.received < count and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_SECONDS)
        return self.received

    def check(self, checks: Checks) -> None:
        """Each trade is told to both sides, and every signature holds."""
        names = ("webhooks_verified", "webhooks_received_as_sent")
        if not self._verifiers:
            for name in names:
                checks.skip(name, "the exchange gave no webhook_secret when a broker registered")
            return
        checks.add(names[0], not self.unverified, f"{self.unverified} were not")
        expected = 2 * checks.trades
        received = self.wait_for(expected)
        checks.add(names[1], received == expected, f"{received} of {expected}")

    def __enter__(self) -> "WebhookSink":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
