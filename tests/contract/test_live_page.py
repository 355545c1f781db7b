"""The page's files, the health of the exchange, the viewer's key and the small market."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from readapi.page.assets import INDEX, STATIC
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange, bearer


@pytest.fixture
def viewer(exchange: RunningExchange) -> Iterator[httpx.Client]:
    with exchange.client() as client:
        key = client.get("/debug/viewer-key").json()["viewer_key"]
    with exchange.client() as client:
        client.headers.update(bearer(key))
        yield client


def raw(exchange: RunningExchange, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{exchange.url}{path}", headers=headers, trust_env=False)


def test_every_file_of_the_page_is_served_and_may_load_nothing_from_elsewhere(
    exchange: RunningExchange,
) -> None:
    files = {file.name for file in STATIC.iterdir()} - {INDEX}
    for path in ("/", *(f"/page/{name}" for name in files)):
        answer = raw(exchange, path)
        assert answer.status_code == 200, path
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    for wanted in re.findall(r'(?:src|href)="(/page/[^"]+)"', raw(exchange, "/").text):
        assert raw(exchange, wanted).status_code == 200
    for path in ("/page/nothing.js", "/page/index.html", "/page/..%2fassets.py"):
        assert raw(exchange, path).status_code == 404


def test_a_browser_that_has_a_file_hears_304(exchange: RunningExchange) -> None:
    etag = raw(exchange, "/page/main.js").headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}"):
        again = raw(exchange, "/page/main.js", **{"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    assert raw(exchange, "/page/main.js", **{"if-none-match": '"other"'}).status_code == 200


def test_the_health_has_what_the_status_command_says_and_more(
    exchange: RunningExchange, viewer: httpx.Client, alice: BrokerClient, symbol: str
) -> None:
    alice.bid(symbol, 1000, 10)

    def is_counted() -> bool:
        state = viewer.get("/admin/health").json()["state"]
        (http,) = [worker for worker in state["workers"] if worker["kind"] == "http"]
        return bool(http["traffic"] and http["traffic"]["p99_ms"])

    eventually(is_counted)
    health = viewer.get("/admin/health").json()
    assert health["redis"] is health["postgresql"] is health["state"]["passed"] is True
    assert health["complaints"] == []
    assert sum(partition["logged"] for partition in health["state"]["partitions"]) > 0
    for worker in health["state"]["workers"]:
        assert worker["memory_bytes"] > 10_000_000
        assert worker["health"] == "ready"


def test_the_key_of_a_viewer_sees_and_does_nothing(
    exchange: RunningExchange, viewer: httpx.Client, alice: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 10)
    assert viewer.get("/stocks").status_code == 200
    assert viewer.get(f"/stocks/{symbol}").status_code == 200
    for path in ("/orders", f"/orders/{order_id}", "/balance", "/positions", "/debug/trade-count"):
        assert viewer.get(path).status_code == 401, path
    assert viewer.post("/orders", json={}).status_code == 401
    assert viewer.post(f"/orders/{order_id}/cancel").status_code == 401
    assert viewer.post("/register", json={"name": "n"}).status_code == 401
    assert viewer.post("/debug/reset").status_code == 401
    for key in ("vk_", "vk_wrong", alice.api_key):
        headers = bearer(key)
        with exchange.client() as client:
            assert client.get("/admin/health", headers=headers).status_code == 401
            assert client.post("/debug/market", json={}, headers=headers).status_code == 401
            assert client.delete("/debug/market", headers=headers).status_code == 401


def test_a_small_market_runs_alone_and_stops_when_it_is_told(
    exchange: RunningExchange, viewer: httpx.Client
) -> None:
    eventually(lambda: viewer.get("/debug/market").json()["percent"] is None)
    started = viewer.post("/debug/market", json={"percent": 20, "seconds": 60})
    assert started.status_code == 202, started.text
    assert started.json() == {"percent": 20, "seconds_left": 60}
    again = viewer.post("/debug/market", json={"percent": 20, "seconds": 60})
    assert (again.status_code, again.json()["code"]) == (409, "market_running")

    def has_traded() -> bool:
        return viewer.get("/stocks/PETR4").json().get("last_price") is not None

    eventually(has_traded, 20)
    assert viewer.get("/stocks/PETR4").json()["name"] == "Petrobras PN"
    assert viewer.delete("/debug/market").status_code == 204
    assert viewer.get("/debug/market").json() == {"percent": None, "seconds_left": None}

    eventually(lambda: is_quiet(viewer), 20, "the market to stop")


def is_quiet(viewer: httpx.Client) -> bool:
    """Whether nothing comes into the log from one reading of the health to the next."""
    before = viewer.get("/admin/health").json()

    def next_reading() -> dict[str, Any] | None:
        health: dict[str, Any] = viewer.get("/admin/health").json()
        return health if health["read_at"] > before["read_at"] else None

    after = eventually(next_reading)
    assert after is not None
    return logged(after) == logged(before)


def logged(health: dict[str, Any]) -> int:
    return sum(partition["logged"] for partition in health["state"]["partitions"])


@pytest.mark.parametrize(
    "body", [{"percent": 0}, {"percent": 301}, {"seconds": 601}, {"seconds": 0}, {"other": 1}]
)
def test_a_market_of_another_size_is_refused(viewer: httpx.Client, body: dict[str, int]) -> None:
    assert viewer.post("/debug/market", json=body).status_code == 422
