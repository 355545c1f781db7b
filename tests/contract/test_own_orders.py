"""A broker never sees an answer that is older than his own 201, whichever process answers."""

import subprocess
from collections.abc import Iterator

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.running import (
    EXCHANGE,
    BrokerClient,
    RunningExchange,
    bearer,
    clean_environment,
    free_port,
    order_body,
)

ROUNDS = 100


@pytest.fixture(scope="module")
def other_url(exchange: RunningExchange) -> Iterator[str]:
    """A read API in another process."""
    addresses, port = exchange.addresses, free_port()
    process = subprocess.Popen(
        [*EXCHANGE, "run", "readapi"],
        env=clean_environment(
            EXCHANGE_REDIS_URL=addresses["redis_url"],
            EXCHANGE_DATABASE_URL=addresses["database_url"],
            EXCHANGE_PORT=str(port),
        ),
    )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(f"{url}/health", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    eventually(answers, what="the other process")
    yield url
    process.terminate()
    assert process.wait(20) == 0


def post(broker: BrokerClient, **order: object) -> str:
    """Place an order and wait for nothing."""
    answer = broker.http.post("/orders", json=order_body(**order))  # type: ignore[arg-type]
    assert answer.status_code == 201, answer.text
    order_id: str = answer.json()["order_id"]
    return order_id


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_a_broker_reads_after_his_201_shows_his_order(
    exchange: RunningExchange,
    other_url: str,
    alice: BrokerClient,
    bob: BrokerClient,
    symbol: str,
    elsewhere: bool,
) -> None:
    reads = httpx.Client(
        base_url=other_url if elsewhere else exchange.url,
        trust_env=False,
        headers=bearer(alice.api_key),
    )
    bob.ask(symbol, 1000, ROUNDS)
    with reads:
        for number in range(1, ROUNDS + 1):
            order_id = post(alice, side="bid", symbol=symbol, price=1000, quantity=1)
            match number % 6:
                case 0:
                    order = reads.get(f"/orders/{order_id}").json()
                    assert (order["state"], len(order["trades"])) == ("filled", 1)
                case 1:
                    assert reads.get("/balance").json()["balance"] == -1000 * number
                case 2:
                    asks = reads.get(f"/stocks/{symbol}/book").json()["asks"]
                    assert sum(level["total_quantity"] for level in asks) == ROUNDS - number
                case 4:
                    newest = reads.get("/orders?limit=1").json()["data"][0]
                    assert (newest["order_id"], newest["state"]) == (order_id, "filled")
                    fill = reads.get("/trades?limit=1").json()["data"][0]
                    assert fill["order_id"] == order_id
                case 5:
                    held = reads.get("/positions").json()["data"]
                    assert held == [{"symbol": symbol, "quantity": number}]
                case 3:
                    path = f"/stocks/{symbol}/price?trades={ROUNDS}"
                    assert reads.get(path).json()["trades_in_average"] == number


def test_an_order_of_a_symbol_that_was_never_seen_is_in_the_book_at_once(
    other_url: str, alice: BrokerClient, symbol: str
) -> None:
    post(alice, side="bid", symbol=symbol, price=1000, quantity=1)
    answer = httpx.get(
        f"{other_url}/stocks/{symbol}/book", headers=bearer(alice.api_key), trust_env=False
    )
    assert len(answer.json()["bids"]) == 1


def test_who_prefers_to_wait_gets_the_order_as_it_was_decided(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    bob.ask(symbol, 1000, 3)
    body = order_body(side="bid", symbol=symbol, price=1000, quantity=5, client_order_id="w")
    answer = alice.http.post("/orders", json=body, headers={"prefer": "wait=2"})
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=2")
    order = answer.json()
    assert (order["state"], order["filled_quantity"]) == ("partially_filled", 3)
    assert order == alice.order(order["order_id"])
    repeated = alice.http.post("/orders", json=body, headers={"prefer": "wait=2"})
    assert (repeated.status_code, repeated.json()) == (200, order)


def test_a_cancel_is_decided_by_the_engine_and_says_why_it_was_refused(
    alice: BrokerClient, bob: BrokerClient, symbol: str
) -> None:
    order_id = alice.bid(symbol, 1000, 5)
    refused = bob.cancel(order_id)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert alice.order(order_id)["state"] == "new"
    never_given = order_id[:-13] + f"{int(order_id[-13:].replace('-', ''), 16) + 4096:013x}"[:13]
    unknown = alice.cancel(never_given[:23] + "-" + never_given[24:])
    assert (unknown.status_code, unknown.json()["code"]) == (404, "order_not_found")
    assert [alice.cancel(order_id).status_code for _ in range(2)] == [204, 204]
    assert bob.cancel(order_id).status_code == 403


def test_an_id_with_another_time_is_nobodys_order(alice: BrokerClient, symbol: str) -> None:
    order_id = alice.bid(symbol, 1000, 5)
    another = f"{int(order_id[:8], 16) - 1:08x}{order_id[8:]}"
    assert alice.cancel(another).status_code == 404
    assert alice.order(order_id)["state"] == "new"
