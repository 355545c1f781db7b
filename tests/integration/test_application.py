"""The HTTP application when its servers fail: a problem with a code, never a bare 500."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from exchange.local.servers import EmbeddedRedis
from ingress.service import create as create_ingress
from protocol import ids, keys
from protocol.registry import BrokerRegistered, KeyIssued, RegistryEntry, hash_key
from readapi.service import create as create_readapi
from runtime.http.asgi import Application
from runtime.http.factory import create_app
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.genesis import found_or_join
from tests.support.builders import ALICE
from tests.support.feeding import register
from tests.support.running import bearer, order_body


@pytest.fixture
def dying_redis(short_dir: Path) -> Iterator[EmbeddedRedis]:
    data = short_dir / "app"
    data.mkdir(exist_ok=True)
    server = EmbeddedRedis(data)
    server.start()
    channel = Channel(server.url, "tests")
    found_or_join(channel, load(Settings, {}))
    entry = RegistryEntry([BrokerRegistered("b", "B", 1), KeyIssued("b", hash_key("xk_key"))])
    register(channel, entry)
    channel.close()
    yield server
    server.kill()


def fail(error: Exception) -> None:
    pytest.fail(repr(error))


async def ask_all(application: Application, server: EmbeddedRedis) -> dict[str, httpx.Response]:
    transport = httpx.ASGITransport(application)
    async with (
        application.api.router.lifespan_context(application.api),
        httpx.AsyncClient(transport=transport, base_url="http://x") as client,
    ):
        key, admin = bearer("xk_key"), bearer("ak")
        order = order_body(price=10)
        alive = await client.post("/orders", json=order, headers=key)
        assert alive.status_code == 201, alive.text
        order_id = alive.json()["order_id"]
        server.kill()
        return {
            "order": await client.post("/orders", json=order, headers=key),
            "new symbol": await client.post("/orders", json=order | {"symbol": "NEW"}, headers=key),
            "cancel": await client.post(f"/orders/{order_id}/cancel", headers=key),
            "status": await client.get(f"/orders/{order_id}", headers=key),
            "book": await client.get("/stocks/PETR4/book", headers=key),
            "balance": await client.get("/balance", headers=key),
            "orders": await client.get("/orders", headers=key),
            "trades": await client.get("/trades", headers=key),
            "positions": await client.get("/positions", headers=key),
            "stock": await client.get("/stocks/PETR4", headers=key),
            "stocks": await client.get("/stocks", headers=key),
            "rules": await client.put("/admin/stocks/PETR4", json={}, headers=admin),
            "halt": await client.put(
                "/admin/stocks/PETR4/status", json={"status": "halted"}, headers=admin
            ),
            "unknown key": await client.get("/balance", headers=bearer("xk_other")),
            "register": await client.post("/register", json={"name": "n"}, headers=admin),
            "reset": await client.post("/debug/reset", headers=admin),
        }


def test_without_redis_every_call_is_503_with_a_code(dying_redis: EmbeddedRedis) -> None:
    settings = load(
        Settings, {}, redis_url=dying_redis.url, admin_key="ak", env="development", instance="t"
    )
    channel = Channel(dying_redis.url, "tests")
    genesis = found_or_join(channel, settings)
    channel.close()
    application = create_app(settings, genesis, [create_ingress, create_readapi], fail)
    answers = asyncio.run(ask_all(application, dying_redis))
    for what, answer in answers.items():
        assert answer.status_code == 503, f"{what}: {answer.text}"
        # The first one may be on its way before the end of the connection is noticed.
        may_be_sent = what in ("order", "rules", "halt")
        codes = {"unavailable", "outcome_unknown"} if may_be_sent else {"unavailable"}
        assert answer.json()["code"] in codes, what
        assert answer.headers["retry-after"] == "1", what


def test_the_metrics_tell_the_state_of_the_exchange_and_when_redis_is_away(
    dying_redis: EmbeddedRedis,
) -> None:
    settings = load(Settings, {}, redis_url=dying_redis.url, admin_key="ak", instance="t")
    channel = Channel(dying_redis.url, "tests")
    genesis = found_or_join(channel, settings)
    application = create_app(settings, genesis, [create_ingress, create_readapi], fail)

    async def ask() -> list[set[str]]:
        transport = httpx.ASGITransport(application)
        async with (
            application.api.router.lifespan_context(application.api),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            key, shown = bearer("xk_key"), []
            for _ in range(2):  # Other tests have left orders.
                answer = await client.post("/orders", json=order_body(price=10), headers=key)
                assert answer.status_code == 201, answer.text
                shown.append(await client.get("/metrics"))
            channel.all_ok(
                [
                    ("HSET", keys.batch(0), "number", 9, "applied", 1),
                    *[("SET", keys.stored(0), 7), ("SET", keys.notified(0), 4)],
                    ("SET", keys.lease(0, "persister"), "p/1"),
                ]
            )
            shown.append(await client.get("/metrics"))
            dying_redis.kill()
            shown.append(await client.get("/metrics"))
            return [set(answer.text.splitlines()) for answer in shown]

    first, before, after, away = asyncio.run(ask())
    channel.close()
    assert "exchange_redis_up 1.0" in before
    assert backlog(before) == backlog(first) + 1
    assert 'exchange_partition_owned{kind="persister",partition="p00"} 0.0' in before
    assert {
        'exchange_partition_to_store{partition="p00"} 2.0',
        'exchange_partition_to_notify{partition="p00"} 5.0',
        'exchange_partition_owned{kind="persister",partition="p00"} 1.0',
        'exchange_partition_owned{kind="matcher",partition="p00"} 0.0',
        'exchange_partition_to_store{partition="p15"} 0.0',
    } <= after
    assert backlog(after) == backlog(before) - 1
    assert "exchange_redis_up 0.0" in away
    assert not [line for line in away if line.startswith("exchange_partition_backlog{")]


def backlog(shown: set[str]) -> float:
    """What the metrics say of the partition in which the tests trade."""
    prefix = 'exchange_partition_backlog{partition="p00"} '
    (value,) = [line.removeprefix(prefix) for line in shown if line.startswith(prefix)]
    return float(value)


def test_a_busy_process_refuses_but_tells_that_it_lives(
    channel: Channel, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.http.admission.BURST_MAX", 0)
    monkeypatch.setattr("runtime.http.admission.STANDING_MAX", 0)
    settings = load(Settings, {}, redis_url=redis_url, admin_key="ak", instance="t")
    genesis = found_or_join(channel, settings)
    application = create_app(settings, genesis, [create_ingress, create_readapi], fail)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(application)
        async with (
            application.api.router.lifespan_context(application.api),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            paths = ("/balance", "/nowhere", "/health/live", "/health/ready", "/metrics")
            return [await client.get(path) for path in paths]

    refused, nowhere, *alive = asyncio.run(ask())
    for answer in (refused, nowhere):
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"
    assert [answer.status_code for answer in alive] == [200, 200, 200]


def test_an_order_that_only_postgres_knows_is_503_while_postgres_is_away(
    channel: Channel, redis_url: str, database_url: str
) -> None:
    settings = load(
        Settings, {}, redis_url=redis_url, database_url=database_url, admin_key="ak", instance="t"
    )
    genesis = found_or_join(channel, settings)
    entry = RegistryEntry([BrokerRegistered(ALICE, "B", 1), KeyIssued(ALICE, hash_key("xk_key"))])
    register(channel, entry)
    application = create_app(settings, genesis, [create_ingress, create_readapi], fail)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(application)
        async with (
            application.api.router.lifespan_context(application.api),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
        ):
            key = bearer("xk_key")
            placed = await client.post("/orders", json=order_body(price=10), headers=key)
            known = ids.decode(placed.json()["order_id"])
            assert known is not None
            stored = ids.encode(known.time_ms, known.instrument_number, known.sequence + 1)
            before = await client.get(f"/orders/{stored}", headers=key)
            refuse_connections(database_url)
            paths = (f"/orders/{stored}", "/orders", "/trades", "/positions")
            return [before, *[await client.get(path, headers=key) for path in paths]]

    before, *answers = asyncio.run(ask())
    assert (before.status_code, before.json()["code"]) == (404, "order_not_found")
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def refuse_connections(database_url: str) -> None:
    """Let nobody connect to a database any more, and end the connections that there are."""
    name = str(conninfo_to_dict(database_url)["dbname"])
    other = database_url.replace(f"/{name}?", "/postgres?")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
        )
