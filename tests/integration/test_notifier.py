"""The notifier against real receivers, good and bad."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from msgspec import structs
from standardwebhooks import Webhook

from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from notifier.reading import News
from notifier.settings import NotifierSettings
from notifier.worker import NotifierWorker
from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from protocol import keys
from protocol.commands import AmendOrder, CancelOrder, Command, Tick
from protocol.commits import Position
from protocol.endpoints import EndpointAdded, EndpointDisabled
from protocol.enums import ReportType
from protocol.registry import BrokerRegistered, RegistryEntry, RegistryEvent
from protocol.webhooks import DEFAULT_TYPES, QueuedMessage
from runtime.process.settings import load
from runtime.redis.channel import Channel
from runtime.redis.functions.forget_hook import forget_hook
from tests.support.builders import ALICE, BOB, ask, bid
from tests.support.eventually import eventually
from tests.support.feeding import append, list_symbol, register
from tests.support.receiver import Receiver, answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Desk:
    """A matcher, a persister, a notifier, and brokers with endpoints."""

    def __init__(self, channel: Channel, redis_url: str, database_url: str) -> None:
        self.channel = channel
        self.redis_url = redis_url
        self.petr = list_symbol(channel, "PETR4")
        self.matcher = MatcherWorker(
            load(MatcherSettings, {}, redis_url=redis_url, instance="m", pace_ms=0)
        )
        self.matcher.open()
        for broker_id in (ALICE, BOB):
            register(channel, RegistryEntry([BrokerRegistered(broker_id, "x", 1)]))
        self.persister = PersisterWorker(
            load(
                PersisterSettings,
                {},
                redis_url=redis_url,
                database_url=database_url,
                instance="p",
                pace_ms=0,
            )
        )
        self.persister.open()
        self.notifiers: list[NotifierWorker] = []

    def endpoint(self, broker_id: str, url: str, *types: ReportType) -> str:
        """Told of ``types``, or of trades where there are none."""
        endpoint_id = str(uuid.uuid4())
        chosen = tuple(kind.value for kind in types) or DEFAULT_TYPES
        self.say(EndpointAdded(endpoint_id, broker_id, url, SECRET, chosen))
        return endpoint_id

    def say(self, event: RegistryEvent) -> None:
        register(self.channel, RegistryEntry([event]))

    def notifier(self, **options: object) -> NotifierWorker:
        settings = load(
            NotifierSettings,
            {},
            redis_url=self.redis_url,
            instance="n",
            env="development",
            **options,
        )
        worker = NotifierWorker(settings)
        worker.open()
        self.notifiers.append(worker)
        return worker

    def trade(self, count: int = 1) -> None:
        """Let BOB sell to ALICE, and PostgreSQL have it."""
        for _ in range(count):
            self.match(ask(1000, 10), bid(1000, 10))
        self.store()

    def match(self, *commands: Command) -> None:
        last = append(self.channel, self.petr, *commands)[-1].sequence
        eventually(partial(self._matched, last))

    def store(self) -> None:
        def is_stored() -> bool:
            self.persister.step()
            return stored(self) == committed(self)

        eventually(is_stored)

    def _matched(self, sequence: int) -> bool:
        self.matcher.step()
        position = self.channel.execute("HGET", keys.positions(self.petr.partition), "PETR4")
        return position is not None and Position.parse(position).sequence == sequence

    def waiting(self, endpoint_id: str) -> int:
        count: int = self.channel.execute("ZCARD", keys.hook_queue(endpoint_id))
        return count


@pytest.fixture
def desk(channel: Channel, redis_url: str, database_url: str) -> Iterator[Desk]:
    desk = Desk(channel, redis_url, database_url)
    yield desk
    desk.persister.close()
    for worker in desk.notifiers:
        worker.close()


def step_until(worker: NotifierWorker, done: Callable[[], bool], seconds: float = 10) -> None:
    def step() -> bool:
        worker.step()
        return done()

    eventually(step, seconds)


def test_both_sides_of_a_trade_are_told_signed_and_numbered(desk: Desk) -> None:
    with Receiver() as alice, Receiver() as bob:
        desk.endpoint(ALICE, alice.url)
        desk.endpoint(BOB, bob.url)
        worker = desk.notifier()
        desk.trade(2)
        step_until(worker, lambda: len(alice.calls) == len(bob.calls) == 2)
        for receiver, side in ((alice, "bid"), (bob, "ask")):
            bodies = [Webhook(SECRET).verify(body, headers) for headers, body in receiver.calls]
            # Of each order it was also told that it was accepted, where somebody wants to know.
            assert sorted(b["sequence"] for b in bodies) == [2, 4]
            assert {b["side"] for b in bodies} == {side}
        headers, body = alice.calls[0]
        told = json.loads(body)
        assert set(told) == {
            "event",
            "type",
            "timestamp",
            "sequence",
            "trade_id",
            "order_id",
            "symbol",
            "side",
            "price",
            "quantity",
            "order_remaining_quantity",
            "executed_at",
            "data",
        }
        assert (told["event"], told["type"]) == ("trade_executed", "trade.executed")
        assert (told["price"], told["quantity"], told["order_remaining_quantity"]) == (1000, 10, 0)
        assert headers["webhook-id"].startswith(told["trade_id"])
        assert headers["host"] == alice.url.split("/")[2]


def test_a_failed_call_is_repeated_with_the_same_id_and_bytes(desk: Desk) -> None:
    with Receiver(answer(500)) as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 1)
        due = keys.hook_queue(endpoint)
        step_until(worker, lambda: _score(desk, endpoint) > _first_score(desk))
        receiver.behaviour = answer(200)
        (message_id,) = desk.channel.execute("ZRANGE", due, 0, -1)
        desk.channel.execute("ZADD", due, 0, message_id)  # As if the five seconds had passed.
        step_until(worker, lambda: desk.waiting(endpoint) == 0)
        (first_headers, first), (second_headers, second) = receiver.calls
        assert first == second
        assert first_headers["webhook-id"] == second_headers["webhook-id"]


def _score(desk: Desk, endpoint: str) -> float:
    scores = desk.channel.execute("ZRANGE", keys.hook_queue(endpoint), 0, 0, "WITHSCORES")
    return float(scores[1])


def _first_score(desk: Desk) -> float:
    seconds, _ = desk.channel.execute("TIME")
    return float(seconds) * 1000 + 1000


def test_after_the_last_attempt_a_message_goes_to_the_dead_letters(desk: Desk) -> None:
    with Receiver(answer(500)) as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        messages = keys.hook_messages(endpoint)
        step_until(worker, lambda: len(receiver.calls) == 1 and _attempts(desk, endpoint) == 1)
        use_up_attempts(desk, endpoint)
        step_until(worker, lambda: desk.channel.execute("HLEN", keys.hook_dead(endpoint)) == 1)
        assert desk.waiting(endpoint) == 0
        assert desk.channel.execute("HLEN", messages) == 0
        (dead,) = desk.channel.execute("HVALS", keys.hook_dead(endpoint))
        assert (QueuedMessage.decode(dead).attempts, QueuedMessage.decode(dead).result) == (
            10,
            "HTTP 500",
        )


def use_up_attempts(desk: Desk, endpoint: str) -> None:
    """Leave the only message that waits one more attempt, now."""
    message_id, message = desk.channel.execute("HGETALL", keys.hook_messages(endpoint))
    last = structs.replace(QueuedMessage.decode(message), attempts=9).encode()
    desk.channel.execute("HSET", keys.hook_messages(endpoint), message_id, last)
    desk.channel.execute("ZADD", keys.hook_queue(endpoint), 0, message_id)


def _attempts(desk: Desk, endpoint: str) -> int:
    (message,) = desk.channel.execute("HVALS", keys.hook_messages(endpoint))
    return QueuedMessage.decode(message).attempts


def test_an_endpoint_that_hangs_delays_no_other(desk: Desk) -> None:
    release = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        release.wait(30)
        handler.close_connection = True

    with Receiver(hang) as stuck, Receiver() as fine:
        desk.endpoint(ALICE, stuck.url)
        desk.endpoint(BOB, fine.url)
        worker = desk.notifier()
        desk.trade(20)
        step_until(worker, lambda: len(fine.calls) == 20, seconds=10)
        assert len(stuck.calls) <= 8
        release.set()


def test_410_disables_the_endpoint_and_buries_what_waits(desk: Desk) -> None:
    with Receiver(answer(410)) as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier(endpoint_calls_max=1)
        desk.trade(3)
        step_until(worker, lambda: desk.waiting(endpoint) == 0)
        assert len(receiver.calls) == 1
        assert desk.channel.execute("HLEN", keys.hook_dead(endpoint)) == 3
        desk.trade()
        step_until(worker, lambda: notified(desk) == committed(desk))
        assert desk.waiting(endpoint) == 0


def test_a_redirect_is_a_failure_and_not_followed(desk: Desk) -> None:
    with Receiver() as target, Receiver(answer(302, {"Location": target.url})) as receiver:
        receiver.behaviour = answer(302, {"Location": target.url})
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 1 and _attempts(desk, endpoint) == 1)
        assert target.calls == []


def test_retry_after_of_an_overloaded_receiver_is_heeded(desk: Desk) -> None:
    with Receiver(answer(429, {"Retry-After": "3600"})) as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        seconds, _ = desk.channel.execute("TIME")
        step_until(worker, lambda: _score(desk, endpoint) > (int(seconds) + 3500) * 1000)


def test_a_notifier_that_was_killed_after_queueing_tells_no_trade_under_two_numbers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        killed = desk.notifier()
        desk.trade()

        def die_at_the_mark(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("notifier.worker.mark_notified", die_at_the_mark)
        with pytest.raises(KeyboardInterrupt):
            step_until(killed, lambda: False)
        monkeypatch.undo()
        assert desk.waiting(endpoint) == 1
        again = desk.notifier()
        step_until(again, lambda: len(receiver.calls) == 1)
        desk.trade()
        step_until(again, lambda: len(receiver.calls) == 2)
        assert [json.loads(body)["sequence"] for _, body in receiver.calls] == [2, 4]


def notified(desk: Desk) -> int:
    return int(desk.channel.execute("GET", keys.notified(desk.petr.partition)) or 0)


def stored(desk: Desk) -> int:
    return int(desk.channel.execute("GET", keys.stored(desk.petr.partition)) or 0)


def committed(desk: Desk) -> int:
    return int(desk.channel.execute("HGET", keys.batch(desk.petr.partition), "number"))


def test_while_nobody_listens_the_mark_follows_and_no_batch_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = desk.notifier()

    def read(*_: object) -> None:
        raise AssertionError("a batch was read")

    monkeypatch.setattr(worker._reader, "read", read)
    desk.trade(2)
    step_until(worker, lambda: notified(desk) == committed(desk))


def test_an_endpoint_hears_of_every_trade_after_its_registration(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is registered, and a trade is made, while the notifier looks where the batches stand."""
    worker = desk.notifier()
    skim = worker._reader.skim
    with Receiver() as receiver:
        endpoints: list[str] = []

        def skim_late(*arguments: Any) -> News:
            if not endpoints:
                endpoints.append(desk.endpoint(ALICE, receiver.url))
                desk.trade()
            return skim(*arguments)

        monkeypatch.setattr(worker._reader, "skim", skim_late)
        step_until(worker, lambda: len(receiver.calls) == 1)
        step_until(worker, lambda: desk.waiting(endpoints[0]) == 0)
        assert notified(desk) == committed(desk)


