"""A local receiver of webhooks that verifies every signature and counts."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook

from simulator.listen import BODY_MAX, SOCKET_SECONDS_MAX, is_signed

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
        sink = self

        class Handler(BaseHTTPRequestHandler):
            timeout = SOCKET_SECONDS_MAX
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = self.headers.get("content-length", "")
                good = length.isdigit() and int(length) <= BODY_MAX
                body = self.rfile.read(int(length)) if good else b""
                headers = {name.lower(): value for name, value in self.headers.items()}
                accepted = sink.take(self.path, headers, body)
                self.send_response(204 if accepted else 401)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Thousands of calls are no news."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def url(self, number: int) -> str:
        """Where the broker of this number is told."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{number}"

    def expect(self, number: int, secret: str) -> None:
        self._verifiers[f"/{number}"] = Webhook(secret)

    @property
    def received(self) -> int:
        return len(self._ids)

    def take(self, path: str, headers: dict[str, str], body: bytes) -> bool:
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
        """How many messages have come, at the latest when nothing more is to be hoped for."""
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while self.received < count and time.monotonic() < deadline:
            time.sleep(LOOK_AGAIN_SECONDS)
        return self.received

    def __enter__(self) -> "WebhookSink":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
