"""The audit trail: who has asked the exchange for what, and what came of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from protocol.registry import hash_key
from tests.contract.test_bad_input import assert_problem
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange, bearer


class Admin:
    """Calls with the admin key."""

    def __init__(self, exchange: RunningExchange) -> None:
        self._url = exchange.url
        self.key = exchange.addresses["admin_key"]

    def call(self, method: str, path: str, request_id: str = "", **options: Any) -> httpx.Response:
        headers = bearer(self.key) | ({"x-request-id": request_id} if request_id else {})
        return httpx.request(method, self._url + path, headers=headers, trust_env=False, **options)

    def trail(self, **parameters: Any) -> dict[str, Any]:
        answer = self.call("GET", "/admin/audit", params=parameters)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        return page

    def of(self, request_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """The call of this request, and its outcome."""
        entries = self.trail(limit=100)["data"]
        (called,) = [one for one in entries if one.get("request_id") == request_id]
        (answered,) = [one for one in entries if one.get("call") == called["sequence"]]
        return called, answered


@pytest.fixture
def admin(exchange: RunningExchange) -> Admin:
    return Admin(exchange)


def test_each_call_that_changes_something_is_in_the_trail_with_its_outcome(
    admin: Admin, alice: BrokerClient, symbol: str
) -> None:
    broker = f"/admin/brokers/{alice.broker_id}"
    cases: list[tuple[str, str, dict[str, Any] | None, int]] = [
        ("POST", "/register", {"name": "Ágata"}, 201),
        ("POST", f"{broker}/keys", {"name": "k", "scopes": ["read"]}, 201),
        ("DELETE", f"{broker}/keys/{'0' * 16}", None, 404),
        ("PUT", f"{broker}/limits", {"open_orders_max": 5}, 200),
        ("PUT", f"{broker}/limits", {"open_orders_max": -5}, 422),
        ("POST", f"{broker}/cancel-all", None, 202),
        ("PUT", f"/admin/stocks/{symbol}", {"name": "T"}, 200),
        ("PUT", f"/admin/stocks/{symbol}/status", {"status": "halted"}, 200),
        ("POST", "/admin/trades/00000000-0000-4000-8000-000000000000/bust", {}, 404),
        ("POST", f"{broker}/api-key", None, 201),
        ("DELETE", f"{broker}/api-key", None, 204),
    ]
    for number, (method, path, body, status) in enumerate(cases):
        request_id = f"audit-{alice.broker_id}-{number}"
        answer = admin.call(method, path, request_id, json=body)
        assert answer.status_code == status, (path, answer.text)
        called, answered = admin.of(request_id)
        assert (called["method"], called["path"]) == (method, path)
        assert called["address"] == "127.0.0.1"
        assert called["key_id"] == hash_key(admin.key)[:16]
        sent = answer.request.content
        assert called["body"] == sent.decode()
        assert called["body_hash"] == hashlib.sha256(sent).hexdigest()
        assert answered["status"] == status
        assert answered["sequence"] > called["sequence"]


def test_no_secret_is_in_the_trail(admin: Admin, alice: BrokerClient) -> None:
    added = admin.call(
        "POST", f"/admin/brokers/{alice.broker_id}/keys", json={"name": "k", "scopes": ["trade"]}
    )
    text = json.dumps(admin.trail(limit=100))
    assert added.json()["api_key"] not in text
    assert admin.key not in text


def test_reads_and_calls_without_the_key_are_not_in_it_and_the_latter_are_logged(
    admin: Admin, exchange: RunningExchange, alice: BrokerClient
) -> None:
    path = f"/admin/brokers/{alice.broker_id}"
    assert admin.call("GET", f"{path}/limits", "audit-read").status_code == 200
    for key in (alice.api_key, "wrong"):
        headers = bearer(key) | {"x-request-id": "audit-refused"}
        refused = httpx.post(f"{exchange.url}{path}/api-key", headers=headers, trust_env=False)
        assert_problem(refused, 401, "unauthorized")
        read = httpx.get(f"{exchange.url}/admin/audit", headers=headers, trust_env=False)
        assert_problem(read, 401, "unauthorized")
    text = json.dumps(admin.trail(limit=100))
    assert "audit-read" not in text
    assert "audit-refused" not in text
    log = Path(exchange.data, "logs", "http-1.log").read_text()
    lines = [json.loads(line) for line in log.splitlines() if "audit-refused" in line]
    assert [line["path"] for line in lines] == [f"{path}/api-key"] * 2
    assert alice.api_key not in log


def test_the_trail_is_read_page_by_page(admin: Admin, alice: BrokerClient) -> None:
    for _ in range(3):
        admin.call("POST", f"/admin/brokers/{alice.broker_id}/cancel-all")
    whole = admin.trail(limit=100)["data"][:6]
    pieces: list[dict[str, Any]] = []
    before: dict[str, Any] = {}
    while len(pieces) < 6:
        page = admin.trail(limit=2, **before)
        assert len(page["data"]) <= 2
        pieces += page["data"]
        before = {"before": page["next_before"]}
    assert pieces == whole
    first = admin.trail(limit=100, before=2)
    assert first["next_before"] is None
    for wrong in ({"limit": 0}, {"limit": 101}, {"before": 0}, {"before": "x"}):
        answer = admin.call("GET", "/admin/audit", params=wrong)
        assert_problem(answer, 422, "invalid_field")


def test_a_change_of_the_stored_trail_is_found(
    admin: Admin, exchange: RunningExchange, alice: BrokerClient
) -> None:
    request_id = f"audit-{alice.broker_id}"
    admin.call("POST", f"/admin/brokers/{alice.broker_id}/cancel-all", request_id)
    called, _ = admin.of(request_id)
    sequence, url = called["sequence"], exchange.addresses["database_url"]
    find = "SELECT entry FROM registry WHERE sequence = %s"
    with psycopg.connect(url, autocommit=True) as connection:

        def stored() -> bytes | None:
            row = connection.execute(find, [sequence]).fetchone()
            return None if row is None else bytes(row[0])

        entry = eventually(stored, what="the persister to store the entry")
        assert entry is not None
        assert exchange.run("check").returncode == 0
        change = "UPDATE registry SET entry = %s WHERE sequence = %s"
        connection.execute(change, [entry.replace(b"127.0.0.1", b"127.0.0.9"), sequence])
        try:
            changed = exchange.run("check")
            assert changed.returncode != 0
            assert f"entry {sequence} is another one" in changed.stdout
        finally:
            connection.execute(change, [entry, sequence])
    assert exchange.run("check").returncode == 0
