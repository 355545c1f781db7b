"""A local HTTP server that takes webhooks: what `listen` and the simulation's sink share."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

BODY_MAX = 64 * 1024
SOCKET_SECONDS_MAX = 5

Take = Callable[[str, dict[str, str], bytes], bool]
"""Gets the path, the headers in lower case and the body of a call; says whether to accept it."""


def receiver(port: int, take: Take) -> ThreadingHTTPServer:
    """A server on loopback that answers 204 to what ``take`` accepts, 401 to what it does not and
    413 to a body that is longer than ``BODY_MAX``. Port 0 takes any free port."""

    class Handler(BaseHTTPRequestHandler):
        timeout = SOCKET_SECONDS_MAX
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdigit() or int(length) > BODY_MAX:
                self.close_connection = True  # The body was not read.
                self._answer(413)
                return
            body = self.rfile.read(int(length))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(204 if take(self.path, headers, body) else 401)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Thousands of calls are no news."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server


def is_signed(verifier: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    """Whether the signature of a webhook holds."""
    try:
        verifier.verify(body, headers)
    except WebhookVerificationError:
        return False
    return True
