"""Clients that are slow or hostile hold nothing up and are let go."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.contract.test_bad_input import assert_problem
from tests.support.running import BrokerClient, RunningExchange

SECONDS_MAX = 13.0  # 10 s to receive a request, and some for a busy machine.


def dribble(port: int, opening: bytes, drops: Iterator[bytes]) -> float:
    """Send one drop a half second until the server ends the connection; returns how long."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as client:
        with contextlib.suppress(OSError):  # It may have heard enough before the end.
            client.sendall(opening)
        while time.monotonic() - started < 2 * SECONDS_MAX:
            try:
                if not client.recv(4096):
                    break
            except TimeoutError:
                try:
                    client.sendall(next(drops))
                except OSError:
                    break
            except OSError:
                break
    return time.monotonic() - started


def repeated(drop: bytes) -> Iterator[bytes]:
    while True:
        yield drop


def test_slow_clients_are_let_go_and_nobody_waits_for_them(
    exchange: RunningExchange, alice: BrokerClient
) -> None:
    request_line = b"POST /orders HTTP/1.1\r\nhost: x\r\n"
    slow = [
        (b"", b""),  # Not a byte.
        (request_line, b"x-a: b\r\n"),
        (request_line + b"content-length: 5000\r\n\r\n", b"{"),
    ]
    seconds: list[float] = []
    threads = [
        threading.Thread(
            target=lambda o=opening, d=drop: seconds.append(dribble(exchange.port, o, repeated(d)))
        )
        for opening, drop in slow * 20
    ]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert alice.http.get("/balance").elapsed.total_seconds() < 2
    for thread in threads:
        thread.join()
    assert len(seconds) == len(threads)
    assert 5 < min(seconds) <= max(seconds) < SECONDS_MAX


@pytest.mark.parametrize("pieces", [1, 50])
def test_a_head_that_is_too_long_is_refused(exchange: RunningExchange, pieces: int) -> None:
    head = b"GET /balance HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 1_000_000
    size = len(head) // pieces + 1
    answer = b""
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=10) as client:
        try:
            for at in range(0, len(head), size):
                client.sendall(head[at : at + size])
            client.sendall(b"\r\n\r\n")
        except OSError:
            pass  # It has seen enough.
        try:
            while part := client.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


def test_what_is_not_http_is_a_problem_with_a_code(exchange: RunningExchange) -> None:
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=10) as client:
        client.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        answer = client.recv(65536)
        answer += client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"malformed_request"' in answer
    head, body = answer.split(b"\r\n\r\n")
    request_id = json.loads(body)["request_id"]
    assert f"x-request-id: {request_id}".encode() in head.splitlines()


def test_a_body_of_fifty_megabytes_and_deep_or_endless_json_are_refused(
    alice: BrokerClient,
) -> None:
    def post(body: bytes) -> object:
        return alice.http.post("/orders", content=body)

    assert_problem(post(b"x" * 50_000_000), 413, "body_too_large")  # type: ignore[arg-type]
    for body in (b"[" * 10_000, b'{"a":' * 3_000, b'{"quantity":NaN}'):
        assert post(body).status_code == 422  # type: ignore[attr-defined]
    huge = b'{"quantity":' + b"9" * 5_000 + b"}"
    assert post(huge).status_code == 422  # type: ignore[attr-defined]
