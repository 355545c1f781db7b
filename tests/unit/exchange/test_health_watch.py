"""When a worker counts as hung."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.local.health import HealthWatch
from runtime.process.asking import ask
from runtime.process.health import Health, listen_unix, serve_health
from runtime.process.settings import Settings
from tests.support.eventually import eventually

NO_ANSWER = None


def watch(any_answer: bool = False) -> HealthWatch:
    """One that is told the answers by the test and asks nobody."""
    health = HealthWatch("/nowhere", any_answer)
    health.begin()
    return health


def silence(health: HealthWatch, seconds: int) -> None:
    for _ in range(seconds):
        health.note(health.life, NO_ANSWER, 1.0)


def test_ten_seconds_of_silence_after_an_answer_are_hanging() -> None:
    health = watch()
    health.note(health.life, 200, 1.0)
    silence(health, 9)
    assert health.complaint == ""
    silence(health, 1)
    assert health.complaint == "has not answered for 10 s"


def test_an_answer_ends_the_silence() -> None:
    health = watch()
    for _ in range(3):
        health.note(health.life, 200, 1.0)
        silence(health, 9)
    assert health.complaint == ""


def test_a_start_may_take_a_minute() -> None:
    health = watch()
    silence(health, 59)
    assert health.complaint == ""
    silence(health, 1)
    assert health.complaint == "has not answered within 60 s of its start"


def test_a_worker_that_says_twice_that_it_does_not_turn_is_believed() -> None:
    health = watch()
    health.note(health.life, 503, 1.0)
    assert health.complaint == ""
    health.note(health.life, 503, 1.0)
    assert health.complaint == "has not run its loop for 10 s"


def test_an_http_process_that_refuses_is_alive() -> None:
    health = watch(any_answer=True)
    for _ in range(30):
        health.note(health.life, 503, 1.0)
    assert health.complaint == ""


def test_a_new_process_is_not_blamed_for_the_old_one() -> None:
    health = watch()
    old = health.life
    health.note(old, 200, 1.0)
    silence(health, 10)
    health.begin()
    assert health.complaint == ""
    health.note(old, 503, 1.0)
    health.note(old, 503, 1.0)
    assert health.complaint == ""
    silence(health, 10)
    assert health.complaint == "", "it has a minute to start again"


def test_time_in_which_nobody_was_asked_does_not_count() -> None:
    health = watch()
    health.note(health.life, 200, 1.0)
    health.note(health.life, NO_ANSWER, 3600.0)  # This machine was suspended.
    assert health.complaint == ""


@pytest.fixture
def path(short_dir: Path) -> Iterator[str]:
    path = short_dir / "w.health"
    yield str(path)
    path.unlink(missing_ok=True)


def test_a_worker_answers_on_its_socket_in_the_place_of_an_old_one(path: str) -> None:
    listen_unix(path).close()  # What a killed process leaves behind.
    assert ask(path, "/health/live", 1.0) is None
    health = Health()
    with serve_health(Settings(health_socket=path, health_port=0), health):
        assert ask(path, "/health/live", 5.0) == 200
        assert ask(path, "/health/ready", 5.0) == 503
        health.ready = True
        assert ask(path, "/health/ready", 5.0) == 200
        assert ask(path, "/nothing", 5.0) == 404
    assert not Path(path).exists()
    assert ask(path, "/health/live", 1.0) is None


def test_whoever_accepts_and_says_nothing_gives_no_answer(path: str) -> None:
    with listen_unix(path):
        assert ask(path, "/health/live", 0.2) is None


def test_half_an_answer_is_none(path: str) -> None:
    with listen_unix(path) as listener:

        def answer() -> None:
            connection: socket.socket
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-le")

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask(path, "/health/live", 5.0) is None
        thread.join()


def test_a_watch_sees_by_itself_that_nobody_turns(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.local.health.ASK_SECONDS", 0.01)
    monkeypatch.setattr("runtime.process.health.STALE_SECONDS", 0.05)
    health = Health()
    health.ready = True
    watching = HealthWatch(path, any_answer=False)
    with serve_health(Settings(health_socket=path), health):
        watching.begin()
        watching.watch()
        eventually(lambda: watching.complaint == "has not run its loop for 10 s", 5)
    watching.stop()
