"""The notifier against real receivers, good and bad."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from standardwebhooks import Webhook

from matcher.settings import MatcherSettings
from matcher.worker import MatcherWorker
from notifier.settings import NotifierSettings
from notifier.worker import NotifierWorker
from protocol import keys
from protocol.commits import Position
from protocol.registry import BrokerRegistered, EndpointAdded, RegistryEntry
from runtime.process.settings import load
from runtime.redis.channel import Channel
from runtime.redis.events import Skimmed
from tests.support.builders import ALICE, BOB, ask, bid
from tests.support.eventually import eventually
from tests.support.feeding import append, list_symbol, register
from tests.support.receiver import Receiver, answer

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Desk:
    """A matcher, a notifier, and brokers with endpoints."""

    def __init__(self, channel: Channel, redis_url: str) -> None:
        self.channel = channel
        self.redis_url = redis_url
        self.petr = list_symbol(channel, "PETR4")
        self.matcher = MatcherWorker(
            load(MatcherSettings, {}, redis_url=redis_url, instance="m", pace_ms=0)
        )
        self.matcher.open()
        self.notifiers: list[NotifierWorker] = []

    def endpoint(self, broker_id: str, url: str) -> str:
        endpoint_id = str(uuid.uuid4())
        entry = RegistryEntry(
            [
                BrokerRegistered(broker_id, "x", 1),
                EndpointAdded(endpoint_id, broker_id, url, SECRET),
            ]
        )
        register(self.channel, entry)
        return endpoint_id

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
        for _ in range(count):
            last = append(self.channel, self.petr, ask(1000, 10), bid(1000, 10))[-1].sequence
            eventually(partial(self._matched, last))

    def _matched(self, sequence: int) -> bool:
        self.matcher.step()
        position = self.channel.execute("HGET", keys.positions(self.petr.partition), "PETR4")
        return position is not None and Position.parse(position).sequence == sequence

    def waiting(self, endpoint_id: str) -> int:
        count: int = self.channel.execute("ZCARD", keys.hook_queue(endpoint_id))
        return count


@pytest.fixture
def desk(channel: Channel, redis_url: str) -> Iterator[Desk]:
    desk = Desk(channel, redis_url)
    yield desk
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
            assert sorted(b["sequence"] for b in bodies) == [1, 2]
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
        messages, due = keys.hook_messages(endpoint), keys.hook_queue(endpoint)
        step_until(worker, lambda: len(receiver.calls) == 1 and _attempts(desk, endpoint) == 1)
        (message_id, stored) = desk.channel.execute("HGETALL", messages)
        sequence, _, body = stored.split(b" ", 2)
        desk.channel.execute("HSET", messages, message_id, sequence + b" 9 " + body)
        desk.channel.execute("ZADD", due, 0, message_id)
        step_until(worker, lambda: desk.channel.execute("HLEN", keys.hook_dead(endpoint)) == 1)
        assert desk.waiting(endpoint) == 0
        assert desk.channel.execute("HLEN", messages) == 0


def _attempts(desk: Desk, endpoint: str) -> int:
    (stored,) = desk.channel.execute("HVALS", keys.hook_messages(endpoint))
    return int(stored.split(b" ")[1])


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
        step_until(
            worker,
            lambda: (
                desk.channel.execute("GET", keys.notified(desk.petr.partition))
                == desk.channel.execute("HGET", keys.batch(desk.petr.partition), "number")
            ),
        )
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
        assert [json.loads(body)["sequence"] for _, body in receiver.calls] == [1, 2]


def notified(desk: Desk) -> int:
    return int(desk.channel.execute("GET", keys.notified(desk.petr.partition)) or 0)


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

        def skim_late(*arguments: Any) -> Skimmed:
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
