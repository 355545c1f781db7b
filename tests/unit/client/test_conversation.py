"""When a request is sent again, for how long, and what is said when it is not."""

import pytest

from client import NewOrder, Order, Problem, orders, reads
from client.calls import Reply
from client.conversation import carry_out
from tests.support.conversing import (
    CUT,
    NO_ANSWER_IN_TIME,
    REFUSED,
    Answer,
    Scene,
    bodies,
    ok,
    problem,
)

NEW = NewOrder(
    document_number="1", side="bid", symbol="PETR4", quantity=10, price=1000, time_in_force="gtc"
)
ACCEPTED = {
    "order_id": "o1",
    "client_order_id": "c1",
    "symbol": "PETR4",
    "side": "bid",
    "order_type": "limit",
    "price": 1000,
    "quantity": 10,
    "remaining_quantity": 10,
    "status": "open",
    "state": "pending",
    "valid_until": None,
    "created_at": "2026-11-23T13:00:00.250+00:00",
    "time_in_force": "gtc",
    "post_only": False,
    "self_trade_prevention": "none",
    "memo": None,
    "stop_price": None,
    "display_quantity": None,
}
TAKEN = ok(ACCEPTED, 201)
OVERLOADED = problem(503, "overloaded", 1)
UNKNOWN = problem(503, "outcome_unknown", 1)
GATEWAY = Reply(502, {}, b"<html>Bad Gateway</html>")


def place(scene: Scene) -> Order:
    return scene.play(carry_out(orders.place(NEW, 0), scene.budget))


def fails(scene: Scene) -> Problem:
    with pytest.raises(Problem) as failed:
        place(scene)
    return failed.value


@pytest.mark.parametrize("passing", [OVERLOADED, UNKNOWN, GATEWAY, CUT, REFUSED, NO_ANSWER_IN_TIME])
def test_an_order_is_sent_again_with_the_same_id_until_it_is_answered(passing: Answer) -> None:
    scene = Scene(passing, passing, TAKEN)
    order = place(scene)
    assert (order.order_id, order.state, order.filled_quantity) == ("o1", "pending", 0)
    first, *others = bodies(scene.sent)
    assert len(first["client_order_id"]) == 32
    assert others == [first, first]
    assert len({step.request_id for step in scene.sent}) == 3


def test_two_orders_never_have_the_same_id() -> None:
    first, second = Scene(TAKEN), Scene(TAKEN)
    place(first)
    place(second)
    assert bodies(first.sent) != bodies(second.sent)


@pytest.mark.parametrize("code", ["overloaded", "rate_limited"])
def test_it_waits_as_long_as_the_exchange_asks(code: str) -> None:
    scene = Scene(problem(503 if code == "overloaded" else 429, code, 7), TAKEN)
    place(scene)
    (waited,) = scene.waited
    assert 7 <= waited < 8


def test_it_waits_longer_each_time_and_not_beyond_the_bound() -> None:
    scene = Scene(*[CUT] * 12, TAKEN)
    place(scene)
    bounds = [min(0.05 * 2**at, 2.0) for at in range(12)]
    assert all(
        bound / 2 <= waited <= bound for waited, bound in zip(scene.waited, bounds, strict=True)
    )


def test_it_gives_up_at_the_deadline_and_says_why() -> None:
    scene = Scene(CUT, deadline_seconds=3.0)
    failed = fails(scene)
    assert scene.now - 1000.0 <= 3.0
    assert failed.code == "no_answer"
    assert failed.attempts == len(scene.sent) > 3
    assert failed.is_outcome_unknown
    assert failed.client_order_ids == (bodies(scene.sent)[0]["client_order_id"],)
    assert f"gave up after {failed.attempts} attempts" in str(failed)
    assert "the deadline of 3 s" in str(failed)
    assert "may or may not have been carried out" in str(failed)
    assert "server disconnected" in str(failed.__cause__)


