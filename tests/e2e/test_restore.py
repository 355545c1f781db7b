"""Redis lost: nobody starts on nothing, `exchange restore` brings it back, trading goes on."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.eventually import eventually
from tests.support.running import (
    EXCHANGE,
    BrokerClient,
    RunningExchange,
    clean_environment,
    order_body,
)


def restore(data: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*EXCHANGE, "restore", "--data", str(data)],
        env=clean_environment(COLUMNS="200"),
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
        for command in ("check", "replay"):
            result = exchange.run(command)
            assert result.returncode == 0, result.stdout
        assert restore(exchange.data).returncode != 0, "a running exchange was restored over"
    finally:
        alice.close()
        bob.close()
        exchange.stop()
