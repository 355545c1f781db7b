"""What the small market does in the next seconds: quotes, trades, cancels and reads. Pure.

The rates are those of the simulation (``simulator.load.market``). The prices are not: there they
jump around one price for ever, so that the matcher has work; here each symbol has a fair price
that walks, quotes lie close around it, and who comes late with an old quote is traded with.
"""

import math
import random
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate

from simulator.load.flow import BOOK, CANCEL, ORDER, PRICE, Flow, Planned
from simulator.load.market import READ_SHARE, ZIPF_EXPONENT, MarketLoad
from simulator.load.requests import (
    INSTANT_LENGTH,
    OrderRequest,
    Participants,
    get_request,
    post_head,
)

SYMBOLS_MIN, SYMBOLS_MAX, PERCENT_A_SYMBOL = 8, 98, 2.5
VOLATILITY = 0.0005  # Of the fair price, in the square root of a second.
TREND = 0.00012  # Of the fair price, a second, while a trend lasts.
TREND_SECONDS = 25.0
PULL = 0.004  # Towards the price of the beginning, a second.
QUOTE_SHARE, CROSS_SHARE = 0.72, 0.16  # The rest are market orders.
NEAREST, SPREAD_OF_QUOTES = 0.0004, 0.0035  # Of the fair price: half the spread, and the mean away.
CROSS_BY = 0.0012
QUOTE_SECONDS = (4.0, 75.0)
CROSS_SECONDS = (0.5, 1.0)
OPENING_LEVELS = 14
OPENING_SECONDS = (10.0, 90.0)
LOT = 100


@dataclass(slots=True)
class Walk:
    """The fair price of one symbol, in cents."""

    base: float
    fair: float
    at: float = 0.0
    trend: float = 0.0
    turns_at: float = 0.0

    def move(self, at: float, draw: random.Random) -> float:
        """The fair price at ``at``, which is not before the last one asked for."""
        passed, self.at = max(0.0, at - self.at), max(self.at, at)
        if at >= self.turns_at:
            self.trend = draw.choice((-TREND, 0.0, 0.0, TREND))
            self.turns_at = at + draw.expovariate(1 / TREND_SECONDS)
        pull = PULL * math.log(self.base / self.fair)
        step = (self.trend + pull) * passed + VOLATILITY * math.sqrt(passed) * draw.gauss(0, 1)
        self.fair *= math.exp(step)
        return self.fair


def symbol_count(percent: float) -> int:
    """How many symbols are traded at this size."""
    return min(SYMBOLS_MAX, SYMBOLS_MIN + round(percent / PERCENT_A_SYMBOL))


class StreetFlow:
    """Makes the flow of one stretch of time after the other."""

    def __init__(self, participants: Participants, percent: float, draw: random.Random) -> None:
        self._participants = participants
        self._load = MarketLoad(percent)
        self._draw = draw
        self._walks = [Walk(price, price) for price in participants.base_prices]
        ranks = range(1, len(self._walks) + 1)
        self._cumulative = list(accumulate(1 / rank**ZIPF_EXPONENT for rank in ranks))
        self._flow = Flow()

    def opening(self) -> Flow:
        """Quotes on both sides of every symbol, to be placed at once."""
        self._flow = Flow()
        for symbol, walk in enumerate(self._walks):
            for level in range(OPENING_LEVELS):
                for side in ("bid", "ask"):
                    away = NEAREST + SPREAD_OF_QUOTES * (level + self._draw.random()) / 4
                    price = _away(walk.fair, side, away)
                    self._limit(symbol, side, price, self._draw.uniform(*OPENING_SECONDS))
        self._flow.opening = len(self._flow.orders)
        return self._flow

    def stretch(self, begins: float, seconds: float) -> Flow:
        """What happens from ``begins`` (seconds since the market began) on; the times in it count
        from there."""
        self._flow = Flow()
        load = self._load
        quotes: list[int] = []
        cancel_share = load.cancels_per_second / load.orders_per_second
        read_share = READ_SHARE / (1 - READ_SHARE)
        at = self._draw.expovariate(load.orders_per_second)
        while at < seconds:
            order = self._order(at, begins)
            self._flow.planned.append(Planned(at, ORDER, order, b""))
            if self._flow.orders[order].life_seconds >= QUOTE_SECONDS[0]:
                quotes.append(order)
            if quotes and self._draw.random() < cancel_share:
                chosen = quotes.pop(self._draw.randrange(len(quotes)))
                self._flow.planned.append(Planned(at, CANCEL, chosen, b""))
            if self._draw.random() < read_share * (1 + cancel_share):
                self._flow.planned.append(self._read(at))
            at += self._draw.expovariate(load.orders_per_second)
        return self._flow

    def _order(self, at: float, begins: float) -> int:
        draw = self._draw
        symbol = bisect_left(self._cumulative, draw.random() * self._cumulative[-1])
        fair = self._walks[symbol].move(begins + at, draw)
        side, kind = draw.choice(("bid", "ask")), draw.random()
        if kind < QUOTE_SHARE:
            away = NEAREST + draw.expovariate(1 / SPREAD_OF_QUOTES)
            return self._limit(symbol, side, _away(fair, side, away), draw.uniform(*QUOTE_SECONDS))
        if kind < QUOTE_SHARE + CROSS_SHARE:
            price = _away(fair, side, -CROSS_BY * draw.random())
            return self._limit(symbol, side, price, draw.uniform(*CROSS_SECONDS))
        body = f'{self._common(symbol, side)},"order_type":"market"}}'
        return self._add(symbol, body, "", 0.0)

    def _read(self, at: float) -> Planned:
        symbol = bisect_left(self._cumulative, self._draw.random() * self._cumulative[-1])
        name = self._participants.symbols[symbol]
        kind, word = self._draw.choice(((PRICE, "price"), (BOOK, "book")))
        broker = self._draw.randrange(len(self._participants.api_keys))
        request = get_request(self._participants, broker, f"/stocks/{name}/{word}")
        return Planned(at, kind, -1, request)

    def _limit(self, symbol: int, side: str, price: int, life: float) -> int:
        common = self._common(symbol, side)
        body = f'{common},"order_type":"limit","price":{price},"valid_until":"'
        return self._add(symbol, body, '"}', life)

    def _common(self, symbol: int, side: str) -> str:
        draw = self._draw
        return (
            f'{{"document_number":"{draw.randrange(10**10, 10**11)}","side":"{side}",'
            f'"symbol":"{self._participants.symbols[symbol]}",'
            f'"quantity":{LOT * math.ceil(draw.expovariate(1 / 4))}'
        )

    def _add(self, symbol: int, body: str, tail: str, life: float) -> int:
        broker = self._draw.randrange(len(self._participants.api_keys))
        length = len(body) + len(tail) + (INSTANT_LENGTH if tail else 0)
        head = post_head(self._participants, broker, "/orders", length) + body.encode()
        self._flow.orders.append(OrderRequest(broker, symbol, head, tail.encode(), life))
        return len(self._flow.orders) - 1


def _away(fair: float, side: str, share: float) -> int:
    """A price on the passive side of ``fair``, or beyond it where ``share`` is negative."""
    return max(1, round(fair * (1 - share if side == "bid" else 1 + share)))
