"""Which instructions of an order go together, and the command that they make."""

import json
from typing import Any

import pytest

from ingress.intake import accepted, parse_order
from protocol.commands import PlaceOrder, PlaceSpecialOrder
from protocol.enums import OrderType, SelfTradePrevention, Side, TimeInForce
from runtime.http.problems import Problem

LIMIT = {"price": 1000}
DEADLINE = {"valid_until": "2999-01-01T00:00:00Z"}
STOP = {"stop_price": 900}

GOOD: dict[str, tuple[dict[str, Any], OrderType, TimeInForce | None]] = {
    "a price makes it limit": (LIMIT | DEADLINE, OrderType.LIMIT, None),
    "no price makes it market": ({}, OrderType.MARKET, None),
    "a stop price makes it stop": (STOP | DEADLINE, OrderType.STOP, None),
    "both prices": (LIMIT | STOP | DEADLINE, OrderType.STOP_LIMIT, None),
    "null is absent": ({"order_type": None, "price": None}, OrderType.MARKET, None),
    "gtd is implied": (LIMIT | DEADLINE | {"time_in_force": "gtd"}, OrderType.LIMIT, None),
    "gtc is implied": (LIMIT | {"time_in_force": "gtc"}, OrderType.LIMIT, None),
    "ioc is implied": ({"time_in_force": "ioc"}, OrderType.MARKET, None),
    "market fok": ({"time_in_force": "fok"}, OrderType.MARKET, TimeInForce.FOK),
    "limit day": (LIMIT | {"time_in_force": "day"}, OrderType.LIMIT, TimeInForce.DAY),
    "limit ioc": (LIMIT | {"time_in_force": "ioc"}, OrderType.LIMIT, TimeInForce.IOC),
    "stop day": (STOP | {"time_in_force": "day"}, OrderType.STOP, TimeInForce.DAY),
    "stop gtc is implied": (STOP | {"time_in_force": "gtc"}, OrderType.STOP, None),
}
GTC = {"time_in_force": "gtc"}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "limit, no price": ({"order_type": "limit"} | DEADLINE, "price_required", "price"),
    "stop limit, no price": (
        {"order_type": "stop_limit"} | STOP | DEADLINE,
        "price_required",
        "price",
    ),
    "market, price": (LIMIT | {"order_type": "market"}, "price_not_allowed", "price"),
    "stop, price": (LIMIT | STOP | GTC | {"order_type": "stop"}, "price_not_allowed", "price"),
    "stop, no stop price": ({"order_type": "stop"} | GTC, "stop_price_required", "stop_price"),
    "limit, stop price": (
        LIMIT | STOP | GTC | {"order_type": "limit"},
        "stop_price_not_allowed",
        "stop_price",
    ),
    "market, stop price": (
        STOP | {"order_type": "market"},
        "stop_price_not_allowed",
        "stop_price",
    ),
    "market, deadline": (DEADLINE, "valid_until_not_allowed", "valid_until"),
    **{
        f"limit {life}, deadline": (
            LIMIT | DEADLINE | {"time_in_force": life},
            "valid_until_not_allowed",
            "valid_until",
        )
        for life in ("gtc", "day", "ioc", "fok")
    },
    "gtd, no deadline": (LIMIT | {"time_in_force": "gtd"}, "valid_until_required", "valid_until"),
    "limit, no life": (LIMIT, "valid_until_required", "valid_until"),
    "stop, no life": (STOP, "valid_until_required", "valid_until"),
    **{
        f"market {life}": ({"time_in_force": life}, "time_in_force_not_allowed", "time_in_force")
        for life in ("gtc", "day", "gtd")
    },
    **{
        f"stop {life}": (
            STOP | {"time_in_force": life},
            "time_in_force_not_allowed",
            "time_in_force",
        )
        for life in ("ioc", "fok")
    },
    "market, post only": ({"post_only": True}, "post_only_not_allowed", "post_only"),
    **{
        f"{life}, post only": (
            LIMIT | {"time_in_force": life, "post_only": True},
            "post_only_not_allowed",
            "post_only",
        )
        for life in ("ioc", "fok")
    },
    "stop limit, post only": (
        LIMIT | STOP | GTC | {"post_only": True},
        "post_only_not_allowed",
        "post_only",
    ),
    **{
        f"{name}, shown": (
            more | {"display_quantity": 50},
            "display_quantity_not_allowed",
            "display_quantity",
        )
        for name, more in {
            "market": {},
            "stop": STOP | GTC,
            "ioc": LIMIT | {"time_in_force": "ioc"},
            "fok": LIMIT | {"time_in_force": "fok"},
        }.items()
    },
    **{
        f"shown {shown} of 1000": (
            LIMIT | GTC | {"quantity": 1000, "display_quantity": shown},
            "invalid_display_quantity",
            "display_quantity",
        )
        for shown in (9, 1001)
    },
    "memo empty": (LIMIT | GTC | {"memo": ""}, "invalid_field", "memo"),
    "memo long": (LIMIT | GTC | {"memo": "m" * 65}, "invalid_field", "memo"),
    "memo NUL": (LIMIT | GTC | {"memo": "a\x00"}, "invalid_field", "memo"),
    "memo newline": (LIMIT | GTC | {"memo": "a\n"}, "invalid_field", "memo"),
    "life unknown": (LIMIT | {"time_in_force": "opg"}, "invalid_field", "time_in_force"),
    "prevention unknown": (
        LIMIT | GTC | {"self_trade_prevention": "decrement"},
        "invalid_field",
        "self_trade_prevention",
    ),
    "post only text": (LIMIT | GTC | {"post_only": "true"}, "invalid_field", "post_only"),
    "stop price 0": (LIMIT | GTC | {"stop_price": 0}, "invalid_field", "stop_price"),
    "shown 0": (LIMIT | GTC | {"display_quantity": 0}, "invalid_field", "display_quantity"),
}


