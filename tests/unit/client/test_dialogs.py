"""Cancels that are shown, and batches of which a part is sent again."""

from typing import Any

import pytest

from client import NewOrder, Order, Problem, dialogs, orders, reads
from client.calls import Reply
from client.conversation import Send
from tests.support.conversing import CUT, Answer, Scene, bodies, ok, problem
from tests.unit.client.test_conversation import ACCEPTED, NEW

FULL = ACCEPTED | {
    "document_number": "1",
    "filled_quantity": 0,
    "filled_notional": 0,
    "state_reason": None,
    "updated_at": ACCEPTED["created_at"],
    "version": 2,
    "trades": [],
}
OPEN = FULL | {"state": "new"}
CANCELED = FULL | {"state": "canceled", "status": "closed", "state_reason": "user_request"}
IN_THE_LOG = ok({"detail": "in the log"}, 202)
REFUSED_ITEM = {"code": "overloaded", "status": 503, "detail": "nothing was taken"}


def cancel(scene: Scene) -> Order:
    return scene.play(dialogs.cancel(orders.cancel_by_id("o1"), reads.order("o1"), scene.budget))


def test_a_cancel_shows_the_order_as_it_ended() -> None:
    scene = Scene(ok(CANCELED))
    assert cancel(scene).state == "canceled"
    assert scene.sent[0].call.headers == {"prefer": "return=representation"}


@pytest.mark.parametrize("answer", [IN_THE_LOG, Reply(204, {}, b"")])
def test_a_cancel_without_its_order_reads_it_until_it_is_closed(answer: Answer) -> None:
    scene = Scene(answer, ok(OPEN), ok(OPEN), ok(CANCELED))
    assert cancel(scene).state == "canceled"
    assert [step.call.method for step in scene.sent] == ["POST", "GET", "GET", "GET"]


def test_a_cancel_that_is_never_decided_ends_at_the_deadline() -> None:
    scene = Scene(IN_THE_LOG, ok(OPEN), deadline_seconds=4.0)
    with pytest.raises(Problem) as failed:
        cancel(scene)
    assert failed.value.code == "not_decided"
    assert failed.value.is_outcome_unknown
    assert failed.value.gave_up == "the deadline of 4 s"
    assert scene.now - 1000.0 <= 4.0


def test_a_cancel_in_the_log_whose_order_cannot_be_read_may_have_been_carried_out() -> None:
    scene = Scene(IN_THE_LOG, CUT, deadline_seconds=4.0)
    with pytest.raises(Problem) as failed:
        cancel(scene)
    assert failed.value.is_outcome_unknown


def test_a_lost_cancel_is_sent_again() -> None:
    scene = Scene(CUT, problem(503, "outcome_unknown", 1), ok(CANCELED))
    assert cancel(scene).state == "canceled"
    assert len(scene.sent) == 3


def placed(*refused_ids: str) -> Any:
    """Takes all orders of a batch but those with these ids."""

    def answer(step: Send) -> Reply:
        (body,) = bodies([step])
        results = []
        for order in body["orders"]:
            if order["client_order_id"] in refused_ids:
                results.append({"status": 503, "problem": REFUSED_ITEM})
            else:
                own = ACCEPTED | {"client_order_id": order["client_order_id"]}
                results.append({"status": 201, "order": own})
        return ok({"results": results})

    return answer


def batch(*ids: str) -> list[NewOrder]:
    orders: list[NewOrder] = []
    for one in ids:
        order = NEW.copy()
        order["client_order_id"] = one
        orders.append(order)
    return orders


def ids_of(step: Send) -> list[str]:
    return [order["client_order_id"] for order in bodies([step])[0]["orders"]]


def test_only_the_items_that_were_refused_are_sent_again() -> None:
    scene = Scene(placed("b", "c"), placed("c"), placed())
    results = scene.play(dialogs.place_batch(batch("a", "b", "c"), 0, scene.budget))
    assert [isinstance(r, Order) and r.client_order_id for r in results] == ["a", "b", "c"]
    assert [ids_of(step) for step in scene.sent] == [["a", "b", "c"], ["b", "c"], ["c"]]


def test_a_batch_whose_answer_is_lost_is_sent_again_with_the_same_ids() -> None:
    scene = Scene(CUT, placed())
    results = scene.play(dialogs.place_batch([NEW, NEW], 0, scene.budget))
    assert all(isinstance(result, Order) for result in results)
    first, second = (ids_of(step) for step in scene.sent)
    assert first == second
    assert len(set(first)) == 2


def test_what_was_taken_is_told_although_the_repeat_of_the_others_is_lost() -> None:
    scene = Scene(placed("b"), CUT, deadline_seconds=3.0)
    taken, lost = scene.play(dialogs.place_batch(batch("a", "b"), 0, scene.budget))
    assert isinstance(taken, Order)
    assert isinstance(lost, Problem)
    assert lost.client_order_ids == ("b",)
    assert lost.is_outcome_unknown
    assert "server disconnected" in lost.gave_up


def test_an_item_that_is_refused_until_the_deadline_says_so() -> None:
    scene = Scene(placed("a"), deadline_seconds=4.0)
    (refused,) = scene.play(dialogs.place_batch(batch("a"), 0, scene.budget))
    assert isinstance(refused, Problem)
    assert refused.gave_up == "the deadline of 4 s"
    assert refused.attempts == len(scene.sent) > 1
    assert not refused.is_outcome_unknown


def test_a_batch_of_which_results_are_missing_is_not_believed() -> None:
    scene = Scene(ok({"results": []}))
    with pytest.raises(Problem) as failed:
        scene.play(dialogs.place_batch(batch("a", "b"), 0, scene.budget))
    assert failed.value.code == "invalid_answer"
    assert failed.value.client_order_ids == ("a", "b")
    assert failed.value.is_outcome_unknown


def test_cancels_of_a_batch_are_shown_as_they_ended() -> None:
    missing = {"code": "order_not_found", "status": 404, "detail": "no"}
    results = [
        {"status": 204},
        {"status": 404, "problem": missing},
        {"status": 200, "order": CANCELED},
    ]
    scene = Scene(ok({"results": results}), ok(CANCELED))
    first, second, third = scene.play(dialogs.cancel_batch(["o1", "o2", "o3"], scene.budget))
    assert isinstance(first, Order)
    assert isinstance(second, Problem)
    assert isinstance(third, Order)
    assert (first.state, second.code, third.state) == ("canceled", "order_not_found", "canceled")
