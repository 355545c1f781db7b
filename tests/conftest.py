"""Real servers and, for the contract tests, one real exchange for the whole session."""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from exchange.migrate import upgrade
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.genesis import found_or_join
from tests.support.running import BrokerClient, RunningExchange

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """A directory whose path leaves room for socket names, which pytest's own does not."""
    with tempfile.TemporaryDirectory(prefix="xt-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def redis_server(short_dir: Path) -> Iterator[EmbeddedRedis]:
    data = short_dir / "r"
    data.mkdir()
    server = EmbeddedRedis(data)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: EmbeddedRedis) -> str:
    """An empty Redis in which an exchange was founded a moment ago."""
    channel = Channel(redis_server.url, "tests")
    channel.execute("FLUSHALL")
    found_or_join(channel, load(Settings, {}))
    channel.close()
    return redis_server.url


@pytest.fixture
def channel(redis_url: str) -> Iterator[Channel]:
    channel = Channel(redis_url, "tests")
    yield channel
    channel.close()


@pytest.fixture(scope="session")
def postgres_server(short_dir: Path) -> Iterator[EmbeddedPostgres]:
    data = short_dir / "p"
    data.mkdir()
    server = EmbeddedPostgres(data)
    server.start()
    upgrade(server.url)
    yield server
    server.stop()


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """A database of this test alone, with the newest schema."""
    name = f"test_{next(_numbers)}"
    admin = postgres_server.url.replace("/exchange?", "/postgres?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE exchange")
    yield postgres_server.url.replace("/exchange?", f"/{name}?")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def exchange(short_dir: Path) -> Iterator[RunningExchange]:
    running = RunningExchange(short_dir / "x")
    running.start()
    yield running
    assert running.stop() == 0


@pytest.fixture
def broker(exchange: RunningExchange) -> Iterator[Callable[..., BrokerClient]]:
    """Registers brokers: ``broker()`` or ``broker(webhook_url)``."""
    brokers = []

    def register(webhook_url: str | None = None) -> BrokerClient:
        brokers.append(exchange.register(f"broker {next(_numbers)}", webhook_url))
        return brokers[-1]

    yield register
    for client in brokers:
        client.close()


@pytest.fixture
def alice(broker: Callable[..., BrokerClient]) -> BrokerClient:
    return broker()


@pytest.fixture
def bob(broker: Callable[..., BrokerClient]) -> BrokerClient:
    return broker()


@pytest.fixture
def symbol() -> str:
    """A symbol that no other test trades."""
    return f"T{next(_numbers)}"
