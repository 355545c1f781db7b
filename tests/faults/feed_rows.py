"""Rows of the fault matrix: the feed, its process and its readers."""

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable

import psycopg
from websockets.exceptions import WebSocketException

from runtime.http.sockets import VIOLATION
from tests.faults.fleet import KINDS, Fleet, pause
from tests.faults.load import SYMBOLS, BrokersAtWork
from tests.faults.oracles import Verdict, judge
from tests.faults.row import Budget, Row, seconds_to_recover, trading
from tests.support.client_follower import ClientFollower
from tests.support.eventually import eventually
from tests.support.feed import FeedClient
from tests.support.feed_follower import FeedFollower
from tests.support.running import free_port

FOLLOWED = list(SYMBOLS[:4])
LATE_SECONDS_MAX = 10.0
CUTS = 100

Reader = FeedFollower | ClientFollower


def readapi_killed(seed: int, budget: Budget) -> Row:
    """kill -9 of the read API that serves the feed. Its readers connect again and have the book of
    the exchange; brokers do not notice."""
    port = free_port()
    kinds, own = {**KINDS, "readapi": 1}, {"readapi-1": {"EXCHANGE_PORT": str(port)}}
    with Fleet(kinds, own) as fleet, trading(fleet, seed) as load:
        _wait_for_symbols(load)
        with FeedFollower(f"http://127.0.0.1:{port}", load.accounts[0]["api_key"], FOLLOWED) as one:
            recovered = []
            for number in range(1, 6):
                _wait_for_session(one, number)
                at = time.monotonic()
                fleet.kill("readapi-1")
                recovered.append(seconds_to_recover(load, at))
            _wait_for_session(one, 6)
            verdict = _judge_with(load, one)
        return Row("readapi kill -9 under the feed", seed, verdict, 5, recovered)


def cut_readers(seed: int, budget: Budget) -> Row:
    """The feed of the Python client, disconnected at random 100 times under load, tells books and
    own orders without a gap."""
    draw = random.Random(f"cut-{seed}")
    with Fleet() as fleet, trading(fleet, seed) as load:
        _wait_for_symbols(load)
        with ClientFollower(fleet.port, load.accounts[0]["api_key"], FOLLOWED) as one:
            for number in range(1, CUTS + 1):
                eventually(lambda n=number: one.sessions >= n, 30, "the reader to connect again")  # type: ignore[misc]
                pause(draw.uniform(0.0, 0.12))
                one.disconnect()
            _wait_for_session(one, CUTS + 1)
            verdict = _judge_with(load, one)
            if not one.filled:
                verdict.problems.append("no report came while the reader was away")
            note = f"{len(one.reports)} reports, {one.filled} of them while it was away"
        return Row("reader of the feed cut at random", seed, verdict, CUTS, note=note)


def decisions_lost(seed: int, budget: Budget) -> Row:
    """The connections over which decisions are published are cut again and again: whoever follows
    the feed misses nothing, because it looks for what it was not told."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        _wait_for_symbols(load)
        with FeedFollower(fleet.url, load.accounts[0]["api_key"], FOLLOWED) as one:
            _wait_for_session(one, 1)
            channel = fleet.channel()
            cut, until = 0, time.monotonic() + budget.failpoint_seconds + 2
            while time.monotonic() < until:
                cut += channel.execute("CLIENT", "KILL", "TYPE", "pubsub")
                pause(0.05)
            channel.close()
            verdict = _judge_with(load, one)
            if one.sessions != 1:
                verdict.problems.append(f"the reader was disconnected {one.sessions - 1} times")
        return Row("feed of decisions lost", seed, verdict, cut)


def hostile_subscribers(seed: int, budget: Budget) -> Row:
    """Clients of the feed that do not read, send 1 MB frames, subscribe to 10,000 channels or flood
    it with pings. Brokers trade on, and an honest reader beside them has every book."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        _wait_for_symbols(load)
        key = load.accounts[1]["api_key"]
        before = fleet.memory_mib()["http-1"]
        with FeedFollower(fleet.url, load.accounts[0]["api_key"], FOLLOWED) as honest:
            _wait_for_session(honest, 1)
            silent = [_Silent(fleet.port, key) for _ in range(50)]
            attacks: list[Callable[[str, str], str]] = [_large, _many_channels, _pings] * 10
            ends: list[str] = []
            threads = [
                threading.Thread(target=lambda a=attack: ends.append(a(fleet.url, key)))
                for attack in attacks
            ]
            at = time.monotonic()
            for thread in threads:
                thread.start()
            recovered = [seconds_to_recover(load, at)]
            for thread in threads:
                thread.join()
            verdict = _judge_with(load, honest)
            grown = fleet.memory_mib()["http-1"] - before
            for one in silent:
                one.close()
            if honest.sessions != 1:
                verdict.problems.append("the honest reader was disconnected")
        if set(ends) != {"message_too_large", "too_many_subscriptions", "rate_limited"}:
            verdict.problems.append(f"attacks ended with {sorted(set(ends))}")
        if grown > 80:
            verdict.problems.append(f"http grew by {grown:.0f} MiB")
        faults = len(threads) + len(silent)
        note = f"http +{grown:.0f} MiB"
        return Row("slow and hostile readers of the feed", seed, verdict, faults, recovered, note)


