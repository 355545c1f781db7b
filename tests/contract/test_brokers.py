"""Registering brokers, and keys that end."""

import httpx
import pytest

from tests.contract.test_bad_input import assert_problem
from tests.support.running import RunningExchange, bearer


def admin_post(exchange: RunningExchange, path: str, **kwargs: object) -> httpx.Response:
    headers = bearer(exchange.addresses["admin_key"])
    return httpx.post(exchange.url + path, headers=headers, trust_env=False, **kwargs)  # type: ignore[arg-type]


def test_a_key_is_high_entropy_and_the_secret_comes_only_with_a_url(
    exchange: RunningExchange,
) -> None:
    plain = admin_post(exchange, "/register", json={"name": "plain"})
    assert plain.status_code == 201
    assert set(plain.json()) == {"broker_id", "api_key"}
    assert len(plain.json()["api_key"]) >= 43
    hooked = admin_post(
        exchange, "/register", json={"name": "hooked", "webhook_url": "http://127.0.0.1:9/x"}
    )
    assert hooked.json()["webhook_secret"].startswith("whsec_")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_field"),
        ({"name": ""}, "invalid_field"),
        ({"name": 5}, "invalid_field"),
        ({"name": "x" * 101}, "invalid_field"),
        ({"name": "a\u0000b"}, "invalid_field"),
        ({"name": "a", "nome": "b"}, "unknown_field"),
        ({"name": "a", "webhook_url": "ftp://x"}, "invalid_webhook_url"),
        ({"name": "a", "webhook_url": "/relative"}, "invalid_webhook_url"),
        ({"name": "a", "webhook_url": "http://u:p@x/"}, "invalid_webhook_url"),
        ({"name": "a", "webhook_url": "http://x:99999/"}, "invalid_webhook_url"),
        ({"name": "a", "webhook_url": "http://[x/"}, "invalid_webhook_url"),
        ({"name": "a", "webhook_url": "http://x/ y"}, "invalid_webhook_url"),
        ([], "invalid_field"),
    ],
)
def test_a_bad_registration_is_refused(exchange: RunningExchange, body: object, code: str) -> None:
    assert_problem(admin_post(exchange, "/register", json=body), 422, code)


def test_a_registration_that_is_not_json_is_refused(exchange: RunningExchange) -> None:
    assert_problem(admin_post(exchange, "/register", content=b"{"), 422, "malformed_json")
    assert_problem(admin_post(exchange, "/register", content=b" " * 17_000), 413, "body_too_large")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
def test_registering_needs_the_admin_key(
    exchange: RunningExchange, headers: dict[str, str]
) -> None:
    for body in ({"name": "x"}, {"name": 5}, {}):
        answer = httpx.post(f"{exchange.url}/register", json=body, headers=headers, trust_env=False)
        assert_problem(answer, 401, "unauthorized")


def test_a_revoked_key_ends_at_once_and_a_new_one_works(exchange: RunningExchange) -> None:
    broker = exchange.register("revoked")
    assert broker.http.get("/balance").status_code == 200
    rotated = admin_post(exchange, f"/admin/brokers/{broker.broker_id}/api-key")
    assert rotated.status_code == 201
    assert_problem(broker.http.get("/balance"), 401, "unauthorized")
    new = bearer(rotated.json()["api_key"])
    assert broker.http.get("/balance", headers=new).json()["broker_id"] == broker.broker_id
    admin = bearer(exchange.addresses["admin_key"])
    path = f"{exchange.url}/admin/brokers/{broker.broker_id}/api-key"
    assert httpx.delete(path, headers=admin, trust_env=False).status_code == 204
    assert_problem(broker.http.get("/balance", headers=new), 401, "unauthorized")
    broker.close()


def test_keys_of_an_unknown_broker_are_404(exchange: RunningExchange) -> None:
    assert_problem(admin_post(exchange, "/admin/brokers/x/api-key"), 404, "broker_not_found")