def test_the_wait_for_news_is_short_where_another_notifier_may_queue_messages(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.redis.leases.TEND_SECONDS", 3600)
    with Receiver() as receiver:
        desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        assert worker._block_ms() == 500
        del worker._owned.states[0]
        assert worker._block_ms() == 50


def test_nothing_is_waited_for_while_a_call_is_in_flight(desk: Desk) -> None:
    release = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        release.wait(30)
        handler.close_connection = True

    with Receiver(hang) as receiver:
        desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 1)
        assert worker._block_ms() is None
        release.set()


def test_nothing_is_told_that_postgresql_does_not_hold(desk: Desk) -> None:
    with Receiver() as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.match(ask(1000, 10), bid(1000, 10))
        for _ in range(3):
            worker.step()
        assert (desk.waiting(endpoint), notified(desk)) == (0, 0)
        desk.store()
        step_until(worker, lambda: len(receiver.calls) == 1)


def test_an_endpoint_that_chose_all_types_is_told_every_event_without_a_gap(desk: Desk) -> None:
    with Receiver() as all_types, Receiver() as ends:
        desk.endpoint(ALICE, all_types.url, *ReportType)
        desk.endpoint(ALICE, ends.url, ReportType.CANCELED)
        worker = desk.notifier()
        desk.match(bid(1000, 30), ask(1000, 10))
        desk.match(AmendOrder(1, 1100, None, None))
        desk.match(CancelOrder(1))
        desk.store()
        step_until(worker, lambda: len(all_types.calls) == 4 and len(ends.calls) == 1)
        told = sorted((json.loads(body) for _, body in all_types.calls), key=_sequence)
        assert [(b["sequence"], b["type"]) for b in told] == [
            (1, "order.accepted"),
            (2, "trade.executed"),
            (3, "order.amended"),
            (4, "order.canceled"),
        ]
        for body in told:
            report = body["data"]
            assert (report["sequence"], report["type"]) == (body["sequence"], body["type"])
            assert report["timestamp"] == body["timestamp"]
        trade, report = told[1], told[1]["data"]
        assert (trade["price"], trade["quantity"], trade["order_remaining_quantity"]) == (
            *(1000, 10, 20),
        )
        assert (report["last_price"], report["last_quantity"], report["quantity"]) == (1000, 10, 30)
        ((_, body),) = ends.calls
        assert json.loads(body) == told[3]


