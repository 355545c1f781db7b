"""``exchange listen``: a webhook receiver for the walk-through, which verifies and prints."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import typer
from rich.console import Console
from standardwebhooks import Webhook, WebhookVerificationError

BODY_MAX = 64 * 1024
SOCKET_SECONDS_MAX = 5


def listen(
    secret: list[str] = typer.Option([], help="A webhook_secret; repeat for several brokers."),
    port: int = typer.Option(9100, min=1, max=65535, help="Port on 127.0.0.1."),
) -> None:
    """Receive webhooks on loopback and print whether their signatures hold. Ctrl-C ends it."""
    console = Console()
    verifiers = [Webhook(text) for text in secret]

    class Handler(BaseHTTPRequestHandler):
        timeout = SOCKET_SECONDS_MAX

        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            if not length.isdigit() or int(length) > BODY_MAX:
                self._answer(413)
                return
            body = self.rfile.read(int(length))
            headers = {name.lower(): value for name, value in self.headers.items()}
            verified = any(is_signed(verifier, body, headers) for verifier in verifiers)
            console.print("[green]verified[/green]" if verified else "[red]not verified[/red]")
            console.print_json(body.decode("utf-8", errors="replace"))
            self._answer(204 if verified else 401)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """The bodies are what one wants to see."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        console.print(f"listening on http://127.0.0.1:{port}/ for {len(verifiers)} secrets")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("stopped")


def is_signed(verifier: Webhook, body: bytes, headers: dict[str, str]) -> bool:
    try:
        verifier.verify(body, headers)
    except WebhookVerificationError:
        return False
    return True
