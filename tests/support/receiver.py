"""A webhook receiver that behaves, or does not, as told."""

import contextlib
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Behaviour = Callable[[BaseHTTPRequestHandler], None]


def answer(status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Behaviour:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return respond


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A notifier that is killed resets its connections; anything else is worth a trace."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)  # type: ignore[arg-type]


class Receiver:
    """Collects ``(headers, body)`` of every call; use as a context manager."""

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.behaviour = behaviour or answer(200)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # The notifier was killed in the middle of it.
                receiver.calls.append(({k.lower(): v for k, v in self.headers.items()}, body))
                with contextlib.suppress(ConnectionError):  # The notifier was killed meanwhile.
                    receiver.behaviour(self)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