def _sequence(body: dict[str, Any]) -> int:
    sequence: int = body["sequence"]
    return sequence


def test_the_mark_passes_batches_of_which_nobody_is_told(desk: Desk) -> None:
    with Receiver() as receiver:
        desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.match(ask(1000, 10))
        desk.match(Tick())
        desk.store()
        step_until(worker, lambda: notified(desk) == committed(desk) > 0)
        assert receiver.calls == []


def test_an_endpoint_that_failed_throughout_is_disabled_and_the_others_are_told(
    desk: Desk,
) -> None:
    with Receiver(answer(500)) as receiver, Receiver() as other:
        endpoint = desk.endpoint(ALICE, receiver.url)
        desk.endpoint(ALICE, other.url, ReportType.EXPIRED)
        worker = desk.notifier()
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 1 and _attempts(desk, endpoint) == 1)
        use_up_attempts(desk, endpoint)
        step_until(worker, lambda: len(other.calls) == 1)
        (ended,) = worker._directory.disabled_endpoints.values()
        assert (ended.endpoint_id, ended.disabled_reason) == (endpoint, "failed")
        ((_, body),) = other.calls
        assert json.loads(body)["data"]["endpoint_id"] == endpoint
        again = desk.notifier()  # It knows nothing of what the first has told.
        desk.trade()
        step_until(again, lambda: notified(desk) == committed(desk))
        assert len(receiver.calls) == 2
        assert len(other.calls) == 1


