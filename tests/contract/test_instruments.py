"""The operator's calls for instruments: what they answer, and what reaches the log."""

from typing import Any

import httpx
import psycopg
import pytest

from protocol import codec, ids
from protocol.commands import BustTrade, Command, SetInstrument, SetStatus
from protocol.enums import InstrumentStatus, Side
from tests.contract.test_bad_input import assert_problem
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, RunningExchange, bearer


class Operator:
    """The exchange itself, with its key."""

    def __init__(self, exchange: RunningExchange) -> None:
        self._exchange = exchange

    def call(self, method: str, path: str, body: Any) -> httpx.Response:
        headers = bearer(self._exchange.addresses["admin_key"])
        return httpx.request(
            method, self._exchange.url + path, json=body, headers=headers, trust_env=False
        )

    def set_stock(self, symbol: str, **rules: Any) -> httpx.Response:
        return self.call("PUT", f"/admin/stocks/{symbol}", rules)

    def set_status(self, symbol: str, status: str, reason: str = "") -> httpx.Response:
        body = {"status": status, "reason": reason}
        return self.call("PUT", f"/admin/stocks/{symbol}/status", body)

    def bust(self, trade_id: str, reason: str = "") -> httpx.Response:
        """Once PostgreSQL has the trade."""

        def answer() -> httpx.Response | None:
            answer = self.call("POST", f"/admin/trades/{trade_id}/bust", {"reason": reason})
            return None if answer.status_code == 503 else answer

        answered = eventually(answer)
        assert answered is not None
        return answered


@pytest.fixture
def operator(exchange: RunningExchange) -> Operator:
    return Operator(exchange)


def journaled(exchange: RunningExchange, symbol: str) -> list[Command]:
    """The commands of a symbol that PostgreSQL has."""
    with psycopg.connect(exchange.addresses["database_url"]) as connection:
        rows = connection.execute("SELECT batch FROM journal ORDER BY number").fetchall()
    return [
        codec.decode_command(entry.command)
        for (payload,) in rows
        for entry in codec.decode_batch(payload).entries
        if entry.symbol == symbol
    ]


def expect_in_the_log(exchange: RunningExchange, symbol: str, command: Command) -> None:
    eventually(lambda: command in journaled(exchange, symbol), what=f"{command} in the journal")


def test_rules_are_a_command_of_the_symbol_and_list_a_new_one(
    exchange: RunningExchange, operator: Operator, alice: BrokerClient, symbol: str
) -> None:
    answer = operator.set_stock(
        symbol,
        name="Petróleo Brasileiro PN",
        tick_size=5,
        lot_size=100,
        price_band_basis_points=1500,
        halt_band_basis_points=1000,
        reference_price=3150,
        auction_seconds=300,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json() == alice.get(f"/stocks/{symbol}")
    assert answer.json()["name"] == "Petróleo Brasileiro PN"
    expect_in_the_log(exchange, symbol, SetInstrument(5, 100, 1500, 3150, 1000, 300_000))
    assert operator.set_stock(symbol).json()["name"] == "Petróleo Brasileiro PN"
    expect_in_the_log(exchange, symbol, SetInstrument())
    assert operator.set_stock(symbol, name="PN").json()["name"] == "PN"

    def stored_name() -> bool:
        with psycopg.connect(exchange.addresses["database_url"]) as connection:
            query = "SELECT name FROM instruments WHERE symbol = %s"
            return connection.execute(query, [symbol]).fetchall() == [("PN",)]

    eventually(stored_name, what="the name in PostgreSQL")


def test_a_status_is_a_command_of_the_symbol(
    exchange: RunningExchange, operator: Operator, alice: BrokerClient, symbol: str
) -> None:
    assert_problem(operator.set_status(symbol, "halted"), 404, "symbol_not_found")
    alice.ask(symbol, 1000, 1)
    answer = operator.set_status(symbol, "halted", "news are pending")
    assert answer.status_code == 200, answer.text
    assert answer.json()["symbol"] == symbol
    expect_in_the_log(exchange, symbol, SetStatus(InstrumentStatus.HALTED, "news are pending"))


def test_a_bust_repeats_what_the_trade_was(
    exchange: RunningExchange,
    operator: Operator,
    alice: BrokerClient,
    bob: BrokerClient,
    symbol: str,
) -> None:
    maker = alice.ask(symbol, 1010, 10)
    taker = bob.bid(symbol, 1020, 4)
    (trade,) = bob.order(taker)["trades"]
    answer = operator.bust(trade["trade_id"], "a wrong price")
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "trade_id": trade["trade_id"],
        "symbol": symbol,
        "price": 1010,
        "quantity": 4,
        "buyer_broker": bob.broker_id,
        "seller_broker": alice.broker_id,
    }
    maker_place, taker_place = ids.decode(maker), ids.decode(taker)
    assert maker_place is not None
    assert taker_place is not None
    traded = ids.decode(trade["trade_id"], ids.TRADE)
    assert traded is not None
    bust = BustTrade(
        trade_number=1,
        price=1010,
        quantity=4,
        buyer_broker_id=bob.broker_id,
        seller_broker_id=alice.broker_id,
        maker_sequence=maker_place.sequence,
        taker_sequence=taker_place.sequence,
        reason="a wrong price",
        taker_side=Side.BID,
        executed_ms=traded.time_ms,
        maker_created_ms=maker_place.time_ms,
        taker_created_ms=taker_place.time_ms,
    )
    expect_in_the_log(exchange, symbol, bust)


