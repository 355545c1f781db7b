"""Brokers who send orders with client order ids, read, and remember what they were told."""

import asyncio
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.fleet import Fleet
from tests.faults.reads import MonotonicReader
from tests.support.receiver import Receiver
from tests.support.running import bearer, order_body

SYMBOLS = ("PETR4", "VALE3", "ITUB4", "BBDC4", "B3SA3", "ABEV3", "WEGE3", "MGLU3")
ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"
TIMEOUT_SECONDS = 8.0
READ_SHARE = 0.3


@dataclass(slots=True)
class Sent:
    """One order and what its broker knows of it."""

    broker: int
    body: dict[str, Any]
    outcome: str = UNKNOWN
    order_id: str = ""
    began: float = 0.0
    """When it was sent for the first time; it and ``at`` are on the monotonic clock."""
    at: float = 0.0
    seconds: float = 0.0

    @property
    def key(self) -> tuple[int, str, str]:
        return self.broker, self.body["symbol"], self.body["client_order_id"]


@dataclass
class BrokersAtWork:
    """Runs in a thread; use as a context manager. ``brokers`` place orders and cancel some, each
    one request after another, with a pause of ``pace`` seconds on average in between. Now and then
    they read, from one of ``read_urls`` (those of the fleet itself when there are none)."""

    fleet: Fleet
    seed: int
    brokers: int = 6
    pace: float = 0.02
    webhooks: int = 2
    read_urls: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    receivers: list[Receiver] = field(default_factory=list)
    accounts: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = MonotonicReader(self.read_urls or [self.fleet.url])
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
            if own and draw.random() < 0.35:
                await self._change(client, draw, draw.choice(own[-20:]))
                continue
            if own and draw.random() < READ_SHARE:
                await self._read(client, draw, draw.choice(own[-5:]))
            count += 1
            sent = Sent(number, _order(draw, number, count))
            await self.place(client, sent)
            if sent.outcome == UNKNOWN and draw.random() < 0.5:
                await self.place(client, sent)  # As a broker should; the others are for the end.
            if sent.outcome == ACKNOWLEDGED:
                own.append(sent)
            self.sent.append(sent)

    async def _read(self, client: httpx.AsyncClient, draw: random.Random, sent: Sent) -> None:
        headers = bearer(self.accounts[sent.broker]["api_key"])
        path = f"/orders/{sent.order_id}"
        if draw.random() < 0.4:
            path = f"/stocks/{sent.body['symbol']}/book"
        self._count(await self.reader.read(client, draw, path, headers))

    async def place(self, client: httpx.AsyncClient, sent: Sent) -> None:
        """Send an order, or send it again."""
        headers = bearer(self.accounts[sent.broker]["api_key"])
        started = time.monotonic()
        sent.began = sent.began or started
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

    async def _change(self, client: httpx.AsyncClient, draw: random.Random, sent: Sent) -> None:
        """Cancel an order, amend it, or now and then cancel all of its symbol."""
        kind = draw.choices(["cancel", "amend", "cancel-all"], [0.7, 0.25, 0.05])[0]
        headers = bearer(self.accounts[sent.broker]["api_key"])
        path = f"/orders/{sent.order_id}"
        try:
            if kind == "amend":
                body = {"quantity": draw.randint(1, 60), "price": 100 + draw.randint(-5, 5)}
                answer = await client.patch(path, json=body, headers=headers)
            elif kind == "cancel-all":
                symbol = {"symbol": sent.body["symbol"]}
                answer = await client.post("/orders/cancel-all", json=symbol, headers=headers)
            else:
                answer = await client.post(f"{path}/cancel", headers=headers)
        except httpx.TransportError as error:
            self._count(f"{kind} {type(error).__name__}")
            return
        self._count(f"{kind} {answer.status_code}")

    def _count(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1


def _order(draw: random.Random, broker: int, count: int) -> dict[str, Any]:
    """Close around 100, so that about half of the orders trade; a third has an instruction."""
    symbol = SYMBOLS[min(int(draw.expovariate(0.5)), len(SYMBOLS) - 1)]
    price = None if draw.random() < 0.05 else 100 + draw.randint(-5, 5)
    body = order_body(
        price,
        symbol=symbol,
        side=draw.choice(["bid", "ask"]),
        quantity=draw.randint(1, 50),
        client_order_id=f"b{broker}.{count}",
    )
    if price is not None and draw.random() < 0.33:
        del body["order_type"], body["valid_until"]
        body |= {"time_in_force": "gtc"} | draw.choice(_INSTRUCTIONS)
    return body


_INSTRUCTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"time_in_force": "day", "memo": "for the day"},
    {"time_in_force": "ioc"},
    {"time_in_force": "fok"},
    {"post_only": True},
    {"self_trade_prevention": "cancel_aggressor"},
    {"self_trade_prevention": "cancel_both"},
    {"display_quantity": 1},
    {"stop_price": 101},
    {"stop_price": 99},
)
