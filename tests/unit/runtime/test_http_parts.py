"""Settings, keys, problems and answers: what needs no server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ingress.intake import accepted, parse_order, refuse_passed
from ingress.settings import IngressSettings
from protocol import codec
from protocol.commands import digest
from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.records import OrderRecord
from protocol.registry import (
    Broker,
    BrokerRegistered,
    Directory,
    KeyIssued,
    RegistryEntry,
    hash_key,
)
from protocol.registry import KeysRevoked as Revoked
from readapi.answers import balance_answer, integer_parameter, price_answer
from runtime.http.endpoints import Answer, Call, Endpoint, EndpointTable
from runtime.http.keyring import Keyring, new_api_key
from runtime.http.orders import order_answer
from runtime.http.problems import CODES, FieldError, Problem
from runtime.process.errors import SettingsError
from runtime.process.settings import Settings, load
from tests.support.running import order_body

NOW_MS = 1_800_000_000_000
DOCS = Path(__file__).parents[3] / "docs"


def test_settings_come_from_the_environment_and_overrides_win() -> None:
    environment = {"EXCHANGE_REDIS_URL": "redis://x", "EXCHANGE_INGRESS_WAITING_MAX": "7"}
    settings = load(IngressSettings, environment, instance="i")
    assert (settings.redis_url, settings.waiting_max, settings.instance) == ("redis://x", 7, "i")
    assert load(Settings, {"EXCHANGE_UNSAFE_REDIS": "1"}).unsafe_redis is True


@pytest.mark.parametrize(
    "environment",
    [
        {"EXCHANGE_INGRESS_WAITING_MAX": "many"},
        {"EXCHANGE_INGRESS_WAITING_MAX": "0"},
        {"EXCHANGE_INGRESS_WAITING": "7"},
        {"EXCHANGE_EXECUTION_PRICE": "buyer"},
        {"EXCHANGE_PARTITIONS": "0"},
        {"EXCHANGE_PORT": "70000"},
    ],
)
def test_settings_that_make_no_sense_are_refused(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError):
        load(IngressSettings, environment)


def directory_with(key: str) -> Directory:
    directory = Directory()
    events = RegistryEntry([BrokerRegistered("b", "Alice", 1), KeyIssued("b", hash_key(key))])
    directory.apply(1, events)
    return directory


def test_a_key_is_known_until_it_is_revoked() -> None:
    key = new_api_key()
    directory = directory_with(key)
    keyring = Keyring(directory, "admin")
    header = f"Bearer {key}".encode()
    assert keyring.broker(header) is keyring.broker(b"bearer " + key.encode())
    assert keyring.broker(header) == Broker("b", "Alice")
    directory.apply(2, RegistryEntry([Revoked("b")]))
    assert keyring.broker(header) is None


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer xk_no", b"Basic eDp5", b"Bearer \xff"]
)
def test_what_is_no_key_of_ours_is_nobody(header: bytes | None) -> None:
    keyring = Keyring(directory_with("xk_yes"), "")
    assert keyring.broker(header) is None
    assert not keyring.is_admin(header)


def test_without_an_admin_key_nobody_is_admin() -> None:
    assert not Keyring(Directory(), "").is_admin(b"Bearer ")
    assert Keyring(Directory(), "secret").is_admin(b"Bearer secret")


def test_every_code_is_documented_and_no_other() -> None:
    listed = re.findall(
        r"^\| `([a-z_]+)` \| (\d+) ", (DOCS / "reference" / "errors.md").read_text(), re.MULTILINE
    )
    assert {(code, int(status)) for code, status in listed} == {
        (code, status) for code, (status, _) in CODES.items()
    }


def test_a_problem_says_where_what_and_under_which_id() -> None:
    problem = Problem("invalid_field", "no", (FieldError("#/price", "invalid_field", "no"),))
    body = json.loads(problem.body("/orders", "r1"))
    assert (body["status"], body["instance"], body["request_id"]) == (422, "/orders", "r1")
    assert body["errors"] == [{"pointer": "#/price", "code": "invalid_field", "detail": "no"}]
    assert dict(Problem("overloaded", "x").headers)[b"retry-after"] == b"1"


def test_an_order_body_becomes_a_command_and_an_answer() -> None:
    symbol, order = parse_order(json.dumps(order_body(price=1000)).encode(), "b")
    assert (symbol, order.side, order.price, order.broker_id) == ("PETR4", Side.BID, 1000, "b")
    answer = json.loads(accepted(symbol, order, "id", NOW_MS))
    assert answer["valid_until"] == "2999-01-01T00:00:00.000+00:00"
    market, command = parse_order(json.dumps(order_body()).encode(), "b")
    assert (command.price, command.valid_until_ms) == (None, None)
    assert json.loads(accepted(market, command, "id", NOW_MS))["price"] is None


def test_the_idempotency_key_is_an_alias_of_the_client_order_id() -> None:
    body = json.dumps(order_body(client_order_id="a-1")).encode()
    for key in (None, b"a-1", b'"a-1"'):
        assert parse_order(body, "b", key)[1].client_order_id == "a-1"
    plain = json.dumps(order_body()).encode()
    assert parse_order(plain, "b", b'"k.2"')[1].client_order_id == "k.2"
    for key in (b"a-2", b'"a-1', b"", b"x" * 37, "\u00e9".encode()):
        with pytest.raises(Problem) as raised:
            parse_order(body, "b", key)
        assert raised.value.code == "invalid_idempotency_key"


def test_a_digest_tells_bodies_apart_but_not_spellings() -> None:
    def of(indent: int | None = None, **more: Any) -> str:
        body = json.dumps(order_body(client_order_id="a", **more), indent=indent)
        symbol, order = parse_order(body.encode(), "b")
        return digest(symbol, codec.encode(order))

    assert of() == of(indent=4)
    assert len({of(), of(quantity=9), of(symbol="VALE3"), of(price=10)}) == 4


def test_a_valid_until_of_this_very_millisecond_has_passed() -> None:
    body = order_body(price=1000, valid_until="2027-01-15T08:00:00Z")
    assert NOW_MS == 1_800_000_000_000
    _, order = parse_order(json.dumps(body).encode(), "b")
    with pytest.raises(Problem) as raised:
        refuse_passed(order.valid_until_ms, NOW_MS)
    assert raised.value.code == "valid_until_passed"
    refuse_passed(order.valid_until_ms, NOW_MS - 1)


@pytest.mark.parametrize(
    ("prices", "average"), [([1000], 1000), ([1000, 1001], 1001), ([1, 1, 2], 1), ([1, 2, 2], 2)]
)
def test_the_average_is_rounded_to_whole_cents_half_up(prices: list[int], average: int) -> None:
    answer = json.loads(price_answer("X", [b"%d" % p for p in prices]))
    assert answer["average_price"] == average
    assert answer["trades_in_average"] == len(prices)


def test_a_balance_names_its_broker() -> None:
    answer = json.loads(balance_answer(Broker("b", "Al\u00edce"), -7))
    assert answer == {"broker_id": "b", "broker_name": "Al\u00edce", "balance": -7}


def test_an_order_answer_shows_what_was_not_filled_at_the_end() -> None:
    record = OrderRecord(
        "PETR4",
        *(1, 2, NOW_MS, "b", "123"),
        Side.BID,
        OrderType.MARKET,
        *(None, 10, 4, 600),
        OrderState.CANCELED,
        StateReason.IOC_REMAINDER,
        *(None, NOW_MS, 3),
    )
    answer = json.loads(order_answer(record, []))
    assert (answer["status"], answer["remaining_quantity"], answer["filled_quantity"]) == (
        "closed",
        4,
        6,
    )


@pytest.mark.parametrize("query", [b"", b"depth=5", b"depth=1&depth=5"])
def test_a_good_parameter_is_read(query: bytes) -> None:
    assert integer_parameter(query, "depth", 5, 50) == 5


async def _handler(_call: Call) -> Answer:
    return Answer(200)


def test_endpoints_are_found_by_method_and_shape() -> None:
    table = EndpointTable(
        [
            Endpoint("GET", "/orders/{id}", _handler),
            Endpoint("POST", "/orders", _handler),
            Endpoint("GET", "/stocks/{symbol}/book", _handler),
            Endpoint("GET", "/stocks/{symbol}/price", _handler),
        ]
    )
    found = table.find("GET", "/stocks/PETR4/price")
    assert found is not None
    assert (found[0].path, found[1]) == ("/stocks/{symbol}/price", ("PETR4",))
    for method, path in [("GET", "/orders"), ("GET", "/orders/"), ("GET", "/"), ("GET", "")]:
        assert table.find(method, path) is None