def test_it_does_not_wait_for_what_comes_after_the_deadline() -> None:
    scene = Scene(problem(429, "rate_limited", 60), deadline_seconds=10.0)
    failed = fails(scene)
    assert (len(scene.sent), scene.waited) == (1, [])
    assert failed.gave_up == "the exchange asks to wait 60 s, and 10.0 s are left"
    assert not failed.is_outcome_unknown


def test_no_answer_may_take_longer_than_what_is_left() -> None:
    scene = Scene(CUT, deadline_seconds=3.0, timeout_seconds=5.0)
    fails(scene)
    timeouts = [step.timeout_seconds for step in scene.sent]
    assert timeouts[0] == 3.0
    assert timeouts == sorted(timeouts, reverse=True)


def test_an_order_that_waits_for_the_matcher_has_so_much_more_time() -> None:
    scene = Scene(TAKEN)
    scene.play(carry_out(orders.place(NEW, 5), scene.budget))
    assert scene.sent[0].timeout_seconds == 10.0
    assert scene.sent[0].call.headers == {"prefer": "wait=5"}


@pytest.mark.parametrize("refused", [OVERLOADED, REFUSED])
def test_the_outcome_is_known_where_nothing_was_taken(refused: Answer) -> None:
    assert not fails(Scene(refused, deadline_seconds=2.5)).is_outcome_unknown


def test_the_outcome_stays_unknown_when_only_the_first_answer_was_lost() -> None:
    """The first request may have been taken, whatever became of the second."""
    assert fails(Scene(CUT, OVERLOADED, deadline_seconds=3.0)).is_outcome_unknown
    assert fails(Scene(CUT, problem(403, "broker_disabled"))).is_outcome_unknown


@pytest.mark.parametrize(
    ("status", "code"), [(422, "invalid_field"), (409, "duplicate_client_order_id")]
)
def test_what_is_refused_for_good_is_not_sent_again(status: int, code: str) -> None:
    scene = Scene(problem(status, code))
    failed = fails(scene)
    assert (failed.code, failed.status, failed.request_id) == (code, status, "r")
    assert (failed.gave_up, failed.is_outcome_unknown, len(scene.sent)) == ("", False, 1)


def test_a_failure_of_the_exchange_is_not_sent_again_and_nobody_knows() -> None:
    scene = Scene(problem(500, "internal_error"))
    assert fails(scene).is_outcome_unknown
    assert len(scene.sent) == 1


def test_an_amendment_is_sent_again_only_where_nothing_was_taken() -> None:
    amend = orders.amend("o1", 1001, None, None, None)
    scene = Scene(OVERLOADED, REFUSED, CUT)
    with pytest.raises(Problem, match="to send this request twice could") as failed:
        scene.play(carry_out(amend, scene.budget))
    assert failed.value.is_outcome_unknown
    assert len(scene.sent) == 3


def test_an_amendment_that_is_not_decided_in_time_says_so() -> None:
    scene = Scene(ok({"detail": "in the log"}, 202))
    with pytest.raises(Problem) as failed:
        scene.play(carry_out(orders.amend("o1", 1001, None, None, None), scene.budget))
    assert (failed.value.code, failed.value.is_outcome_unknown) == ("not_decided", True)
    assert len(scene.sent) == 1


def test_a_read_has_no_unknown_outcome() -> None:
    scene = Scene(CUT, deadline_seconds=1.0)
    with pytest.raises(Problem) as failed:
        scene.play(carry_out(reads.balance(), scene.budget))
    assert not failed.value.is_outcome_unknown


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"order_id": 5}'])
def test_an_answer_that_cannot_be_read_is_a_problem_too(body: bytes) -> None:
    failed = fails(Scene(Reply(201, {}, body)))
    assert failed.code == "invalid_answer"
    assert failed.is_outcome_unknown


def test_words_that_are_new_do_not_hurt() -> None:
    assert place(Scene(ok(ACCEPTED | {"venue": "B3"}, 201))).order_id == "o1"
