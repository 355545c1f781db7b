"""The flow of one driver process: every request with its time, prepared ahead. Pure.

Arrivals are Poisson. The same seed gives the same flow. What cannot be known ahead is filled in
when it is sent: the instant of ``valid_until`` and the ids of orders.
"""

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from simulator.load import market
from simulator.load.market import MarketLoad
from simulator.load.requests import (
    INSTANT_LENGTH,
    OrderRequest,
    Participants,
    get_request,
    post_head,
)

ORDER, CANCEL, STATUS, PRICE, BOOK, BALANCE = range(6)
KINDS = ("order", "cancel", "status", "price", "book", "balance")


class Planned(NamedTuple):
    """One request. ``at`` is in seconds from the opening; ``order`` is the number of an order of
    this flow (its own, or the one that is canceled or looked at); ``request`` is whole for the
    reads that need no order."""

    at: float
    kind: int
    order: int
    request: bytes


@dataclass(slots=True)
class Flow:
    """``orders`` holds those of before the opening first; ``planned`` is sorted by time."""

    orders: list[OrderRequest] = field(default_factory=list)
    opening: int = 0
    planned: list[Planned] = field(default_factory=list)


def base_prices(seed: int, count: int) -> list[int]:
    """The price in cents around which each of ``count`` symbols trades."""
    draw = random.Random(f"{seed}-prices")
    return [draw.randint(*market.BASE_PRICE_CENTS) for _ in range(count)]


def generate(
    load: MarketLoad,
    participants: Participants,
    seconds: float,
    seed: int,
    process: int,
    processes: int,
) -> Flow:
    """The share of one of ``processes`` drivers in the load."""
    return _Generator(load, participants, seed, process, processes).generate(seconds)


