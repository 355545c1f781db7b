"""``exchange restore``: fill an empty Redis from PostgreSQL; ``rebuild.py`` does the writing."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import SQLAlchemyError

from exchange.audit.rebuild import Kept, rebuild
from exchange.local.cluster import EmbeddedCluster, nodes_of
from exchange.local.installation import DEFAULT_DATA, Installation
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from ingress.settings import IngressSettings
from persister.settings import PersisterSettings
from protocol import keys
from runtime.postgres import tables
from runtime.process.errors import ExchangeError, HistoryMismatch
from runtime.process.settings import load
from runtime.redis.channel import Channel, RedisError

TIMEOUT_SECONDS = 60
_BY_HAND = (
    "--replace moves files, and the files of this Redis are not in a data directory of"
    " `exchange up`. Stop all workers, keep a copy of the data directory of Redis, empty Redis"
    " with FLUSHALL, and run `exchange restore` without --replace"
)
_NOT_EMPTY = (
    "Redis is not empty, and `exchange restore` fills only an empty one. With --replace it first"
    " moves the old data of Redis aside, to redis.replaced-<time> in the data directory; nothing"
    " is deleted"
)
_NOT_EMPTY_BY_HAND = (
    "Redis is not empty, and `exchange restore` fills only an empty one. Stop all workers, keep a"
    " copy of the data directory of Redis, empty Redis with FLUSHALL, and run it again"
)


class _Servers(NamedTuple):
    """PostgreSQL to read from, and a Redis to fill; ``replaced`` is where the old data went."""

    channel: Channel
    engine: Engine
    replaced: Path | None


def restore(console: Console, data: Path | None, *, replace: bool) -> dict[str, Any]:
    """Fill Redis from PostgreSQL; print and return how much there was.

    A ``data`` directory that is given wins over the environment. Raises :class:`ExchangeError`
    when there is nothing to restore, or Redis is not empty and ``replace`` is not set.
    """
    kept = Kept(
        client_ids_ms=load(IngressSettings).client_ids_hours * 3_600_000,
        closed_seconds=load(PersisterSettings).closed_seconds,
    )
    urls = _configured(os.environ) if data is None else None
    opened = _embedded(data or DEFAULT_DATA, replace) if urls is None else _remote(*urls, replace)
    try:
        with opened as servers, console.status("restoring"):
            restored = rebuild(servers.channel, servers.engine, kept)
    except (RedisError, SQLAlchemyError) as error:
        raise ExchangeError(f"the restore did not finish: {error}") from error
    console.print(
        f"restored {restored.brokers} brokers, {restored.instruments} instruments,"
        f" {restored.open_orders} open and {restored.closed_orders} closed orders"
        f" as of {restored.batches} batches; start the workers again",
        highlight=False,
    )
    if servers.replaced is not None:
        console.print(f"the old data of Redis are in {servers.replaced}", highlight=False)
    replaced = None if servers.replaced is None else str(servers.replaced)
    return {"passed": True, **restored._asdict(), "replaced": replaced}


def _configured(environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The URLs that are set, ``None`` when neither is; one of two would be a guess."""
    urls = [environment.get(f"EXCHANGE_{name}_URL", "") for name in ("REDIS", "DATABASE")]
    if not any(urls):
        return None
    if not all(urls):
        is_set, unset = ("REDIS", "DATABASE") if urls[0] else ("DATABASE", "REDIS")
        raise ExchangeError(
            f"EXCHANGE_{is_set}_URL is set and EXCHANGE_{unset}_URL is not. Set both, or name the"
            " data directory of an `exchange up` with --data"
        )
    return urls[0], urls[1]


@contextmanager
def _remote(redis_url: str, database_url: str, replace: bool) -> Iterator[_Servers]:
    if replace:
        raise ExchangeError(_BY_HAND)
    with _connected(redis_url) as channel, _engine(database_url) as engine:
        _expect_empty(channel, _NOT_EMPTY_BY_HAND)
        yield _Servers(channel, engine, None)


@contextmanager
def _embedded(data: Path, replace: bool) -> Iterator[_Servers]:
    """The servers of a data directory, started for as long as it takes."""
    installation = Installation(data)
    database = _database_url(installation, data)
    installation.lock()
    nodes = nodes_of(installation.data)
    redis = EmbeddedCluster(installation.data, nodes) if nodes else EmbeddedRedis(installation.data)
    postgres = None if database else EmbeddedPostgres(installation.data)
    try:
        if postgres is not None:
            postgres.start()
            database = postgres.url
        with _engine(database) as engine:
            # Before anything is moved.
            _expect_exchange(engine)
            aside = [_move_aside(path) for path in redis.directories] if replace else []
            replaced = aside[0] if aside else None
            redis.start()
            with _connected(redis.url) as channel:
                _expect_empty(channel, _NOT_EMPTY)
                yield _Servers(channel, engine, replaced)
    finally:
        redis.stop()
        if postgres is not None:
            postgres.stop()
        installation.unlock()


def _database_url(installation: Installation, data: Path) -> str:
    """Empty for the PostgreSQL in the directory; else that of the environment, as with `up`."""
    if (installation.data / "postgres" / "PG_VERSION").exists():
        return ""
    configured = os.environ.get("EXCHANGE_DATABASE_URL", "")
    if not configured:
        raise ExchangeError(
            f"{data} holds no PostgreSQL to restore from. Name the directory of an `exchange up`"
            " with --data, or set EXCHANGE_REDIS_URL and EXCHANGE_DATABASE_URL"
        )
    return configured


@contextmanager
def _connected(redis_url: str) -> Iterator[Channel]:
    channel = Channel(redis_url, "exchange-restore", timeout_seconds=TIMEOUT_SECONDS)
    try:
        yield channel
    finally:
        channel.close()


@contextmanager
def _engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(tables.sqlalchemy_url(database_url))
    try:
        yield engine
    finally:
        engine.dispose()


def _expect_exchange(engine: Engine) -> None:
    with engine.connect() as connection:
        if connection.execute(select(tables.genesis.c.history_id)).one_or_none() is None:
            raise HistoryMismatch("PostgreSQL holds no exchange; there is nothing to restore")


def _expect_empty(channel: Channel, otherwise: str) -> None:
    if channel.execute("EXISTS", keys.GENESIS, keys.RESTORING):
        raise HistoryMismatch(otherwise)


def _move_aside(directory: Path) -> Path | None:
    """Rename the data of Redis; returns the new path, ``None`` when there were none."""
    if not directory.exists():
        return None
    name = f"redis.replaced-{time.strftime('%Y%m%d-%H%M%S')}"
    target, number = directory.with_name(name), 1
    while target.exists():
        number += 1
        target = directory.with_name(f"{name}-{number}")
    return directory.rename(target)