def body(fields: dict[str, Any]) -> bytes:
    order = {"document_number": "1", "side": "bid", "symbol": "PETR4", "quantity": 100}
    return json.dumps(order | fields).encode()


@pytest.mark.parametrize("name", GOOD)
def test_instructions_that_fit_become_the_shortest_command(name: str) -> None:
    fields, order_type, life = GOOD[name]
    _, command = parse_order(body(fields), "b")
    assert command.order_type is order_type
    is_special = life is not None or "stop_price" in fields
    assert type(command) is (PlaceSpecialOrder if is_special else PlaceOrder)
    if isinstance(command, PlaceSpecialOrder):
        assert command.time_in_force is life


@pytest.mark.parametrize("name", BAD)
def test_instructions_that_contradict_are_refused_with_the_field(name: str) -> None:
    fields, code, field = BAD[name]
    with pytest.raises(Problem) as raised:
        parse_order(body(fields), "b")
    problem = raised.value
    assert (problem.code, problem.status, problem.errors[0].pointer) == (code, 422, f"#/{field}")


def test_all_instructions_reach_the_command_and_the_answer() -> None:
    fields: dict[str, Any] = {
        **LIMIT,
        "quantity": 1000,
        "time_in_force": "day",
        "post_only": True,
        "self_trade_prevention": "cancel_both",
        "memo": 'a "note" \\ \u00e7',
        "display_quantity": 10,
    }
    symbol, command = parse_order(body(fields), "b")
    assert command == PlaceSpecialOrder(
        *("b", "1", Side.BID, OrderType.LIMIT, 1000, 1000, None, ""),
        *(TimeInForce.DAY, True, SelfTradePrevention.CANCEL_BOTH, fields["memo"], None, 10),
    )
    answer = json.loads(accepted(symbol, command, "id", 0))
    assert {name: answer[name] for name in fields} == fields
    assert answer["stop_price"] is None


def test_an_answer_shows_what_was_implied() -> None:
    shown = {}
    for name, (fields, _, _) in GOOD.items():
        symbol, command = parse_order(body(fields), "b")
        shown[name] = json.loads(accepted(symbol, command, "id", 0))["time_in_force"]
    assert shown["a price makes it limit"] == "gtd"
    assert shown["no price makes it market"] == "ioc"
    assert shown["a stop price makes it stop"] == "gtd"
    assert shown["gtc is implied"] == shown["stop gtc is implied"] == "gtc"
    assert shown["market fok"] == "fok"
    assert shown["limit day"] == shown["stop day"] == "day"


def test_an_order_that_shows_all_of_itself_is_no_iceberg() -> None:
    _, command = parse_order(body(LIMIT | DEADLINE | {"display_quantity": 100}), "b")
    assert type(command) is PlaceOrder
