"""A broker's view of an exchange: the calls of the HTTP contract, one at a time."""

from contextlib import suppress
from typing import Any

import httpx

from simulator.answers import BODY_SHOWN_MAX, problem_text
from simulator.errors import CallFailed, Unreachable
from simulator.target import Target

TIMEOUT_SECONDS = 10.0


class Broker:
    """One registered broker. Every call raises :class:`~simulator.errors.CallFailed` when the
    exchange answers with a problem and :class:`~simulator.errors.Unreachable` when it does not
    answer."""

    def __init__(self, client: httpx.Client, broker_id: str, api_key: str, name: str) -> None:
        self.broker_id = broker_id
        self.name = name
        self.api_key = api_key
        self.webhook_secret = ""
        self._client = client

    @classmethod
    def register(
        cls, client: httpx.Client, admin_key: str, name: str, webhook_url: str | None = None
    ) -> "Broker":
        """A new broker. ``admin_key`` may be empty where the exchange asks for none."""
        body = {"name": name} | ({"webhook_url": webhook_url} if webhook_url else {})
        registered = _call(client, "POST", "/register", admin_key, json=body)
        broker = cls(
            client,
            str(_field(registered, "POST /register", "broker_id", "id")),
            str(_field(registered, "POST /register", "api_key")),
            name,
        )
        broker.webhook_secret = str(registered.get("webhook_secret") or "")
        return broker

    def place(self, order: dict[str, Any]) -> str:
        """The id of a new order; ``order`` is the body of the request."""
        answer = _call(self._client, "POST", "/orders", self.api_key, json=order)
        return str(_field(answer, "POST /orders", "order_id", "id"))

    def amend(self, order_id: str, price: int, quantity: int) -> None:
        """Change an order; ``quantity`` is its new total. A call beyond the basic contract."""
        body = {"price": price, "quantity": quantity}
        _call(self._client, "PATCH", f"/orders/{order_id}", self.api_key, json=body)

    def cancel(self, order_id: str) -> None:
        """Cancel an order; one that is closed already is no error."""
        _call(self._client, "POST", f"/orders/{order_id}/cancel", self.api_key)

    def order(self, order_id: str) -> dict[str, Any]:
        """The order as the exchange shows it."""
        return self._get(f"/orders/{order_id}")

    def book(self, symbol: str, depth: int) -> dict[str, Any]:
        """The ``depth`` best levels of both sides."""
        return self._get(f"/stocks/{symbol}/book?depth={depth}")

    def stock(self, symbol: str) -> dict[str, Any]:
        """The instrument. A call beyond the basic contract."""
        return self._get(f"/stocks/{symbol}")

    def balance(self) -> int:
        """Cash from sells minus buys, in cents."""
        cash: int = _field(self._get("/balance"), "GET /balance", "balance")
        return cash

    def _get(self, path: str) -> dict[str, Any]:
        return _call(self._client, "GET", path, self.api_key)


def require_answer(target: Target) -> None:
    """Raises :class:`~simulator.errors.Unreachable` when nobody answers at the target; what is
    answered does not matter."""
    with connect(target) as client, suppress(CallFailed):
        _call(client, "GET", "/health/live", "")


def trade_count(client: httpx.Client, admin_key: str) -> int:
    """How many trades the exchange has counted. A call that an exchange need not have."""
    answer = _call(client, "GET", "/debug/trade-count", admin_key)
    count: int = _field(answer, "GET /debug/trade-count", "count", "trade_count")
    return count


def connect(target: Target) -> httpx.Client:
    """A client for all brokers of a run; it opens connections as they are needed."""
    return httpx.Client(base_url=target.url, timeout=TIMEOUT_SECONDS, trust_env=False)


def _call(
    client: httpx.Client, method: str, path: str, key: str, json: Any = None
) -> dict[str, Any]:
    """The content of a successful answer; an empty body is an empty object."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = client.request(method, path, json=json, headers=headers)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise Unreachable(f"{method} {path} at {client.base_url}: {reason}") from error
    if not answer.is_success:
        raise CallFailed(
            f"{method} {path}: {problem_text(answer.status_code, answer.content)}",
            answer.status_code,
        )
    return _object(method, path, answer)


def _object(method: str, path: str, answer: httpx.Response) -> dict[str, Any]:
    if not answer.content:
        return {}
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        shown = answer.text[:BODY_SHOWN_MAX]
        raise CallFailed(
            f"{method} {path}: {answer.status_code} with a body that is no JSON object: {shown}",
            answer.status_code,
        )
    return content


def _field(content: dict[str, Any], call: str, *names: str) -> Any:
    """The first of the names that the answer has."""
    for name in names:
        if name in content:
            return content[name]
    raise CallFailed(f"{call}: the answer has no {' or '.join(names)}, only {sorted(content)}")
