"""Asking a process for its health over HTTP, from outside."""

import socket
import time

OK = 200
HEALTH_SUFFIX = ".health"  # <worker>.health is the name of a worker's socket.

Address = str | tuple[str, int]
"""The path of a Unix socket, or host and port."""


def ask(address: Address, path: str, seconds: float) -> int | None:
    """The status of the answer to ``GET path``, ``None`` without a complete answer in time."""
    deadline = time.monotonic() + seconds
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    answer = b""
    try:
        if not isinstance(address, str):
            family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(address)
            head = f"GET {path} HTTP/1.1\r\nhost: exchange\r\nconnection: close\r\n\r\n"
            connection.sendall(head.encode())
            while piece := connection.recv(65536):
                answer += piece
                connection.settimeout(max(0.001, deadline - time.monotonic()))
    except OSError:
        return None  # No listener, or no answer in time.
    version, _, rest = answer.partition(b" ")
    code = rest[:3]
    is_whole = version.startswith(b"HTTP/") and b"\r\n\r\n" in answer and code.isdigit()
    return int(code) if is_whole else None