def test_a_trade_that_never_was_is_404(
    operator: Operator, alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.ask(symbol, 1010, 10)
    bob.bid(symbol, 1010, 1)
    place = ids.decode(order_id)
    assert place is not None
    for trade_id in (
        "x",
        order_id,
        ids.encode(place.time_ms, place.instrument_number, 2, ids.TRADE),
        ids.encode(place.time_ms, ids.INSTRUMENT_NUMBER_MAX, 1, ids.TRADE),
    ):
        assert_problem(operator.bust(trade_id), 404, "trade_not_found")


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/admin/stocks/petr4", {}, "invalid_symbol"),
        ("/admin/stocks/PETR4", {"tick_size": 0}, "invalid_field"),
        ("/admin/stocks/PETR4", {"lot_size": "5"}, "invalid_field"),
        ("/admin/stocks/PETR4", {"price_band_basis_points": -1}, "invalid_field"),
        ("/admin/stocks/PETR4", {"reference_price": 1.5}, "invalid_field"),
        ("/admin/stocks/PETR4", {"name": ""}, "invalid_field"),
        ("/admin/stocks/PETR4", {"name": "a\nb"}, "invalid_field"),
        ("/admin/stocks/PETR4", {"auction_seconds": 90_000}, "invalid_field"),
        ("/admin/stocks/PETR4", {"tick": 1}, "unknown_field"),
        ("/admin/stocks/PETR4/status", {}, "missing_field"),
        ("/admin/stocks/PETR4/status", {"status": "shut"}, "invalid_field"),
        ("/admin/stocks/PETR4/status", {"status": "open", "reason": "x" * 201}, "invalid_field"),
    ],
)
def test_a_bad_body_is_422(operator: Operator, path: str, body: Any, code: str) -> None:
    assert_problem(operator.call("PUT", path, body), 422, code)


def test_a_body_that_is_not_utf_8_is_422(exchange: RunningExchange) -> None:
    headers = bearer(exchange.addresses["admin_key"])
    url = f"{exchange.url}/admin/stocks/PETR4"
    answer = httpx.put(url, content=b'{"name": "\xff"}', headers=headers, trust_env=False)
    assert_problem(answer, 422, "malformed_json")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/admin/stocks/PETR4"),
        ("PUT", "/admin/stocks/PETR4/status"),
        ("POST", "/admin/trades/x/bust"),
    ],
)
def test_the_calls_are_the_operators_alone(
    exchange: RunningExchange, alice: BrokerClient, method: str, path: str
) -> None:
    for headers in ({}, bearer(alice.api_key)):
        for body in ({}, {"nonsense": 1}):
            answer = httpx.request(
                method, exchange.url + path, json=body, headers=headers, trust_env=False
            )
            assert_problem(answer, 401, "unauthorized")
