"""Health and metrics of a worker that has no HTTP of its own, on a port of its own."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

STALE_SECONDS = 30.0


class Health:
    """Live while the loop turns; ready once the worker has recovered."""

    def __init__(self) -> None:
        self.ready = False
        self._beaten = time.monotonic()

    def beat(self) -> None:
        self._beaten = time.monotonic()

    @property
    def live(self) -> bool:
        return time.monotonic() - self._beaten < STALE_SECONDS

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, content type and body for a path."""
        if path == "/metrics":
            return 200, CONTENT_TYPE_LATEST, generate_latest()
        checks = {
            "/health": self.live and self.ready,
            "/health/live": self.live,
            "/health/ready": self.live and self.ready,
        }
        if path not in checks:
            return 404, "application/json", b'{"code":"not_found"}'
        body = json.dumps({"status": "ok" if checks[path] else "unavailable"}).encode()
        return (200 if checks[path] else 503), "application/json", body


def serve_health(port: int | None, health: Health, host: str) -> ThreadingHTTPServer | None:
    """Serve ``health`` from a daemon thread; ``None`` means that nobody wants it."""
    if port is None:
        return None

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, content_type, body = health.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Health checks are not news."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
