"""``exchange top`` on a running exchange: one picture, and one after another until Ctrl-C."""

import os
import pty
import signal
import subprocess

from tests.support.eventually import eventually
from tests.support.running import (
    EXCHANGE,
    BrokerClient,
    RunningExchange,
    clean_environment,
    free_port,
)


def test_one_picture_names_the_workers_and_the_symbol_that_has_traded(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 900_000_000, 1_000)  # More money than any other test moves.
    bob.ask(symbol, 900_000_000, 1_000)

    def look() -> str:
        done = exchange.run("top", "--once")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout if symbol in done.stdout else ""

    shown = eventually(look, 20, "the symbol among the busiest")
    assert "requests" in shown
    for worker in ("http-1", "matcher-1", "persister-1", "notifier-1"):
        assert worker in shown
    assert "9,000,000.00" in shown


def test_without_an_answer_it_says_so_and_fails() -> None:
    done = subprocess.run(
        [*EXCHANGE, "top", "--once"],
        env=clean_environment(
            EXCHANGE_URL=f"http://127.0.0.1:{free_port()}", EXCHANGE_ADMIN_KEY="ak_x"
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "does not answer" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_ctrl_c_ends_it_cleanly(exchange: RunningExchange) -> None:
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [*EXCHANGE, "top", "--interval", "0.2"],
        env=clean_environment(
            TERM="xterm",
            COLUMNS="80",
            LINES="50",
            EXCHANGE_URL=exchange.url,
            EXCHANGE_ADMIN_KEY=exchange.addresses["admin_key"],
        ),
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
        # A shell that runs the tests in its background has told them to ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(its_end)
    seen = b""
    try:
        while seen.count(b"requests ") < 3:
            seen += os.read(terminal, 65536)
        process.send_signal(signal.SIGINT)
        while piece := _read(terminal):
            seen += piece
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    assert b"Traceback" not in seen
    assert b"\x1b[?1049l" in seen, "the terminal is as it was"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # The other end is closed.
        return b""
