"""A local receiver of webhooks that verifies every signature and counts."""

import threading
import time

from standardwebhooks import Webhook

from simulator.load.checks import Checks
from simulator.receiver import is_signed, receiver

SETTLE_SECONDS_MAX = 60.0
LOOK_AGAIN_SECONDS = 0.1


class WebhookSink:
    """One URL per broker; use as a context manager. Counts distinct messages, repeats and calls
    whose signature does not hold."""

    def __init__(self) -> None:
        self._verifiers: dict[str, Webhook] = {}
        self._ids: set[str] = set()
        self._lock = threading.Lock()
        self.repeated = 0
        self.unverified = 0
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
        with self._lock:
            if not verified:
                self.unverified += 1
            elif message_id in self._ids:
                self.repeated += 1
            else:
                self._ids.add(message_id)
        return verified

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