def test_one_message_that_is_never_taken_ends_no_endpoint(desk: Desk) -> None:
    with Receiver(answer(500)) as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 1 and _attempts(desk, endpoint) == 1)
        receiver.behaviour = answer(200)
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 2 and desk.waiting(endpoint) == 1)
        receiver.behaviour = answer(500)
        use_up_attempts(desk, endpoint)
        step_until(worker, lambda: desk.channel.execute("HLEN", keys.hook_dead(endpoint)) == 1)
        assert list(worker._directory.endpoints) == [endpoint]


def test_what_waits_for_an_endpoint_that_its_broker_disabled_is_given_up(desk: Desk) -> None:
    with Receiver(answer(500)) as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 1 and _attempts(desk, endpoint) == 1)
        desk.say(EndpointDisabled(endpoint, "broker", 1))
        step_until(worker, lambda: desk.waiting(endpoint) == 0)
        assert desk.channel.execute("HLEN", keys.hook_dead(endpoint)) == 1


def test_nothing_is_queued_for_an_endpoint_that_is_removed(desk: Desk) -> None:
    with Receiver() as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier()
        desk.trade()
        step_until(worker, lambda: len(receiver.calls) == 1)
        desk.channel.call(forget_hook(endpoint))  # The notifier has not heard of it yet.
        desk.trade()
        step_until(worker, lambda: notified(desk) == committed(desk))
        left = desk.channel.execute("KEYS", "{hook:*}:*")
        assert left == [keys.hook_progress(endpoint).encode()]
        assert desk.channel.execute("TTL", left[0]) > 0


def test_what_was_delivered_is_kept_up_to_a_number(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.redis.functions.done.DELIVERED_MAX", 2)
    with Receiver() as receiver:
        endpoint = desk.endpoint(ALICE, receiver.url)
        worker = desk.notifier(endpoint_calls_max=1)
        desk.trade(3)
        step_until(worker, lambda: desk.waiting(endpoint) == 0)
        kept = desk.channel.execute("ZRANGE", keys.hook_delivered_at(endpoint), 0, -1)
        sent = [headers["webhook-id"].encode() for headers, _ in receiver.calls]
        assert kept == sent[1:]
        assert sorted(desk.channel.execute("HKEYS", keys.hook_delivered(endpoint))) == sorted(kept)
