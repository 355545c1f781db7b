"""Workers as processes: health, metrics, signals; and migrations as the tables say."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from alembic import command

from exchange.migrate import alembic_config
from protocol import keys
from runtime.process.asking import ask
from runtime.redis.channel import Channel
from tests.support.eventually import eventually
from tests.support.running import EXCHANGE, clean_environment, free_port


@pytest.fixture
def matcher(redis_url: str) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    port = free_port()
    process = subprocess.Popen(
        [*EXCHANGE, "run", "matcher"],
        env=clean_environment(EXCHANGE_REDIS_URL=redis_url, EXCHANGE_HEALTH_PORT=str(port)),
        stderr=subprocess.PIPE,
    )
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.communicate()


def test_a_worker_shows_health_and_metrics_and_ends_when_told(
    matcher: tuple["subprocess.Popen[bytes]", str],
) -> None:
    process, url = matcher

    def is_ready() -> bool:
        try:
            return httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    eventually(is_ready, 20, "the matcher to be ready")
    metrics = httpx.get(f"{url}/metrics", trust_env=False).text
    assert "exchange_matcher_partitions 16.0" in metrics
    assert httpx.get(f"{url}/health/live", trust_env=False).status_code == 200
    assert httpx.get(f"{url}/nothing", trust_env=False).status_code == 404
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"worker stopped" in errors


def test_an_http_process_ends_when_told_and_leaves_nothing_behind(
    channel: Channel, redis_url: str, short_dir: Path
) -> None:
    health_socket = short_dir / "http.health"
    process = subprocess.Popen(
        [*EXCHANGE, "run", "http"],
        env=clean_environment(
            EXCHANGE_REDIS_URL=redis_url,
            EXCHANGE_PORT=str(free_port()),
            EXCHANGE_ADMIN_KEY="ak",
            EXCHANGE_INSTANCE="http-1",
            EXCHANGE_HEALTH_SOCKET=str(health_socket),
        ),
    )
    try:
        eventually(lambda: ask(str(health_socket), "/health", 1.0) == 200, 20, "it to be ready")
        eventually(lambda: channel.execute("HEXISTS", keys.workers("http"), "http-1"), 10)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert not channel.execute("HEXISTS", keys.workers("http"), "http-1")
    assert not health_socket.exists()


def test_the_migrations_make_the_tables_that_the_code_knows(database_url: str) -> None:
    command.check(alembic_config(database_url))