class _Generator:
    def __init__(
        self, load: MarketLoad, participants: Participants, seed: int, process: int, processes: int
    ) -> None:
        self._load = load
        self._participants = participants
        self._process = process
        self._processes = processes
        self._draw = random.Random(f"{seed}-{process}")
        weights = (1 / rank**market.ZIPF_EXPONENT for rank in range(1, load.symbols + 1))
        self._cumulative = list(accumulate(weights))
        self._flow = Flow()
        self._order_times: list[float] = []  # Of limit orders, ascending; the opening is at -600.
        self._limit_orders: list[int] = []
        self._canceled: set[int] = set()

    def generate(self, seconds: float) -> Flow:
        self._open()
        share = 1 / self._processes
        load = self._load
        for at, kind in _merge(
            (ORDER, self._arrivals(load.orders_per_second * share, seconds)),
            (CANCEL, self._arrivals(load.cancels_per_second * share, seconds)),
            (STATUS, self._arrivals(load.reads_per_second * share, seconds)),
        ):
            if kind == ORDER:
                self._place(at)
            elif kind == CANCEL:
                self._cancel(at)
            else:
                self._read(at)
        return self._flow

    def _arrivals(self, rate: float, seconds: float) -> list[float]:
        times = []
        at = self._draw.expovariate(rate)
        while at < seconds:
            times.append(at)
            at += self._draw.expovariate(rate)
        return times

    def _open(self) -> None:
        """Resting orders of before the opening; symbols are dealt out to the processes."""
        draw = self._draw
        for symbol in range(self._process, self._load.symbols, self._processes):
            base = self._participants.base_prices[symbol]
            for number in range(2 * market.OPENING_ORDERS_PER_SIDE):
                away = draw.uniform(*market.OPENING_AWAY) * (1 if number % 2 else -1)
                quantity = draw.randint(*market.PASSIVE_QUANTITY)
                side = "ask" if number % 2 else "bid"
                price = max(1, round(base * (1 + away)))
                order = self._limit(symbol, side, price, quantity, market.DAY_SECONDS)
                self._order_times.append(-600.0)
                self._limit_orders.append(order)
        self._flow.opening = len(self._flow.orders)

    def _place(self, at: float) -> None:
        draw = self._draw
        symbol = self._symbol()
        side = "bid" if draw.random() < 0.5 else "ask"
        base = self._participants.base_prices[symbol]
        kind = draw.random()
        if kind >= market.PASSIVE_SHARE + market.AGGRESSIVE_SHARE:
            order = self._market(symbol, side, draw.randint(*market.AGGRESSIVE_QUANTITY))
        else:
            if kind < market.PASSIVE_SHARE:
                away = draw.uniform(*market.PASSIVE_AWAY) * (1 if side == "ask" else -1)
                quantity = draw.randint(*market.PASSIVE_QUANTITY)
            else:
                away = draw.uniform(-market.AGGRESSIVE_AROUND, market.AGGRESSIVE_AROUND)
                quantity = draw.randint(*market.AGGRESSIVE_QUANTITY)
            price = max(1, round(base * (1 + away)))
            order = self._limit(symbol, side, price, quantity, self._mixture(market.LIVES))
            self._order_times.append(at)
            self._limit_orders.append(order)
        self._flow.planned.append(Planned(at, ORDER, order, b""))

    def _cancel(self, at: float) -> None:
        """Cancel a limit order of about the age that was drawn, each at most once."""
        if not self._limit_orders:
            return
        born = at - self._mixture(market.CANCEL_AGES)
        place = min(bisect_left(self._order_times, born), len(self._limit_orders) - 1)
        if born < 0:
            place = self._draw.randrange(max(1, self._flow.opening))
        while place >= 0 and self._limit_orders[place] in self._canceled:
            place -= 1
        if place < 0:
            return
        order = self._limit_orders[place]
        self._canceled.add(order)
        self._flow.planned.append(Planned(at, CANCEL, order, b""))

    def _read(self, at: float) -> None:
        draw = self._draw
        kind = draw.random()
        if kind < market.STATUS_SHARE:
            count = len(self._flow.orders)
            order = draw.randrange(max(0, count - 1000), count) if count else -1
            if order >= 0:
                self._flow.planned.append(Planned(at, STATUS, order, b""))
            return
        kind -= market.STATUS_SHARE
        broker = draw.randrange(len(self._participants.api_keys))
        if kind < market.PRICE_SHARE:
            which, path = PRICE, f"/stocks/{self._participants.symbols[self._symbol()]}/price"
        elif kind < market.PRICE_SHARE + market.BOOK_SHARE:
            which, path = BOOK, f"/stocks/{self._participants.symbols[self._symbol()]}/book"
        else:
            which, path = BALANCE, "/balance"
        self._flow.planned.append(
            Planned(at, which, -1, get_request(self._participants, broker, path))
        )

    def _symbol(self) -> int:
        cumulative = self._cumulative
        return bisect_left(cumulative, self._draw.random() * cumulative[-1])

    def _mixture(self, parts: Sequence[tuple[float, float, float]]) -> float:
        pick = self._draw.random()
        for share, low, high in parts:
            if pick < share:
                return self._draw.uniform(low, high)
            pick -= share
        return parts[-1][2]

    def _limit(self, symbol: int, side: str, price: int, quantity: int, life: float) -> int:
        common = self._common(symbol, side, quantity)
        body = f'{common},"order_type":"limit","price":{price},"valid_until":"'
        return self._add(symbol, body, '"}', life)

    def _market(self, symbol: int, side: str, quantity: int) -> int:
        body = f'{self._common(symbol, side, quantity)},"order_type":"market"}}'
        return self._add(symbol, body, "", 0.0)

    def _common(self, symbol: int, side: str, quantity: int) -> str:
        document = self._draw.randrange(10**10, 10**11)
        return (
            f'{{"document_number":"{document}","side":"{side}",'
            f'"symbol":"{self._participants.symbols[symbol]}","quantity":{quantity}'
        )

    def _add(self, symbol: int, body: str, tail: str, life: float) -> int:
        broker = self._draw.randrange(len(self._participants.api_keys))
        length = len(body) + len(tail) + (INSTANT_LENGTH if tail else 0)
        head = post_head(self._participants, broker, "/orders", length) + body.encode()
        self._flow.orders.append(OrderRequest(broker, symbol, head, tail.encode(), life))
        return len(self._flow.orders) - 1


def _merge(*streams: tuple[int, list[float]]) -> Iterator[tuple[float, int]]:
    yield from sorted((at, kind) for kind, times in streams for at in times)
