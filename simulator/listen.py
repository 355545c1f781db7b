"""``exchange listen``: a webhook receiver for the walk-through, which verifies and prints."""

import threading

from rich.console import Console
from standardwebhooks import Webhook

from simulator.errors import SimulationFailed
from simulator.receiver import is_signed, receiver


def listen(console: Console, *, port: int, secret: list[str]) -> None:
    """Receive webhooks on loopback and print each with a word on whether its signature holds for
    one of the secrets. Returns after Ctrl-C. Raises
    :class:`~simulator.errors.SimulationFailed` when the port is taken or a secret is no secret."""
    verifiers = [_verifier(text) for text in secret]
    printing = threading.Lock()  # Calls come in threads of their own.

    def take(_path: str, headers: dict[str, str], body: bytes) -> bool:
        verified = any(is_signed(verifier, body, headers) for verifier in verifiers)
        with printing:
            console.print("[green]verified[/green]" if verified else "[red]not verified[/red]")
            _print_body(console, body)
        return verified

    try:
        server = receiver(port, take)
    except OSError as error:
        raise SimulationFailed(f"port {port} of 127.0.0.1: {error.strerror}") from error
    with server:
        at = server.server_address[1]
        console.print(f"listening on http://127.0.0.1:{at}/ for {len(verifiers)} secrets")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("stopped")


def _verifier(text: str) -> Webhook:
    try:
        return Webhook(text)
    except ValueError as error:
        raise SimulationFailed(f"this is not a webhook secret: {text!r} ({error})") from error


def _print_body(console: Console, body: bytes) -> None:
    text = body.decode("utf-8", errors="replace")
    try:
        console.print_json(text)
    except ValueError:  # Whoever called did not send JSON.
        console.print(text, markup=False)
