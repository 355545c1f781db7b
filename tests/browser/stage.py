"""A stage for the page: its own files, and behind them a made-up exchange that plays a script.

With it a test can show what no healthy exchange would: a gap in the feed, names full of markup.
"""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Page, Route, WebSocketRoute, expect

from readapi.page.assets import HEADERS, INDEX, STATIC, Asset

URL = "http://stage.test"
BEGAN = datetime(2026, 11, 24, 13, 30, tzinfo=UTC)
NAMES = {
    "PETR4": "Petrobras PN",
    "VALE3": "Vale ON",
    "ITUB4": "Itaú Unibanco PN",
    "BBDC4": "Bradesco PN",
    "B3SA3": "B3 ON",
    "ABEV3": "Ambev ON",
    "MGLU3": "Magazine Luiza ON",
    "WEGE3": "WEG ON",
}


def stamp(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


class Stage:
    """``health`` and ``stocks`` are what the exchange answers; tests change them."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.draw = random.Random(4)
        self.stocks: dict[str, dict[str, Any]] = {s: stock(s, n) for s, n in NAMES.items()}
        self.health: dict[str, Any] = {
            "read_at": stamp(0),
            "complaints": [],
            "redis": True,
            "postgresql": True,
            "state": state(),
        }
        self.is_development = True
        self.admin_key = "ak_stage"
        self.is_away = False
        self.sockets: list[WebSocketRoute] = []
        self.asked: list[dict[str, Any]] = []
        self.trades = [trade(n, self.draw) for n in range(1, 401)]
        page.route("**/*", self._answer)
        page.route_web_socket("**/feed", self._connect)

    def open(self, scheme: str = "dark", width: int = 1440, height: int = 900) -> None:
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto(URL)
        if self.is_development:
            self.wait_until_subscribed()

    def wait_until_subscribed(self) -> None:
        """The page has asked for the trades of a symbol and shows those of before."""
        first = self.page.locator("#tape tr").first
        expect(first).to_have_attribute("data-trade", str(len(self.trades)))

    def tell(self, **message: Any) -> None:
        """Send a message over every open socket."""
        for socket in self.sockets:
            socket.send(json.dumps(message))

    # The exchange behind it.

    def _answer(self, route: Route) -> None:
        path, _, query = route.request.url.removeprefix(URL).partition("?")
        name = INDEX if path == "/" else path.removeprefix("/page/")
        if (STATIC / name).is_file() and (path == "/" or path.startswith("/page/")):
            asset = Asset(STATIC / name)
            headers = {**HEADERS, "content-type": asset.media_type}
            route.fulfill(body=asset.content, headers=headers)
        elif self.is_away:
            route.abort()
        else:
            status, content = self._call(path, query, route.request.headers)
            kind = "application/json" if status < 400 else "application/problem+json"
            route.fulfill(status=status, body=json.dumps(content), content_type=kind)

    def _call(self, path: str, query: str, headers: dict[str, str]) -> tuple[int, Any]:
        if path == "/debug/viewer-key":
            known = {"viewer_key": "vk_stage"}
            return (200, known) if self.is_development else (404, {"detail": "no such path"})
        if path == "/health/live":
            return 200, {"status": "ok"}
        keys = {"Bearer vk_stage", f"Bearer {self.admin_key}"}
        if headers.get("authorization") not in keys:
            return 401, {"detail": "a key is needed"}
        if path == "/admin/health":
            return 200, self.health
        if path == "/debug/market":
            return 200, {"percent": None, "seconds_left": None}
        if path == "/stocks":
            return 200, {"data": list(self.stocks.values()), "next_cursor": None}
        if path == "/stocks/tickers":
            rows = [ticker(s, rank) for rank, s in enumerate(self.stocks)]
            return 200, {"data": rows, "next_cursor": None}
        symbol = path.split("/")[2]
        if path.endswith("/trades"):
            return 200, {"data": self.trades[::-1], "next_cursor": None}
        if path.endswith("/candles"):
            return 200, {"data": candles(), "next_cursor": None}
        return 200, self.stocks[symbol]

    def _connect(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda message: self._hear(socket, json.loads(message)))

    def _hear(self, socket: WebSocketRoute, message: dict[str, Any]) -> None:
        self.asked.append(message)
        if message["op"] != "subscribe":
            return
        for channel in message["channels"]:
            for answer in self._snapshots(channel):
                socket.send(json.dumps({"channel": channel, **answer}))

    def _snapshots(self, channel: str) -> list[dict[str, Any]]:
        kind, _, _symbol = channel.partition(":")
        if kind == "ticker":
            return [
                {"type": "snapshot", "tickers": [ticker(s, i) for i, s in enumerate(self.stocks)]}
            ]
        if kind == "book":
            return [{"type": "snapshot", "sequence": 900, **book(self.trades[-1]["price"])}]
        return [{"type": "snapshot", "sequence": len(self.trades)}]


def stock(symbol: str, name: str, **fields: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "name": name,
        "status": "open",
        "status_reason": None,
        "last_price": 3148,
        "auction_ends_at": None,
        "indicative_price": None,
        "indicative_quantity": None,
    } | fields


def trade(number: int, draw: random.Random) -> dict[str, Any]:
    swing = 26 * math.sin(number / 55) + 9 * math.sin(number / 13) + draw.gauss(0, 1.6)
    return {
        "sequence": number,
        "trade_id": f"trade-{number}",
        "price": round(3148 + swing),
        "quantity": draw.randint(1, 9) * 100,
        "aggressor_side": draw.choice(("bid", "ask")),
        "executed_at": stamp(number * 0.9),
    }


def ticker(symbol: str, rank: int) -> dict[str, Any]:
    last, change = 3152 - 211 * rank, (37, -52, 8, 0, -17, 61, -9, 23)[rank % 8]
    return {
        "symbol": symbol,
        "last_price": last,
        "previous_close": last - change,
        "open": last - change,
        "volume": 1_284_300 // (rank + 1),
        "notional": 1_284_300 * last // (rank + 1),
        "high": last + 40,
        "low": last - 55,
        "best_bid": {"price": last - 1, "total_quantity": 100, "order_count": 1},
        "best_ask": {"price": last + 1, "total_quantity": 100, "order_count": 1},
    }


def book(price: int) -> dict[str, Any]:
    draw = random.Random(price)
    return {
        name: [
            [price + sign * (2 + at), draw.randint(2, 30 + 3 * at) * 100, draw.randint(1, 9)]
            for at in range(30)
        ]
        for name, sign in (("bids", -1), ("asks", 1))
    }


def candles() -> list[dict[str, Any]]:
    draw, price, rows = random.Random(9), 3100.0, []
    for minute in range(-110, 0):
        opened = price
        price += draw.gauss(0.4, 5)
        rows.append(
            {
                "start": stamp(minute * 60),
                "open": round(opened),
                "high": round(max(opened, price) + abs(draw.gauss(0, 4))),
                "low": round(min(opened, price) - abs(draw.gauss(0, 4))),
                "close": round(price),
                "volume": draw.randint(10, 90) * 100,
            }
        )
    return rows


def state() -> dict[str, Any]:
    draw = random.Random(2)
    owners = {"matcher": "matcher-1", "persister": "persister-1", "notifier": "notifier-1"}
    return {
        "passed": True,
        "redis_memory_bytes": 61_000_000,
        "redis_memory_bytes_max": 12_000_000_000,
        "partitions": [
            {
                "partition": f"p{number:02d}",
                "owners": dict(owners),
                "symbols": 28,
                "open_orders": draw.randint(200, 900),
                "logged": 20_000 + draw.randint(0, 9000),
                "backlog": draw.randint(0, 40),
                "batch": 9000,
                "to_store": draw.randint(0, 20),
                "to_notify": draw.randint(0, 4),
            }
            for number in range(16)
        ],
        "workers": [worker("http-1", traffic=(1321.4, 0.62, 3.4))]
        + [worker(name) for name in owners.values()],
    }


def worker(name: str, traffic: tuple[float, float, float] | None = None) -> dict[str, Any]:
    figures = ("requests_per_second", "p50_ms", "p99_ms")
    return {
        "kind": name.partition("-")[0],
        "instance": name,
        "host": "here",
        "pid": 4711,
        "seen_ms_ago": 300,
        "alive": True,
        "health": "ready",
        "memory_bytes": 92_000_000,
        "traffic": dict(zip(figures, traffic, strict=True)) if traffic else None,
    }
