"""Lists of orders, fills and positions over HTTP."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.running import BrokerClient, RunningExchange, order_body
from tests.support.serving import Line, request

PLACED = 10_000
PAGE = 500
TOGETHER = 250


def pages(broker: "BrokerClient | RawBroker", path: str) -> Iterator[list[dict[str, Any]]]:
    """The data of all pages of a list."""
    cursor = ""
    while True:
        page = broker.get(path + cursor)
        assert page["has_more"] == (page["next_cursor"] is not None)
        yield page["data"]
        if not page["has_more"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def listed(broker: "BrokerClient | RawBroker", path: str) -> list[dict[str, Any]]:
    return [row for page in pages(broker, path) for row in page]


def ids_of(rows: list[dict[str, Any]]) -> list[str]:
    return [row["order_id"] for row in rows]


def post(broker: BrokerClient, **order: Any) -> str:
    """Place an order and wait for nothing."""
    answer = broker.http.post("/orders", json=order_body(**order))
    assert answer.status_code == 201, answer.text
    order_id: str = answer.json()["order_id"]
    return order_id


def test_an_order_is_in_the_list_right_after_its_201(alice: BrokerClient, symbol: str) -> None:
    placed: list[str] = []
    for number in range(60):
        placed.insert(0, post(alice, symbol=symbol, price=1000 + number, quantity=1))
        assert ids_of(alice.get("/orders?limit=500")["data"]) == placed


def test_a_listed_order_is_the_order_without_its_trades(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.ask(symbol, 1010, 10, client_order_id="mine")
    bob.bid(symbol, 1010, 4)
    (row,) = listed(alice, "/orders?limit=10")
    whole = alice.order(order_id)
    assert row == {name: value for name, value in whole.items() if name != "trades"}
    assert (row["state"], row["filled_quantity"]) == ("partially_filled", 4)


def test_each_filter_lets_through_what_it_says(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    other = f"{symbol}.B"
    first = alice.bid(symbol, 1000, 5, document_number="123.456-7")
    second = alice.ask(symbol, 1100, 5)
    third = alice.bid(other, 1000, 5)
    after = alice.order(third)["updated_at"].replace("+", "%2B")
    assert alice.cancel(first).status_code == 204
    bob.bid(other, 900, 1)
    for query, expected in {
        "": [third, second, first],
        "status=all": [third, second, first],
        "status=open": [third, second],
        "status=closed": [first],
        f"symbol={symbol}": [second, first],
        "side=bid": [third, first],
        "document_number=1234567": [first],
        f"status=open&symbol={symbol}&side=ask": [second],
        f"updated_after={after}": [first],
        "updated_after=2999-01-01T00:00:00Z": [],
        "symbol=NEVERSEEN": [],
    }.items():
        assert ids_of(listed(alice, f"/orders?limit=1&{query}")) == expected, query


def test_fills_say_who_made_and_who_took(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    maker = alice.ask(symbol, 1010, 10)
    taker = bob.bid(symbol, 1010, 4)
    own = alice.bid(symbol, 1010, 1)
    fills = listed(alice, f"/trades?limit=1&symbol={symbol}")
    assert [(f["order_id"], f["liquidity"], f["side"], f["quantity"]) for f in fills] == [
        (own, "taker", "bid", 1),
        (maker, "maker", "ask", 1),
        (maker, "maker", "ask", 4),
    ]
    assert fills[0]["trade_id"] == fills[1]["trade_id"]
    (fill,) = listed(bob, "/trades?limit=5")
    (shown,) = bob.order(taker)["trades"]
    assert fill == shown | {
        "order_id": taker,
        "symbol": symbol,
        "side": "bid",
        "liquidity": "taker",
        "busted": False,
    }
    assert fill["counterparty_broker"] == alice.broker_id
    of_order = listed(alice, f"/trades?order_id={own}")
    assert ids_of(of_order) == [own]
    assert ids_of(listed(alice, f"/trades?order_id={taker}")) == []
    since = fills[0]["executed_at"].replace("+", "%2B")
    assert fills[0] in listed(alice, f"/trades?since={since}")
    assert listed(alice, "/trades?since=2999-01-01T00:00:00Z") == []


def test_positions_are_what_was_bought_minus_what_was_sold(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    assert alice.get("/positions") == {"data": []}
    for number, quantity in enumerate((10, 4), 1):
        alice.ask(f"{symbol}.{number}", 1010, quantity)
        bob.bid(f"{symbol}.{number}", 1010, quantity)
    bob.ask(f"{symbol}.2", 1000, 4)
    alice.bid(f"{symbol}.2", 1000, 4)
    assert alice.get("/positions") == {"data": [{"symbol": f"{symbol}.1", "quantity": -10}]}
    assert bob.get("/positions") == {"data": [{"symbol": f"{symbol}.1", "quantity": 10}]}


def test_a_cursor_belongs_to_its_list(alice: BrokerClient, bob: BrokerClient, symbol: str) -> None:
    for number in range(3):
        alice.ask(symbol, 1010 + number, 1)
    bob.bid(symbol, 1011, 3)
    bob.bid(symbol, 900, 3)
    cursor = alice.get("/orders?limit=1")["next_cursor"]
    other = alice.get("/trades?limit=1")["next_cursor"]
    assert alice.http.get(f"/orders?cursor={cursor}&limit=7").status_code == 200
    for broker, path in (
        (alice, f"/orders?status=open&cursor={cursor}"),
        (bob, f"/orders?cursor={cursor}"),
        (alice, f"/orders?cursor={other}"),
        (alice, f"/trades?cursor={cursor}"),
        (alice, f"/orders?cursor={cursor[:-1]}"),
        (alice, f"/orders?cursor={cursor}A"),
        (alice, "/orders?cursor="),
        (alice, "/trades?cursor=%C3%A9"),
        (alice, f"/orders?cursor={'A' * 5000}"),
    ):
        answer = broker.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor"), path


@pytest.mark.parametrize(
    "path",
    [
        "/orders?status=new",
        "/orders?side=buy",
        "/orders?limit=501",
        "/orders?document_number=%00",
        "/orders?updated_after=yesterday",
        "/orders?offset=3",
        "/trades?order_id=17",
        "/trades?since=2026-11-22",
        "/trades?status=open",
        "/positions?symbol=PETR4",
        "/orders?symbol=petr4",
    ],
)
def test_bad_parameters_are_422(alice: BrokerClient, path: str) -> None:
    answer = alice.http.get(path)
    assert answer.status_code == 422
    assert answer.json()["code"] in {"invalid_parameter", "invalid_symbol"}


class RawBroker:
    """A broker on one bare connection, for many requests at once; httpx costs more than the
    exchange does."""

    def __init__(self, exchange: RunningExchange, api_key: str) -> None:
        self._line = Line(exchange.port)
        self._key = api_key

    def ask_all(self, *calls: tuple[str, str, dict[str, Any] | None]) -> list[Any]:
        """The bodies that answer calls (method, path, body), which are sent without waiting."""
        for method, path, body in calls:
            content = b"" if body is None else json.dumps(body).encode()
            self._line.send(request(method, path, self._key, content))
        bodies = []
        for call in calls:
            head, _, body_bytes = self._line.answer().partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 20"), (call, head, body_bytes)
            bodies.append(json.loads(body_bytes) if body_bytes else None)
        return bodies

    def get(self, path: str) -> Any:
        return self.ask_all(("GET", path, None))[0]

    def close(self) -> None:
        self._line.close()


def trade_a_lot(alice: RawBroker, bob: RawBroker, symbol: str, placed: list[str]) -> None:
    """Alice's orders, over several symbols. Every third meets one of Bob's, and every fifth is
    canceled. Each id is noted once its 201 has come."""
    for first in range(0, PLACED, TOGETHER):
        numbers = range(first, first + TOGETHER)
        bodies = [
            order_body(
                symbol=f"{symbol}.{number % 8}",
                price=1000 if number % 3 == 0 else 999 - number % 90,
                quantity=2,
            )
            for number in numbers
        ]
        answers = alice.ask_all(*[("POST", "/orders", body) for body in bodies])
        taken = [answer["order_id"] for answer in answers]
        placed += taken
        bob.ask_all(
            *[
                ("POST", "/orders", body | {"side": "ask", "quantity": 1})
                for body in bodies
                if body["price"] == 1000
            ]
        )
        alice.ask_all(*[("POST", f"/orders/{order_id}/cancel", None) for order_id in taken[::5]])


@pytest.mark.timeout(300)
def test_ten_thousand_orders_are_each_on_one_page_while_orders_come_in(
    exchange: RunningExchange, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    """Alice's orders are paged through again and again while they come in, trade and end."""
    reader, seller, buyer = (RawBroker(exchange, broker.api_key) for broker in (alice, bob, alice))
    placed: list[str] = []
    with ThreadPoolExecutor(1) as executor:
        trading = executor.submit(trade_a_lot, buyer, seller, symbol, placed)
        rounds = 0
        while not trading.done():
            known = set(placed)  # Each of them was answered before the first page is asked for.
            found = ids_of(listed(reader, f"/orders?limit={PAGE}"))
            assert found == sorted(set(found), reverse=True)
            assert known <= set(found), f"{len(known - set(found))} are missing"
            rounds += 1
        trading.result()
    assert rounds >= 3
    found = ids_of(listed(reader, f"/orders?limit={PAGE}"))
    assert found == sorted(placed, reverse=True)
    assert len(found) == PLACED
    still_open = ids_of(listed(reader, f"/orders?status=open&limit={PAGE}"))
    closed = ids_of(listed(reader, f"/orders?status=closed&limit={PAGE}"))
    assert sorted(still_open + closed) == sorted(placed)
    fills = listed(reader, f"/trades?limit={PAGE}")
    assert len({fill["trade_id"] for fill in fills}) == len(fills)
    held = sum(position["quantity"] for position in reader.get("/positions")["data"])
    assert held == sum(fill["quantity"] for fill in fills) > 0
    for raw in (reader, seller, buyer):
        raw.close()
