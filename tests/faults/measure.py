"""Figures of recovery and of memory: python -m tests.faults.measure takeover|million|day|soak.

The log is fed directly, as many ingress processes would, so that two million commands take
minutes; what is measured are the real processes behind it.
"""

import argparse
import random
import statistics
import sys
import time
from functools import partial

import httpx
from sqlalchemy import create_engine

from exchange.audit.check import findings
from exchange.audit.replay import replay_all
from protocol import codec, keys
from protocol.commands import CancelOrder, PlaceOrder
from protocol.enums import OrderType, Side
from protocol.registry import Instrument
from runtime.postgres.tables import sqlalchemy_url
from runtime.redis.channel import Channel, RedisCommand
from runtime.redis.functions.append import AppendRequest, Limits, Urgency, append
from tests.faults.fleet import Fleet, pause
from tests.support.eventually import eventually
from tests.support.feeding import history_of, list_symbol
from tests.support.running import bearer, order_body

SYMBOLS = 450
BROKERS = 100
PARTITIONS = 16
ZIPF_EXPONENT = 0.95
AT_ONCE = 2_000
BACKLOG_MAX = 20_000
CANCEL_SHARE = 0.26
DAY_MS = 24 * 3600 * 1000
SEED = 5


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Feeder:
    """B3's mix of orders and cancels, appended to the log as fast as the exchange follows."""

    def __init__(self, fleet: Fleet, trading: bool = True, life_ms: int | None = None) -> None:
        self.fleet = fleet
        self.channel = fleet.channel()
        self.brokers = [fleet.register(f"feeder {n}") for n in range(BROKERS)]
        self.instruments = [self._list(f"DAY{n}") for n in range(SYMBOLS)]
        self._weights = [1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(SYMBOLS)]
        self._draw = random.Random(SEED)
        self._trading = trading
        self._life_ms = life_ms
        self._last = dict.fromkeys(range(SYMBOLS + 1), 0)

    def _list(self, symbol: str) -> Instrument:
        return list_symbol(self.channel, symbol, PARTITIONS)

    def feed(self, count: int) -> None:
        """Append ``count`` commands, never more than ``BACKLOG_MAX`` ahead of the matcher."""
        for start in range(0, count, AT_ONCE):
            self._append(min(AT_ONCE, count - start))
            while self.backlog() > BACKLOG_MAX:
                time.sleep(0.005)

    def backlog(self) -> int:
        commands = []
        for partition in range(PARTITIONS):
            commands.append(("HGET", keys.heads(partition), "@count"))
            commands.append(("HGET", keys.batch(partition), "applied"))
        replies = [int(reply or 0) for reply in self.channel.pipeline(commands)]
        return sum(replies[::2]) - sum(replies[1::2])

    def unstored(self) -> int:
        commands: list[RedisCommand] = []
        for partition in range(PARTITIONS):
            commands.append(("HGET", keys.batch(partition), "number"))
            commands.append(("GET", keys.stored(partition)))
        replies = [int(reply or 0) for reply in self.channel.pipeline(commands)]
        return sum(replies[::2]) - sum(replies[1::2])

    def open_orders(self) -> int:
        commands = [("HLEN", keys.open_orders(partition)) for partition in range(PARTITIONS)]
        return sum(self.channel.pipeline(commands))

    def _append(self, count: int) -> None:
        by_partition: dict[int, list[AppendRequest]] = {}
        now_ms = time.time_ns() // 1_000_000
        for instrument in self._draw.choices(self.instruments, self._weights, k=count):
            self._last[instrument.number] += 1
            command = self._command(instrument, self._last[instrument.number], now_ms)
            entry = AppendRequest(instrument.symbol, codec.encode(command), Urgency.TICK)
            by_partition.setdefault(instrument.partition, []).append(entry)
        history_id = history_of(self.channel)
        self.channel.call(append(history_id, by_partition, Limits()))

    def _command(
        self, instrument: Instrument, sequence: int, now_ms: int
    ) -> PlaceOrder | CancelOrder:
        draw = self._draw
        if self._trading and sequence > 1 and draw.random() < CANCEL_SHARE:
            return CancelOrder(draw.randrange(max(1, sequence - 50), sequence))
        side = draw.choice([Side.BID, Side.ASK])
        base = 500 + instrument.number * 40
        away = 1 if side is Side.ASK else -1
        broker = draw.choice(self.brokers)["broker_id"]
        until = now_ms + self._life(draw)
        kind = draw.random() if self._trading else 1.0
        if kind < 0.05:
            quantity = draw.randint(50, 200)
            return PlaceOrder(broker, "1", side, OrderType.MARKET, None, quantity, None)
        if kind < 0.25:
            price, quantity = int(base * (1 + draw.uniform(-0.05, 0.05))), draw.randint(50, 200)
        else:
            price = int(base * (1 + away * draw.uniform(0.05, 0.2)))
            quantity = draw.randint(50, 500)
        return PlaceOrder(broker, "1", side, OrderType.LIMIT, price, quantity, until)

    def _life(self, draw: random.Random) -> int:
        if not self._trading:
            return DAY_MS
        if self._life_ms is not None:
            return draw.randint(self._life_ms // 2, self._life_ms)
        kind = draw.random()
        if kind < 0.1:
            return draw.randint(500, 1_000)
        return draw.randint(5_000, 10_000) if kind < 0.3 else DAY_MS


def probe(fleet: Fleet, feeder: Feeder, symbol: str) -> float:
    """Seconds until a crossing pair of ``symbol`` has traded. Its price is far from the others'."""
    started = time.monotonic()
    keyed = bearer(feeder.brokers[0]["api_key"])
    with httpx.Client(base_url=fleet.url, trust_env=False, timeout=20, headers=keyed) as client:
        for side in ("ask", "bid"):
            price = 10**9 if side == "bid" else 1
            body = order_body(price, symbol=symbol, side=side, quantity=1)
            answer = client.post("/orders", json=body)
            assert answer.status_code == 201, answer.text
            order_id = answer.json()["order_id"]

        def traded() -> bool:
            return bool(client.get(f"/orders/{order_id}").json()["trades"])

        eventually(traded, 60, f"{symbol} to trade")
    return time.monotonic() - started


def takeover(kills: int) -> None:
    """A matcher is killed and stays away; the other one takes its symbols over."""
    with Fleet({"matcher": 2, "persister": 1, "notifier": 1, "http": 1}) as fleet:
        feeder = Feeder(fleet, trading=False)
        feeder.feed(100_000)
        eventually(lambda: feeder.backlog() == 0, 120, "the orders to be matched")
        say(f"{feeder.open_orders():,} open orders in {SYMBOLS} symbols, 2 matchers")
        took, again = [], []
        for number in range(kills):
            victim = f"matcher-{1 + number % 2}"
            symbol = _symbol_of(feeder, victim)
            # Before it may be started again, the other one must have taken over.
            fleet.remove(victim)
            took.append(probe(fleet, feeder, symbol))
            fleet.start(victim)
            eventually(partial(_has_a_fair_share, feeder.channel, victim), 60, "a fair share")
        for number in range(kills):
            victim = f"matcher-{1 + number % 2}"
            symbol = _symbol_of(feeder, victim)
            fleet.kill(victim)
            again.append(probe(fleet, feeder, symbol))
            pause(1)
            eventually(partial(_has_a_fair_share, feeder.channel, victim), 60, "a fair share")
        for what, seconds in (("taken over by the other", took), ("started again", again)):
            say(
                f"kill -9 of a matcher, {what}, {kills} times: median"
                f" {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s"
            )
        feeder.channel.close()


def _has_a_fair_share(channel: Channel, name: str) -> bool:
    return _owned(channel, name) >= 8


def _owned(channel: Channel, name: str) -> int:
    tokens = channel.pipeline([("GET", keys.lease(p, "matcher")) for p in range(PARTITIONS)])
    return sum((token or b"").startswith(name.encode() + b"/") for token in tokens)


def _symbol_of(feeder: Feeder, matcher: str) -> str:
    for instrument in feeder.instruments:
        token = feeder.channel.execute("GET", keys.lease(instrument.partition, "matcher")) or b""
        if token.startswith(matcher.encode() + b"/"):
            return instrument.symbol
    raise AssertionError(f"{matcher} owns nothing")


def million(count: int) -> None:
    """Memory of very many open orders, and the start of a matcher that has to read them back."""
    with Fleet() as fleet:
        feeder = Feeder(fleet, trading=False)
        empty = fleet.memory_mib()
        for _ in range(20):
            feeder.feed(count // 20)
            eventually(lambda: feeder.unstored() < 1_000, 300, "the batches to be stored")
        eventually(lambda: feeder.backlog() == 0, 300, "the orders to be matched")
        eventually(lambda: feeder.unstored() == 0, 900, "everything to be stored")
        pause(3)  # What is stored and notified leaves the streams.
        memory = fleet.memory_mib()
        say(
            f"{feeder.open_orders():,} open orders; bytes for each:"
            f" {_per_order(feeder, empty, memory, 'matcher-1')} in the matcher,"
            f" {_per_order(feeder, empty, memory, 'redis')} in Redis"
        )
        fleet.remove("matcher-1")
        started = time.monotonic()
        fleet.start("matcher-1")
        probe(fleet, feeder, feeder.instruments[0].symbol)
        elapsed = time.monotonic() - started
        memory = fleet.memory_mib()
        say(
            f"start with {feeder.open_orders():,} open orders: trading after {elapsed:.1f} s;"
            f" matcher {memory['matcher-1']:.0f} MiB, Redis {memory['redis']:.0f} MiB"
        )
        feeder.channel.close()


def _per_order(feeder: Feeder, empty: dict[str, float], memory: dict[str, float], name: str) -> int:
    return round((memory[name] - empty[name]) * 2**20 / feeder.open_orders())


def day(count: int) -> None:
    """B3's order day in miniature, through log, matcher and persister, checked and replayed."""
    with Fleet() as fleet:
        feeder = Feeder(fleet)
        started = time.monotonic()
        for part in range(20):
            feeder.feed(count // 20)
            _report_memory(fleet, feeder, started, f"{(part + 1) * count // 20:>9,} commands")
        eventually(lambda: feeder.backlog() == 0, 120, "everything to be matched")
        matched = time.monotonic() - started
        eventually(lambda: feeder.unstored() == 0, 900, "everything to be stored")
        stored = time.monotonic() - started
        say(f"matched after {matched:.0f} s, stored after {stored:.0f} s")
        _report_memory(fleet, feeder, started, "at the end")
        _judge(fleet, feeder)


def soak(seconds: int) -> None:
    """Orders that live for seconds, closed ones kept for seconds: memory must be flat."""
    with Fleet(EXCHANGE_PERSISTER_CLOSED_SECONDS="10") as fleet:
        feeder = Feeder(fleet, life_ms=8_000)
        started = time.monotonic()
        fed = 0
        while time.monotonic() - started < seconds:
            until = time.monotonic() + seconds / 12
            while time.monotonic() < until:
                feeder.feed(AT_ONCE)
                fed += AT_ONCE
                while feeder.unstored() > 3_000:
                    time.sleep(0.01)
            _report_memory(fleet, feeder, started, f"{fed:>9,} commands")
        feeder.channel.close()


def _report_memory(fleet: Fleet, feeder: Feeder, started: float, what: str) -> None:
    memory = "  ".join(f"{name} {mib:.0f}" for name, mib in fleet.memory_mib().items())
    say(
        f"{time.monotonic() - started:5.0f} s  {what}  open {feeder.open_orders():>7,}"
        f"  unstored {feeder.unstored():>6,}  MiB: {memory}"
    )


def _judge(fleet: Fleet, feeder: Feeder) -> None:
    engine = create_engine(sqlalchemy_url(fleet.postgres.url))
    started = time.monotonic()
    problems = [f for f in findings(feeder.channel, engine.connect) if f.problem]
    say(f"exchange check: {len(problems)} problems, {time.monotonic() - started:.0f} s {problems}")
    started = time.monotonic()
    with engine.connect() as connection:
        results = list(replay_all(connection))
    say(
        f"exchange replay: {sum(r.commands for r in results):,} commands,"
        f" {sum(r.events for r in results):,} events compared,"
        f" {sum(bool(r.problem) for r in results)} problems, {time.monotonic() - started:.0f} s"
    )
    engine.dispose()
    feeder.channel.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.measure", description=__doc__)
    parser.add_argument("what", choices=["takeover", "million", "day", "soak"])
    parser.add_argument("--count", type=int, default=None)
    options = parser.parse_args()
    match options.what:
        case "takeover":
            takeover(options.count or 20)
        case "million":
            million(options.count or 1_000_000)
        case "day":
            day(options.count or 2_000_000)
        case "soak":
            soak(options.count or 240)


if __name__ == "__main__":
    main()
