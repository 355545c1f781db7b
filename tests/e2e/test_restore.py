"""Redis lost: nobody starts on nothing, `exchange restore` brings it back, trading goes on."""

import json
import shutil
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
import redis

from protocol import keys
from tests.support.eventually import eventually
from tests.support.running import (
    EXCHANGE,
    BrokerClient,
    RunningExchange,
    clean_environment,
    order_body,
)


def restore(data: Path, *options: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*EXCHANGE, "restore", "--data", str(data), *options],
        env=clean_environment(COLUMNS="200", **variables),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(300)
def test_an_emptied_redis_is_refused_and_restored(short_dir: Path) -> None:
    exchange = RunningExchange(short_dir / "lost")
    exchange.start()
    alice, bob = exchange.register("alice"), exchange.register("bob")
    resting = [alice.ask("PETR4", 1000 + n // 2, 10, client_order_id=f"a{n}") for n in range(6)]
    alice.ask("VALE3", 500, 7)
    bob.bid("PETR4", 1000, 15)
    bob.bid("PETR4", 900, 3)
    canceled = alice.ask("PETR4", 2000, 1)
    alice.cancel(canceled)
    orders = [alice.order(o) for o in [*resting, canceled]]
    views = [
        "/stocks/PETR4/book",
        "/stocks/VALE3/book",
        "/stocks/PETR4/price",
        "/balance",
    ]
    before = [alice.get(view) for view in views]
    assert exchange.run("check").returncode == 0
    exchange.stop()
    shutil.rmtree(exchange.data / "redis")

    with pytest.raises(AssertionError, match="exchange restore"):
        exchange.start()
    done = restore(exchange.data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 open and 3 closed" in done.stdout

    exchange.start()
    try:
        # The same keys, on new connections.
        for old in (alice, bob):
            old.close()
        alice, bob = (
            BrokerClient(exchange.url, {"broker_id": old.broker_id, "api_key": old.api_key})
            for old in (alice, bob)
        )
        eventually(lambda: alice.http.get("/health/ready").status_code == 200, what="ready")
        assert [alice.order(o) for o in [*resting, canceled]] == orders
        assert [alice.get(view) for view in views] == before
        again = alice.http.post(
            "/orders",
            json=order_body(1000, side="ask", symbol="PETR4", quantity=10, client_order_id="a0"),
        )
        assert (again.status_code, again.json()["id"]) == (200, resting[0])
        # The first at its price is served first, as before.
        bob.bid("PETR4", 1000, 5)
        assert alice.order(resting[1])["state"] == "filled"
        for command in ("check", "verify-journal"):
            result = exchange.run(command)
            assert result.returncode == 0, result.stdout
        assert restore(exchange.data).returncode != 0, "a running exchange was restored over"
    finally:
        alice.close()
        bob.close()
        exchange.stop()


@pytest.mark.timeout(300)
def test_old_data_are_moved_aside_and_configured_limits_are_honoured(short_dir: Path) -> None:
    exchange = RunningExchange(short_dir / "old")
    exchange.start()
    alice, bob = exchange.register("alice"), exchange.register("bob")
    resting = alice.ask("PETR4", 1000, 10, client_order_id="mine")
    closed = alice.ask("PETR4", 900, 5)
    bob.bid("PETR4", 900, 5)
    eventually(lambda: exchange.run("check").returncode == 0, 30, "everything to be stored")
    exchange.stop()
    for client in (alice, bob):
        client.close()

    refused = restore(exchange.data)
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    assert "nothing is deleted" in refused.stderr
    assert list(exchange.data.glob("redis.replaced-*")) == []

    # Closed orders would stay for ten minutes and client order ids for a day.
    eventually(lambda: _seconds_old(exchange.data) > 1.2, what="the closed orders to be old")
    done = restore(exchange.data, "--replace", "--json", EXCHANGE_PERSISTER_CLOSED_SECONDS="1")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["passed"], result["open_orders"], result["closed_orders"]) == (True, 1, 0)
    (moved,) = exchange.data.glob("redis.replaced-*")
    assert result["replaced"] == str(moved)
    assert any(moved.rglob("*.aof")), "the old data are whole"

    done = restore(exchange.data, "--replace", "--json", EXCHANGE_INGRESS_CLIENT_IDS_HOURS="1")
    assert json.loads(done.stdout)["closed_orders"] == 2, done.stderr
    assert len(list(exchange.data.glob("redis.replaced-*"))) == 2

    exchange.start()
    try:
        with closing(redis.Redis.from_url(exchange.addresses["redis_url"])) as connection:
            (remembered,) = connection.scan_iter("*}:clients", count=1000)
            # Twice as long as they are remembered, in case none comes in meanwhile.
            assert connection.ttl(remembered) <= 2 * 3600
        with exchange.client() as reader:
            reader.headers["authorization"] = f"Bearer {alice.api_key}"
            eventually(lambda: reader.get("/health/ready").status_code == 200, what="ready")
            assert reader.get(f"/orders/{resting}").json()["status"] == "open"
            assert reader.get(f"/orders/{closed}").json()["state"] == "filled"
        assert exchange.run("check").returncode == 0
    finally:
        exchange.stop()


def _seconds_old(data: Path) -> float:
    return time.time() - (data / "postgres.log").stat().st_mtime


def test_configured_servers_are_not_replaced_and_one_url_alone_is_no_answer(
    redis_url: str, database_url: str
) -> None:
    def restore_configured(*options: str, **variables: str) -> str:
        done = subprocess.run(
            [*EXCHANGE, "restore", *options],
            env=clean_environment(COLUMNS="200", **variables),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1, done.stdout
        return done.stderr

    both = {"EXCHANGE_REDIS_URL": redis_url, "EXCHANGE_DATABASE_URL": database_url}
    assert "FLUSHALL" in restore_configured("--replace", **both)
    with closing(redis.Redis.from_url(redis_url)) as connection:
        connection.hset(keys.GENESIS, "history_id", "a" * 32)
        assert "Redis is not empty" in restore_configured(**both)
        connection.flushall()
    assert "there is nothing to restore" in restore_configured(**both)
    default = {"EXCHANGE_REDIS_URL": "redis://127.0.0.1:6379/0"}
    assert "EXCHANGE_DATABASE_URL is not" in restore_configured(**default)
    only = {"EXCHANGE_DATABASE_URL": database_url}
    assert "EXCHANGE_REDIS_URL is not" in restore_configured(**only)


def test_a_directory_without_postgresql_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    refused = restore(tmp_path, "--replace")
    assert refused.returncode == 1
    assert "holds no PostgreSQL" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["redis"]
