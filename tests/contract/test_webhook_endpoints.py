"""Webhook endpoints of a broker: added, changed, tried and removed; what became of each message."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from ingress.webhooks import CHANGES_PER_HOUR
from protocol.enums import ReportType
from protocol.webhooks import ENDPOINTS_MAX
from tests.contract.test_bad_input import assert_problem
from tests.support.eventually import eventually
from tests.support.receiver import Receiver, answer
from tests.support.running import BrokerClient, RunningExchange

PATH = "/webhook-endpoints"
ALL_TYPES = [kind.value for kind in ReportType]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def add(broker: BrokerClient, url: str, **more: Any) -> dict[str, Any]:
    added = broker.http.post(PATH, json={"url": url, **more})
    assert added.status_code == 201, added.text
    content: dict[str, Any] = added.json()
    return content


def deliveries(broker: BrokerClient, endpoint_id: str, query: str = "") -> Any:
    return broker.get(f"{PATH}/{endpoint_id}/deliveries{query}")


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in list(receiver.calls)]


def test_an_endpoint_is_added_shown_changed_and_removed(alice: BrokerClient) -> None:
    added = add(alice, "http://127.0.0.1:9/a")
    assert added.pop("secret").startswith("whsec_")
    assert (added["types"], added["state"]) == (["trade.executed"], "enabled")
    assert added["state_reason"] is added["disabled_at"] is None
    one = f"{PATH}/{added['endpoint_id']}"
    assert alice.get(one) == added
    assert alice.get(PATH) == {"data": [added]}
    types = ["trade.busted", "trade.executed", "trade.busted"]
    changed = alice.http.patch(one, json={"url": "http://127.0.0.1:9/b", "types": types}).json()
    assert changed == added | {
        "url": "http://127.0.0.1:9/b",
        "types": ["trade.executed", "trade.busted"],
    }
    disabled = alice.http.patch(one, json={"state": "disabled"}).json()
    assert (disabled["state"], disabled["state_reason"]) == ("disabled", "broker")
    assert disabled["disabled_at"] is not None
    assert_problem(alice.http.post(f"{one}/test"), 409, "endpoint_disabled")
    assert alice.http.patch(one, json={"state": "enabled"}).json() == changed
    for _ in range(2):  # It may be repeated.
        assert alice.http.delete(one).status_code == 204
    assert_problem(alice.http.get(one), 404, "endpoint_not_found")
    assert alice.get(PATH) == {"data": []}


def test_the_endpoint_of_the_registration_is_one_of_them(
    broker: Callable[..., BrokerClient],
) -> None:
    hooked = broker("http://127.0.0.1:9/x")
    (endpoint,) = hooked.get(PATH)["data"]
    assert (endpoint["url"], endpoint["types"]) == ("http://127.0.0.1:9/x", ["trade.executed"])
    assert endpoint["created_at"] is not None


def test_a_broker_has_a_bounded_number_of_endpoints(alice: BrokerClient) -> None:
    ids = [add(alice, f"http://127.0.0.1:9/{n}")["endpoint_id"] for n in range(ENDPOINTS_MAX)]
    one_more = {"url": "http://127.0.0.1:9/more"}
    assert_problem(alice.http.post(PATH, json=one_more), 409, "too_many_endpoints")
    assert alice.http.delete(f"{PATH}/{ids[0]}").status_code == 204
    assert alice.http.post(PATH, json=one_more).status_code == 201


def test_no_broker_sees_the_endpoints_of_another(alice: BrokerClient, bob: BrokerClient) -> None:
    one = f"{PATH}/{add(alice, 'http://127.0.0.1:9/')['endpoint_id']}"
    http = bob.http
    for refused in (
        *(http.get(one), http.patch(one, json={"state": "disabled"}), http.delete(one)),
        *(http.post(f"{one}/test"), http.post(f"{one}/rotate-secret")),
        *(http.get(f"{one}/deliveries"), http.post(f"{one}/deliveries/x/resend")),
    ):
        assert_problem(refused, 404, "endpoint_not_found")
    assert bob.get(PATH) == {"data": []}
    assert alice.get(one)["state"] == "enabled"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing_field"),
        ({"url": "ftp://x/"}, "invalid_webhook_url"),
        ({"url": "/relative"}, "invalid_webhook_url"),
        ({"url": "http://u:p@x/"}, "invalid_webhook_url"),
        ({"url": "http://x:99999/"}, "invalid_webhook_url"),
        ({"url": "http://x/" + "a" * 2000}, "invalid_field"),
        ({"url": "http://x/", "types": []}, "invalid_field"),
        ({"url": "http://x/", "types": ["webhook.test"]}, "invalid_field"),
        ({"url": "http://x/", "type": "trade.executed"}, "unknown_field"),
    ],
)
def test_a_bad_endpoint_is_refused(alice: BrokerClient, body: object, code: str) -> None:
    assert_problem(alice.http.post(PATH, json=body), 422, code)


def test_a_bad_change_is_refused(alice: BrokerClient) -> None:
    one = f"{PATH}/{add(alice, 'http://127.0.0.1:9/')['endpoint_id']}"
    assert_problem(alice.http.patch(one, json={}), 422, "nothing_to_amend")
    assert_problem(alice.http.patch(one, json={"url": "x"}), 422, "invalid_webhook_url")
    assert_problem(alice.http.patch(one, json={"state": "gone"}), 422, "invalid_field")
    for query in ("limit=0", "limit=x", "status=dead", "page=2", "status=failed&status=failed"):
        problem = alice.http.get(f"{one}/deliveries?{query}")
        assert_problem(problem, 422, "invalid_parameter")
    for cursor in ("x", "kw", "%C3%A9"):
        assert_problem(alice.http.get(f"{one}/deliveries?cursor={cursor}"), 422, "invalid_cursor")


def test_every_call_needs_the_key_of_a_broker(exchange: RunningExchange) -> None:
    for path in (PATH, f"{PATH}/x", f"{PATH}/x/deliveries"):
        assert_problem(httpx.get(exchange.url + path, trust_env=False), 401, "unauthorized")


def test_a_test_call_is_signed_listed_and_sent_again(
    alice: BrokerClient, receiver: Receiver
) -> None:
    added = add(alice, receiver.url)
    one = f"{PATH}/{added['endpoint_id']}"
    queued = alice.http.post(f"{one}/test")
    assert queued.status_code == 202
    message_id = queued.json()["message_id"]
    eventually(lambda: receiver.calls, what="the test call")
    headers, body = receiver.calls[0]
    told = Webhook(added["secret"]).verify(body, headers)
    assert (told["type"], headers["webhook-id"]) == ("webhook.test", message_id)
    assert told["data"] == {"endpoint_id": added["endpoint_id"]}

    def delivered() -> Any:
        return deliveries(alice, added["endpoint_id"], "?status=delivered")["data"]

    (shown,) = eventually(delivered, what="the call in the list")
    assert (shown["message_id"], shown["attempts"]) == (message_id, 1)
    assert (shown["last_result"], shown["body"]) == ("HTTP 200", body.decode())
    assert alice.http.post(f"{one}/deliveries/{message_id}/resend").status_code == 202
    eventually(lambda: len(receiver.calls) == 2, what="the same once more")
    again = receiver.calls[1]
    assert (again[0]["webhook-id"], again[1]) == (message_id, body)
    unknown = alice.http.post(f"{one}/deliveries/unknown/resend")
    assert_problem(unknown, 404, "delivery_not_found")


def test_while_a_secret_rotates_both_verify(alice: BrokerClient, receiver: Receiver) -> None:
    added = add(alice, receiver.url)
    one = f"{PATH}/{added['endpoint_id']}"
    rotated = alice.http.post(f"{one}/rotate-secret").json()
    until = rotated["previous_secret_valid_until"]
    assert alice.get(one)["previous_secret_valid_until"] == until
    alice.http.post(f"{one}/test")
    eventually(lambda: receiver.calls, what="the test call")
    headers, body = receiver.calls[0]
    for secret in (added["secret"], rotated["secret"]):
        assert Webhook(secret).verify(body, headers)["type"] == "webhook.test"
    assert len(headers["webhook-signature"].split(" ")) == 2
    third = alice.http.post(f"{one}/rotate-secret").json()["secret"]
    alice.http.post(f"{one}/test")
    eventually(lambda: len(receiver.calls) == 2, what="another test call")
    headers, body = receiver.calls[1]
    for secret in (rotated["secret"], third):
        Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(added["secret"]).verify(body, headers)


def test_what_fails_waits_and_is_sent_at_once_when_it_is_asked_for(
    alice: BrokerClient, receiver: Receiver
) -> None:
    receiver.behaviour = answer(500)
    added = add(alice, receiver.url)
    one = f"{PATH}/{added['endpoint_id']}"
    ids = {alice.http.post(f"{one}/test").json()["message_id"] for _ in range(3)}

    def failed_once() -> Any:
        waiting = deliveries(alice, added["endpoint_id"], "?status=pending")["data"]
        later = [w for w in waiting if w["attempts"] == 1 and w["next_attempt_at"] > w["queued_at"]]
        return waiting if len(later) == 3 else None

    waiting = eventually(failed_once, what="three calls that failed")
    assert {w["message_id"] for w in waiting} == ids
    assert {w["last_result"] for w in waiting} == {"HTTP 500"}
    pages: list[str] = []
    query = "?limit=2"
    while query:
        page = deliveries(alice, added["endpoint_id"], query)
        pages += [w["message_id"] for w in page["data"]]
        query = f"?limit=2&cursor={page['next_cursor']}" if page["has_more"] else ""
    assert pages == [w["message_id"] for w in waiting]
    receiver.behaviour = answer(200)
    before = len(receiver.calls)
    alice.http.post(f"{one}/deliveries/{pages[0]}/resend")
    eventually(lambda: len(receiver.calls) > before, 4, "the call, before its time")
    assert receiver.calls[before][0]["webhook-id"] == pages[0]


def test_an_endpoint_that_is_gone_is_disabled_and_the_others_are_told(
    alice: BrokerClient, receiver: Receiver
) -> None:
    with Receiver(answer(410)) as gone:
        add(alice, receiver.url)
        ended = add(alice, gone.url)
        one = f"{PATH}/{ended['endpoint_id']}"
        message_id = alice.http.post(f"{one}/test").json()["message_id"]
        eventually(lambda: alice.get(one)["state"] == "disabled", what="the end of the endpoint")
        assert alice.get(one)["state_reason"] == "gone"
        (failed,) = deliveries(alice, ended["endpoint_id"], "?status=failed")["data"]
        assert (failed["message_id"], failed["last_result"]) == (message_id, "HTTP 410")
        eventually(lambda: receiver.calls, what="the notice")
        (notice,) = bodies(receiver)
        assert (notice["type"], notice["data"]["state_reason"]) == ("endpoint.disabled", "gone")
        assert notice["data"]["endpoint_id"] == ended["endpoint_id"]
        gone.behaviour = answer(200)
        alice.http.patch(one, json={"state": "enabled"})
        assert alice.http.post(f"{one}/deliveries/{message_id}/resend").status_code == 202
        eventually(lambda: len(gone.calls) == 2, what="the message after all")


def test_who_changes_too_much_is_refused_and_may_still_read(bob: BrokerClient) -> None:
    for _ in range(CHANGES_PER_HOUR):
        assert_problem(bob.http.post(f"{PATH}/x/test"), 404, "endpoint_not_found")
    refused = bob.http.post(PATH, json={"url": "http://127.0.0.1:9/"})
    assert_problem(refused, 429, "rate_limited")
    assert int(refused.headers["retry-after"]) == 30
    assert bob.get(PATH) == {"data": []}
