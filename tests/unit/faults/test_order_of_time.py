"""Oracle C10 on orders of which one comes too early in its log."""

from protocol import ids
from tests.faults.load import ACKNOWLEDGED, Sent
from tests.faults.order_of_time import late_orders


def sent(sequence: int, began: float, at: float, symbol: str = "PETR4") -> Sent:
    body = {"symbol": symbol, "client_order_id": str(sequence)}
    order_id = ids.encode(1_795_000_000_000, 1, sequence)
    return Sent(0, body, ACKNOWLEDGED, order_id, began, at)


def test_orders_that_were_under_way_together_may_come_in_any_order() -> None:
    assert late_orders([sent(2, 1.0, 3.0), sent(1, 2.0, 4.0)]) == []


def test_an_order_sent_after_an_acknowledgment_must_come_after_it() -> None:
    early, late = sent(2, 1.0, 2.0), sent(1, 2.5, 3.0)
    (problem,) = late_orders([early, late])
    assert problem.startswith(f"C10: {late.order_id} comes before {early.order_id}")


def test_symbols_are_apart() -> None:
    assert late_orders([sent(2, 1.0, 2.0), sent(1, 2.5, 3.0, "VALE3")]) == []
