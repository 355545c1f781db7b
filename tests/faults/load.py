"""Brokers who send orders with client order ids and remember what they were told."""

import asyncio
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.fleet import Fleet
from tests.support.receiver import Receiver
from tests.support.running import bearer, order_body

SYMBOLS = ("PETR4", "VALE3", "ITUB4", "BBDC4", "B3SA3", "ABEV3", "WEGE3", "MGLU3")
ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"
TIMEOUT_SECONDS = 8.0


@dataclass(slots=True)
class Sent:
    """One order and what its broker knows of it."""

    broker: int
    body: dict[str, Any]
    outcome: str = UNKNOWN
    order_id: str = ""
    at: float = 0.0
    seconds: float = 0.0

    @property
    def key(self) -> tuple[int, str, str]:
        return self.broker, self.body["symbol"], self.body["client_order_id"]


@dataclass
class BrokersAtWork:
    """Runs in a thread; use as a context manager. ``brokers`` place orders and cancel some, each
    one request after another, with a pause of ``pace`` seconds on average in between."""

    fleet: Fleet
    seed: int
    brokers: int = 6
    pace: float = 0.02
    webhooks: int = 2
    sent: list[Sent] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    receivers: list[Receiver] = field(default_factory=list)
    accounts: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "BrokersAtWork":
        self.receivers = [Receiver().__enter__() for _ in range(self.webhooks)]
        urls = [receiver.url for receiver in self.receivers]
        self.accounts = [
            self.fleet.register(f"broker {n}", urls[n] if n < len(urls) else None)
            for n in range(self.brokers)
        ]
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for receiver in self.receivers:
            receiver.__exit__()

    def stop(self) -> None:
        """Let every broker finish its request."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def acknowledged(self) -> list[Sent]:
        return [s for s in self.sent if s.outcome == ACKNOWLEDGED]

    def first_answer_after(self, at: float) -> float | None:
        """Seconds from ``at`` (monotonic) until an order sent after it was acknowledged."""
        for sent in list(self.sent):
            if sent.outcome == ACKNOWLEDGED and sent.at - sent.seconds >= at:
                return sent.at - at
        return None

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as error:  # noqa: BLE001 - handed to whoever stops the load.
            self._failure = error

    async def _all(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=self.brokers)
        async with httpx.AsyncClient(
            base_url=self.fleet.url, timeout=TIMEOUT_SECONDS, trust_env=False, limits=limits
        ) as client:
            await asyncio.gather(*[self._broker(client, n) for n in range(self.brokers)])

    async def _broker(self, client: httpx.AsyncClient, number: int) -> None:
        draw = random.Random(f"{self.seed}-{number}")
        own: list[Sent] = []
        count = 0
        while not self._stop.is_set():
            await asyncio.sleep(draw.expovariate(1 / self.pace))
            alive = [s for s in own[-20:] if s.outcome == ACKNOWLEDGED]
            if alive and draw.random() < 0.25:
                await self._cancel(client, draw.choice(alive))
                continue
            count += 1
            sent = Sent(number, _order(draw, number, count))
            own.append(sent)
            await self.place(client, sent)
            if sent.outcome == UNKNOWN and draw.random() < 0.5:
                await self.place(client, sent)  # As a broker should; the others are for the end.
            self.sent.append(sent)

    async def place(self, client: httpx.AsyncClient, sent: Sent) -> None:
        """Send an order, or send it again."""
        headers = bearer(self.accounts[sent.broker]["api_key"])
        started = time.monotonic()
        try:
            answer = await client.post("/orders", json=sent.body, headers=headers)
        except httpx.ConnectError:
            # Nothing was sent; an earlier sending may still have been taken.
            self._count("connect")
            if not sent.at:
                sent.outcome = REFUSED
            sent.at = time.monotonic()
            await asyncio.sleep(0.05)
            return
        except httpx.TransportError as error:
            self._count(type(error).__name__)
            sent.outcome, sent.at = UNKNOWN, time.monotonic()
            return
        first_time = not sent.at
        sent.at = time.monotonic()
        sent.seconds = sent.at - started
        if answer.status_code in (200, 201):
            self._count(str(answer.status_code))
            sent.outcome, sent.order_id = ACKNOWLEDGED, answer.json()["order_id"]
            return
        if answer.headers["content-type"] != "application/problem+json":
            raise AssertionError(f"no problem: {answer.status_code} {answer.text!r}")
        code = answer.json()["code"]
        self._count(f"{answer.status_code} {code}")
        if code == "outcome_unknown" or answer.status_code == 500:
            sent.outcome = UNKNOWN
        elif first_time:
            sent.outcome = REFUSED

    async def _cancel(self, client: httpx.AsyncClient, sent: Sent) -> None:
        headers = bearer(self.accounts[sent.broker]["api_key"])
        try:
            answer = await client.post(f"/orders/{sent.order_id}/cancel", headers=headers)
        except httpx.TransportError as error:
            self._count(f"cancel {type(error).__name__}")
            return
        self._count(f"cancel {answer.status_code}")

    def _count(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1


def _order(draw: random.Random, broker: int, count: int) -> dict[str, Any]:
    """Close around 100, so that about half of the orders trade."""
    symbol = SYMBOLS[min(int(draw.expovariate(0.5)), len(SYMBOLS) - 1)]
    price = None if draw.random() < 0.05 else 100 + draw.randint(-5, 5)
    return order_body(
        price,
        symbol=symbol,
        side=draw.choice(["bid", "ask"]),
        quantity=draw.randint(1, 50),
        client_order_id=f"b{broker}.{count}",
    )