def _wait_for_symbols(load: BrokersAtWork) -> None:
    def traded() -> bool:
        return {sent.body["symbol"] for sent in load.acknowledged()}.issuperset(FOLLOWED)

    eventually(traded, 30, "orders in every symbol that is followed")


def _wait_for_session(follower: Reader, number: int) -> None:
    def is_there() -> bool:
        return follower.sessions >= number and follower.books.keys() >= set(FOLLOWED)

    eventually(is_there, 30, f"session {number} of the reader to have every book")


def _judge_with(load: BrokersAtWork, follower: Reader) -> Verdict:
    """The oracles, and beside them what the reader has: the books that the exchange shows, and
    every trade of his sessions as PostgreSQL has it."""
    verdict = judge(load)
    fleet = load.fleet
    eventually(lambda: follower.is_current(fleet.url), LATE_SECONDS_MAX, "the books of the reader")
    with psycopg.connect(fleet.postgres.url) as connection:
        rows = connection.execute(
            "SELECT symbol, trade_number, trade_id::text, price, quantity FROM trades"
        ).fetchall()
    stored = {(symbol, number): tuple(rest) for symbol, number, *rest in rows}
    for symbol, trades in follower.trades.items():
        for number, trade in trades.items():
            told = (trade["trade_id"], trade["price"], trade["quantity"])
            if stored.get((symbol, number)) != told:
                verdict.problems.append(f"trade {number} of {symbol} was told as {told}")
    verdict.problems += _wrong_orders(load, follower)
    if not any(follower.trades.values()):
        verdict.problems.append("the reader was told no trade")
    return verdict


def _wrong_orders(load: BrokersAtWork, follower: Reader) -> list[str]:
    """What the reader has otherwise than PostgreSQL of the orders of its broker."""
    broker_id = load.accounts[0]["broker_id"]
    with psycopg.connect(load.fleet.postgres.url) as connection:
        (last,) = connection.execute(
            "SELECT last FROM broker_sequences WHERE broker_id = %s", (broker_id,)
        ).fetchall()[0]
        stored = connection.execute(
            "SELECT order_id::text, state, quantity - open_quantity FROM orders"
            " WHERE broker_id = %s",
            (broker_id,),
        ).fetchall()
    eventually(lambda: len(follower.reports) >= last, LATE_SECONDS_MAX, "the last report")
    wrong = [
        f"order {order_id} is {(state, filled)}, the reader has {follower.orders.get(order_id)}"
        for order_id, state, filled in stored
        if follower.orders.get(order_id) != (state, filled)
    ]
    if len(follower.reports) != last or len(follower.orders) != len(stored):
        wrong.append(f"{len(follower.reports)} of {last} reports were told")
    return wrong


class _Silent:
    """A client that subscribes and then never reads again."""

    def __init__(self, port: int, key: str) -> None:
        self._client = FeedClient(f"http://127.0.0.1:{port}", key, max_queue=1)
        self._client.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        channels = [f"{kind}:{symbol}" for symbol in FOLLOWED for kind in ("book", "trades")]
        self._client.send(op="subscribe", channels=channels)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._client.socket.socket.shutdown(socket.SHUT_RDWR)
        self._client.close()


def _large(url: str, key: str) -> str:
    with FeedClient(url, key) as client, contextlib.suppress(WebSocketException, OSError):
        client.next()
        for _ in range(20):
            client.socket.send("x" * 1_000_000)
    return _last_code(client)


def _many_channels(url: str, key: str) -> str:
    with FeedClient(url, key) as client:
        client.next()
        codes = set()
        for first in range(0, 10_000, 500):
            channels = [f"book:X{number}" for number in range(first, first + 500)]
            codes.add(client.subscribe(*channels)["code"])
    return ", ".join(sorted(codes))


def _pings(url: str, key: str) -> str:
    with FeedClient(url, key) as client, contextlib.suppress(WebSocketException, OSError):
        for number in range(10_000):
            client.socket.ping(str(number))
    return _last_code(client)


def _last_code(client: FeedClient) -> str:
    """The code that the session has ended with, as the error or the close says it."""
    with contextlib.suppress(WebSocketException, OSError):
        client.end()
    codes = [m["code"] for m in client.received if m["type"] == "error"]
    if codes:
        return str(codes[-1])
    return (
        "rate_limited" if client.socket.close_code == VIOLATION else str(client.socket.close_code)
    )
