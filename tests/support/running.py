"""A real exchange: ``exchange up`` in a directory of its own, on a port of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.support.eventually import eventually

EXCHANGE = [sys.executable, "-m", "exchange"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**variables: str) -> dict[str, str]:
    """This process's environment without any exchange settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("EXCHANGE_")}
    return {**kept, **variables}


class RunningExchange:
    """Start, talk to, kill parts of, stop, and start again."""

    def __init__(self, data: Path, *options: str, **variables: str) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._options = options
        self._environment = clean_environment(**variables)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        output = self.data.with_suffix(".out")
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                [
                    *EXCHANGE,
                    "up",
                    "--data",
                    str(self.data),
                    "--port",
                    str(self.port),
                    *self._options,
                ],
                env=self._environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

        def is_up() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"it ended:\n{output.read_text()[-3000:]}"
            return (self.data / "addresses.json").exists()

        eventually(is_up, 90, "exchange up")

    def stop(self) -> int:
        """Ctrl-C; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(60)
        self._process = None
        return code

    @property
    def addresses(self) -> dict[str, str]:
        content: dict[str, str] = json.loads((self.data / "addresses.json").read_text())
        return content

    def pid(self, worker: str) -> int:
        """The pid of a worker as it is now, from its heartbeat."""
        state = json.loads(self.run("status", "--json").stdout)
        for member in state.get("workers", ()):
            if member["instance"] == worker:
                return int(member["pid"])
        raise AssertionError(f"no {worker} in {state}")

    def kill(self, worker: str) -> int:
        """SIGKILL one worker; returns the pid it had."""
        pid = self.pid(worker)
        os.kill(pid, signal.SIGKILL)
        return pid

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """An ``exchange`` command against this exchange."""
        addresses = self.addresses
        return subprocess.run(
            [*EXCHANGE, *arguments],
            env=clean_environment(
                COLUMNS="200",
                EXCHANGE_URL=addresses["url"],
                EXCHANGE_REDIS_URL=addresses["redis_url"],
                EXCHANGE_DATABASE_URL=addresses["database_url"],
                EXCHANGE_ADMIN_KEY=addresses["admin_key"],
            ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=10, trust_env=False)

    def register(self, name: str, webhook_url: str | None = None) -> "BrokerClient":
        body = {"name": name} | ({"webhook_url": webhook_url} if webhook_url else {})
        with self.client() as client:
            answer = client.post(
                "/register", json=body, headers=bearer(self.addresses["admin_key"])
            )
        assert answer.status_code == 201, answer.text
        return BrokerClient(self.url, answer.json())


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


class BrokerClient:
    """A broker's keyed client, with the calls that nearly every test makes."""

    def __init__(self, url: str, registered: dict[str, str]) -> None:
        self.broker_id = registered["broker_id"]
        self.api_key = registered["api_key"]
        self.webhook_secret = registered.get("webhook_secret")
        self.http = httpx.Client(
            base_url=url, timeout=10, trust_env=False, headers=bearer(self.api_key)
        )

    def through(self, transport: httpx.BaseTransport) -> None:
        """Send everything by this transport."""
        url, headers = self.http.base_url, bearer(self.api_key)
        self.http.close()
        self.http = httpx.Client(
            base_url=url, timeout=10, headers=headers, transport=transport, verify=False
        )

    def close(self) -> None:
        self.http.close()

    def place(self, **order: Any) -> str:
        """Place an order and wait until the matcher has seen it; returns its id."""
        answer = self.http.post("/orders", json=order_body(**order))
        assert answer.status_code == 201, answer.text
        order_id: str = answer.json()["order_id"]
        self.settled(order_id)
        return order_id

    def bid(self, symbol: str, price: int | None, quantity: int, **more: Any) -> str:
        return self.place(side="bid", symbol=symbol, price=price, quantity=quantity, **more)

    def ask(self, symbol: str, price: int | None, quantity: int, **more: Any) -> str:
        return self.place(side="ask", symbol=symbol, price=price, quantity=quantity, **more)

    def order(self, order_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/orders/{order_id}")
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def settled(self, order_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            order = self.order(order_id)
            return None if order["state"] == "pending" else order

        settled = eventually(look, what="a matcher to see the order")
        assert settled is not None
        return settled

    def cancel(self, order_id: str) -> httpx.Response:
        return self.http.post(f"/orders/{order_id}/cancel")

    def get(self, path: str) -> Any:
        answer = self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def balance(self) -> int:
        cash: int = self.get("/balance")["balance"]
        return cash


def order_body(price: int | None = None, **more: Any) -> dict[str, Any]:
    """A valid body; ``price=None`` makes it a market order."""
    body: dict[str, Any] = {
        "document_number": "12345678901",
        "side": "bid",
        "order_type": "market",
        "symbol": "PETR4",
        "quantity": 100,
    }
    if price is not None:
        body |= {"order_type": "limit", "price": price, "valid_until": "2999-01-01T00:00:00Z"}
    return body | more


def delete_orders(broker: BrokerClient, order_ids: list[str], **options: Any) -> httpx.Response:
    """Cancel a list of orders; httpx has no ``delete`` with a body."""
    return broker.http.request("DELETE", "/orders", json={"order_ids": order_ids}, **options)
