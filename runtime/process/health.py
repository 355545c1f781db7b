"""Health and metrics of a worker that has no HTTP of its own, on a port and a Unix socket."""

import contextlib
import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runtime.process.errors import SettingsError
from runtime.process.settings import Settings

STALE_SECONDS = 10.0
BACKLOG = 16
SOCKET_SECONDS_MAX = 5


class Health:
    """A worker is live while its loop runs, and ready once it has recovered.

    A worker that has never been ready counts as live: the first recovery may take long, and a
    worker that cannot finish it ends with an error. After that ``beat`` must be called at least
    every ``STALE_SECONDS``, also by a recovery that takes longer.
    """

    def __init__(self) -> None:
        self._beaten = time.monotonic()
        self._is_ready = False
        self._was_ready = False

    @property
    def ready(self) -> bool:
        return self._is_ready

    @ready.setter
    def ready(self, is_ready: bool) -> None:
        self.beat()
        self._is_ready = is_ready
        self._was_ready = self._was_ready or is_ready

    def beat(self) -> None:
        self._beaten = time.monotonic()

    @property
    def live(self) -> bool:
        return not self._was_ready or time.monotonic() - self._beaten < STALE_SECONDS

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


@contextmanager
def serve_health(settings: Settings, health: Health) -> Iterator[None]:
    """Serve ``health`` on the port and the Unix socket of the settings, where they are set.

    Raises :class:`SettingsError` when one of them cannot be listened on.
    """
    with contextlib.ExitStack() as stack:
        handler = _handler(health)
        if settings.health_port is not None:
            try:
                tcp = ThreadingHTTPServer((settings.host, settings.health_port), handler)
            except OSError as error:
                raise SettingsError(f"EXCHANGE_HEALTH_PORT: {error}") from error
            stack.enter_context(_serving(tcp))
        if settings.health_socket:
            listener = listen_unix(settings.health_socket)
            stack.callback(Path(settings.health_socket).unlink, missing_ok=True)
            stack.enter_context(_serving(_UnixServer(listener, handler)))
        yield


def listen_unix(path: str) -> socket.socket:
    """A listening Unix socket for this user alone, in the place of any old one.

    Raises :class:`SettingsError`.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # A process that was killed leaves its socket behind.
        Path(path).unlink(missing_ok=True)
        listener.bind(path)
        Path(path).chmod(0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError(f"EXCHANGE_HEALTH_SOCKET={path}: {error}") from error
    return listener


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    """``ThreadingHTTPServer`` for a Unix socket that is there already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(os.fspath(listener.getsockname()), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


@contextmanager
def _serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SOCKET_SECONDS_MAX

        def do_GET(self) -> None:
            status, content_type, body = health.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Health checks are not logged."""

    return Handler
