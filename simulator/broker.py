"""A broker's view of an exchange: the calls of the HTTP contract."""

from typing import Any

import httpx

TIMEOUT_SECONDS = 10.0


class CallFailed(Exception):
    """The exchange answered with a problem; the text holds its code and detail."""


class Broker:
    """One registered broker."""

    def __init__(self, client: httpx.Client, broker_id: str, api_key: str, name: str) -> None:
        self.broker_id = broker_id
        self.name = name
        self.api_key = api_key
        self.webhook_secret = ""
        self._client = client
        self._headers = {"authorization": f"Bearer {api_key}"}

    @classmethod
    def register(
        cls, client: httpx.Client, admin_key: str, name: str, webhook_url: str | None = None
    ) -> "Broker":
        body = {"name": name} | ({"webhook_url": webhook_url} if webhook_url else {})
        answer = client.post(
            "/register",
            json=body,
            headers={"authorization": f"Bearer {admin_key}"},
        )
        registered = _content(answer)
        broker = cls(client, registered["broker_id"], registered["api_key"], name)
        broker.webhook_secret = registered.get("webhook_secret", "")
        return broker

    def place(self, order: dict[str, Any]) -> str:
        """The id of a new order."""
        answer = self._client.post("/orders", json=order, headers=self._headers)
        order_id: str = _content(answer)["order_id"]
        return order_id

    def cancel(self, order_id: str) -> None:
        _content(self._client.post(f"/orders/{order_id}/cancel", headers=self._headers))

    def order(self, order_id: str) -> dict[str, Any]:
        return self._get(f"/orders/{order_id}")

    def book(self, symbol: str, depth: int) -> dict[str, Any]:
        return self._get(f"/stocks/{symbol}/book?depth={depth}")

    def balance(self) -> int:
        cash: int = self._get("/balance")["balance"]
        return cash

    def _get(self, path: str) -> dict[str, Any]:
        return _content(self._client.get(path, headers=self._headers))


def connect(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False)


def _content(answer: httpx.Response) -> dict[str, Any]:
    if answer.is_success:
        return answer.json() if answer.content else {}
    try:
        problem = answer.json()
        raise CallFailed(f"{answer.status_code} {problem['code']}: {problem['detail']}")
    except (ValueError, KeyError) as error:
        raise CallFailed(f"{answer.status_code}: {answer.text[:200]}") from error
