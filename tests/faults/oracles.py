"""The oracles, asked after a scenario: C1 to C9 here, C10 to C12 in modules of their own."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from sqlalchemy import create_engine

from exchange.audit.check import findings
from exchange.audit.replay import replay_all
from protocol import codec, ids, keys
from protocol.commands import PlaceOrder
from protocol.commits import Position
from protocol.partitions import PARTITIONS_DEFAULT, all_partitions, partition_name
from runtime.postgres.tables import sqlalchemy_url
from runtime.redis.channel import Channel, RedisError, pairs
from runtime.redis.order_log import Heads
from tests.faults import order_of_time, replaying, sometimes
from tests.faults.load import ACKNOWLEDGED, UNKNOWN, BrokersAtWork
from tests.support.naive import NaiveEngine
from tests.support.running import bearer

DRAIN_SECONDS_MAX = 30.0


@dataclass
class Verdict:
    """Nothing lost, nothing twice, no problem: the scenario passed."""

    acknowledged: int = 0
    unknown: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    trades: int = 0
    drain_seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not (self.lost or self.duplicated or self.problems)


def judge(load: BrokersAtWork, with_reference: bool = True) -> Verdict:
    """Stop the load, resolve what is unknown, let everything drain, and ask every oracle. The
    naive reference is too slow for very many orders; ``exchange replay`` is always asked."""
    load.stop()
    fleet = load.fleet
    fleet.wait_ready()
    verdict = Verdict()
    verdict.unknown = sum(s.outcome == UNKNOWN for s in load.sent)
    verdict.refused = sum(s.outcome not in (UNKNOWN, ACKNOWLEDGED) for s in load.sent)
    _drain(load, verdict)
    _resolve(load, verdict)
    _drain(load, verdict)
    verdict.acknowledged = len(load.acknowledged())
    journal = _Journal(fleet.postgres.url, with_reference)
    _compare_orders(load, journal, verdict)
    _readable(load, journal, verdict)
    verdict.problems += journal.problems
    verdict.trades = len(journal.trades)
    _webhooks(load, journal, verdict)
    verdict.problems += order_of_time.late_orders(load.acknowledged())
    verdict.problems += load.reader.violations
    sometimes.note_answers(load.answers)
    channel = fleet.channel()
    engine = create_engine(sqlalchemy_url(fleet.postgres.url))
    try:
        verdict.problems += [
            f"check: {f.what}: {f.problem}" for f in findings(channel, engine.connect) if f.problem
        ]
        with engine.connect() as connection:
            verdict.problems += [
                f"replay: {r.partition}: {r.problem}" for r in replay_all(connection) if r.problem
            ]
        verdict.problems += replaying.problems_of(fleet.postgres.url, channel)
    finally:
        engine.dispose()
        channel.close()
    return verdict


def _drain(load: BrokersAtWork, verdict: Verdict) -> None:
    """Until every log is matched, every batch stored and notified, every webhook delivered."""
    started = time.monotonic()
    behind = "Redis does not answer"
    while time.monotonic() - started < DRAIN_SECONDS_MAX:
        channel = load.fleet.channel()
        try:
            behind = _behind(channel, load)
        except RedisError:
            pass
        finally:
            channel.close()
        if not behind:
            verdict.drain_seconds = max(verdict.drain_seconds, time.monotonic() - started)
            return
        time.sleep(0.05)
    verdict.problems.append(f"not drained in {DRAIN_SECONDS_MAX:.0f} s: {behind}")


def _behind(channel: Channel, load: BrokersAtWork) -> str:
    for partition in all_partitions(PARTITIONS_DEFAULT):
        heads, positions, number, stored, notified = channel.pipeline(
            [
                ("HGETALL", keys.heads(partition)),
                ("HGETALL", keys.positions(partition)),
                ("HGET", keys.batch(partition), "number"),
                ("GET", keys.stored(partition)),
                ("GET", keys.notified(partition)),
            ]
        )
        applied = {name.decode(): Position.parse(text) for name, text in pairs(positions)}
        for symbol, head in Heads.parse(dict(pairs(heads))).sequences.items():
            if symbol not in applied or applied[symbol].sequence != head:
                return f"{symbol} is at {applied.get(symbol)} of {head}"
        for name, mark in (("stored", stored), ("notified", notified)):
            if int(mark or 0) != int(number or 0):
                return f"{name} {mark} of {number} of {partition_name(partition)}"
    queues = [key for found in channel.each_node("KEYS", "{hook:*}:queue") for key in found]
    for key in queues:
        waiting = channel.execute("ZCARD", key)
        if waiting and load.receivers:
            return f"{waiting} webhooks wait"
    return ""


def _resolve(load: BrokersAtWork, verdict: Verdict) -> None:
    """C9: what is unknown is sent again with its client order id, and must be taken now."""

    async def repeat() -> None:
        async with httpx.AsyncClient(
            base_url=load.fleet.url, timeout=10, trust_env=False
        ) as client:
            for sent in load.sent:
                if sent.outcome == UNKNOWN:
                    await load.place(client, sent)

    asyncio.run(repeat())
    left = [s for s in load.sent if s.outcome == UNKNOWN]
    if left:
        verdict.problems.append(f"{len(left)} outcomes stay unknown after everything is back")


class _Journal:
    """All batches in PostgreSQL, read once; compared with the naive reference on the way."""

    def __init__(self, url: str, with_reference: bool) -> None:
        self._with_reference = with_reference
        self.orders: Counter[str] = Counter()
        self.clients: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
        self.trades: set[str] = set()
        self.sides: set[tuple[str, str]] = set()
        self.trades_of: defaultdict[str, list[str]] = defaultdict(list)
        self.problems: list[str] = []
        self._naive: dict[str, NaiveEngine] = {}
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT partition, number, batch FROM journal ORDER BY partition, number"
            )
            last: dict[int, int] = {}
            for partition, number, payload in rows:
                if number != last.get(partition, 0) + 1:
                    self.problems.append(f"C8: batch {number} of {partition} after {last}")
                last[partition] = number
                batch = codec.decode_batch(payload)
                for entry in batch.entries:
                    self._add(entry)
                if with_reference:
                    sometimes.note_batch(batch)
            sums = connection.execute(
                "SELECT partition, sum(cash) FROM balances GROUP BY partition HAVING sum(cash) <> 0"
            ).fetchall()
            if sums:
                self.problems.append(f"C4: balances sum to {sums}")
            overfilled = connection.execute(
                "SELECT count(*) FROM orders o LEFT JOIN (SELECT order_id, sum(quantity) AS filled"
                " FROM (SELECT maker_order_id AS order_id, quantity FROM trades UNION ALL"
                " SELECT taker_order_id, quantity FROM trades) AS sides GROUP BY order_id) f"
                " USING (order_id) WHERE quantity - open_quantity <> coalesce(filled, 0)"
            ).fetchone()
            if overfilled != (0,):
                self.problems.append(f"C3: {overfilled} orders whose fills do not add up")
            for trade_id, maker, taker in connection.execute(
                "SELECT trade_id::text, maker_order_id::text, taker_order_id::text FROM trades"
            ):
                self.trades.add(trade_id)
                self.sides |= {(trade_id, maker), (trade_id, taker)}
                self.trades_of[maker].append(trade_id)
                self.trades_of[taker].append(trade_id)

    def _add(self, entry: Any) -> None:
        naive = self._naive.setdefault(entry.symbol, NaiveEngine())
        try:
            command = codec.decode_command(entry.command)
        except codec.DecodeError:
            return  # A poison entry, dead-lettered.
        if isinstance(command, PlaceOrder):
            order_id = ids.encode(entry.time_ms, entry.instrument_number, entry.sequence)
            self.orders[order_id] += 1
            if command.client_order_id:
                key = (command.broker_id, entry.symbol, command.client_order_id)
                self.clients[key].append(order_id)
        if not self._with_reference:
            return
        expected = naive.apply(entry.sequence, entry.time_ms, command)
        if expected != entry.events and len(self.problems) < 5:
            self.problems.append(
                f"C5: {entry.symbol} {entry.sequence}: {entry.events} instead of {expected}"
            )


def _compare_orders(load: BrokersAtWork, journal: _Journal, verdict: Verdict) -> None:
    for sent in load.acknowledged():
        if journal.orders[sent.order_id] != 1:
            verdict.lost += journal.orders[sent.order_id] == 0
            verdict.duplicated += journal.orders[sent.order_id] > 1
        broker_id = load.accounts[sent.broker]["broker_id"]
        _, symbol, client_order_id = sent.key
        named = journal.clients[broker_id, symbol, client_order_id]
        if len(named) > 1:
            verdict.duplicated += 1
        elif named and named != [sent.order_id]:
            verdict.problems.append(f"C9: {sent.key} was answered {sent.order_id}, is {named}")
    refused = [s for s in load.sent if s.outcome not in (ACKNOWLEDGED, UNKNOWN)]
    for sent in refused:
        _, symbol, client_order_id = sent.key
        broker_id = load.accounts[sent.broker]["broker_id"]
        if journal.clients.get((broker_id, symbol, client_order_id)):
            verdict.problems.append(f"{sent.key} was refused and taken all the same")


def _readable(load: BrokersAtWork, journal: _Journal, verdict: Verdict) -> None:
    """C1 over HTTP for a sample, and C3: each trade of theirs is told once, and no crossed book."""
    with httpx.Client(base_url=load.fleet.url, timeout=10, trust_env=False) as client:
        for sent in load.acknowledged()[-200:]:
            answer = client.get(
                f"/orders/{sent.order_id}", headers=bearer(load.accounts[sent.broker]["api_key"])
            )
            if answer.status_code != 200:
                verdict.problems.append(f"{sent.order_id} reads {answer.status_code}")
                break
            told = sorted(trade["trade_id"] for trade in answer.json()["trades"])
            if told != sorted(journal.trades_of[sent.order_id]):
                verdict.problems.append(f"C3: {sent.order_id} is answered with trades {told}")
                break
        for symbol in {sent.body["symbol"] for sent in load.sent}:
            book = client.get(
                f"/stocks/{symbol}/book", headers=bearer(load.accounts[0]["api_key"])
            ).json()
            if (
                book["bids"]
                and book["asks"]
                and book["bids"][0]["price"] >= book["asks"][0]["price"]
            ):
                verdict.problems.append(f"C3: the book of {symbol} is crossed")


def _webhooks(load: BrokersAtWork, journal: _Journal, verdict: Verdict) -> None:
    """C7: every trade of a broker with an endpoint, at least once, always the same bytes."""
    told: set[tuple[str, str]] = set()
    bodies: dict[str, bytes] = {}
    for receiver in load.receivers:
        for headers, body in list(receiver.calls):
            content = json.loads(body)
            if content.get("event") == "trade_executed":
                told.add((content["trade_id"], content["order_id"]))
            if bodies.setdefault(headers["webhook-id"], body) != body:
                verdict.problems.append(f"C7: webhook {headers['webhook-id']} has two bodies")
    owners = {s.order_id: s.broker for s in load.sent if s.order_id}
    due = {side for side in journal.sides if owners.get(side[1], 99) < len(load.receivers)}
    if due - told:
        verdict.problems.append(f"C7: {len(due - told)} of {len(due)} trades were never told")
    if told - journal.sides:
        verdict.problems.append(f"C7: {len(told - journal.sides)} trades were told and are none")
