"""Parameters of lists: what is taken, and what is refused."""

import pytest

from protocol.units import milliseconds, timestamp
from readapi.parameters import Parameters
from runtime.http.problems import Problem

NAMES = ("limit", "cursor", "symbol", "status", "since", "order_id")
ORDER_ID = "01a2087d-ed7a-8000-8004-000000000800"


def test_what_is_absent_has_its_default() -> None:
    parameters = Parameters(b"", NAMES)
    assert parameters.limit() == 50
    assert parameters.text("cursor") is None
    assert parameters.symbol() is None
    assert parameters.time_ms("since") is None
    assert parameters.order_id() is None


def test_values_are_read() -> None:
    query = f"limit=500&symbol=PETR4&status=open&order_id={ORDER_ID.upper()}&cursor=x".encode()
    parameters = Parameters(query, NAMES)
    assert (parameters.limit(), parameters.symbol()) == (500, "PETR4")
    assert parameters.choice("status", ("open", "closed")) == "open"
    assert parameters.order_id() == ORDER_ID
    assert parameters.filters() == {
        "symbol": "PETR4",
        "status": "open",
        "order_id": ORDER_ID.upper(),
    }


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T13:00:00.123%2B00:00",
        "2026-11-22T13:00:00.123+00:00",
        "2026-11-22T13:00:00.123Z",
    ],
)
def test_a_time_is_read_with_its_plus_escaped_or_not(text: str) -> None:
    time_ms = Parameters(f"since={text}".encode(), NAMES).time_ms("since")
    assert time_ms == milliseconds(timestamp(1_795_352_400_123))


@pytest.mark.parametrize(
    "query",
    [
        b"limits=5",
        b"limit=5&limit=5",
        b"limit=0",
        b"limit=501",
        b"limit=-1",
        b"limit=1.0",
        b"limit=",
        b"limit=%FF",
        b"limit=\xff",
        b"symbol=petr4",
        b"status=all",
        b"since=yesterday",
        b"since=2026-11-22",
        b"since=2026-11-22T13:00:00",
        b"since=0001-01-01T00:00:00Z",
        b"since=9999-12-31T23:59:59-23:59",
        b"order_id=17",
        b"&".join([b"limit=1"] * 30),
    ],
)
def test_what_cannot_be_used_is_refused(query: bytes) -> None:
    with pytest.raises(Problem) as refusal:
        ask_for_all(query)
    assert refusal.value.code in ("invalid_parameter", "invalid_symbol")
    assert refusal.value.status == 422


def ask_for_all(query: bytes) -> None:
    parameters = Parameters(query, NAMES)
    parameters.limit()
    parameters.symbol()
    parameters.choice("status", ("open", "closed"))
    parameters.time_ms("since")
    parameters.order_id()
