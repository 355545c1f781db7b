"""Rows of the fault matrix: the log in Redis torn, cut, changed, and fed with garbage."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from protocol import codec, keys
from protocol.commands import Tick
from protocol.registry import Instrument
from runtime.redis.channel import Channel
from runtime.redis.functions.append import AppendRequest, Urgency
from tests.faults.fleet import Fleet, pause
from tests.faults.load import BrokersAtWork
from tests.faults.oracles import Verdict, judge
from tests.faults.row import Budget, Row, seconds_to_recover, trading
from tests.support.eventually import eventually
from tests.support.feeding import send


def torn_log(seed: int, budget: Budget) -> Row:
    """The last bytes of Redis's log are torn off: it starts at the last whole commit."""
    with Fleet(redis_binary=budget.redis_binary) as fleet, trading(fleet, seed) as load:
        load.stop()
        verdict = judge(load)  # Everything is drained, so that only our garbage is torn.
        fleet.stop_workers()
        fleet.redis.kill()
        with _log_file(fleet).open("ab") as file:
            file.write(b"*4\r\n$4\r\nXADD\r\n$20\r\n{p00}:ord")
        fleet.redis.start()
        fleet.start_workers()
        fleet.wait_ready()
        again = judge(load)
        again.problems += verdict.problems
        return Row("log: tail torn", seed, again)


def cut_log(seed: int, budget: Budget) -> Row:
    """Redis's log is cut at a boundary: it loads without a word, and nobody starts."""
    return _refusal("log: cut at a boundary", seed, _cut, ("batch", "Redis only", "restore"))


def emptied(seed: int, budget: Budget) -> Row:
    """Redis's log is gone."""

    def empty(fleet: Fleet) -> None:
        fleet.redis.kill()
        shutil.rmtree(fleet.folder / "redis" / "appendonlydir")
        fleet.redis.start()

    return _refusal("log: directory gone", seed, empty, ("empty", "exchange restore"))


def back_with_less(seed: int, budget: Budget) -> Row:
    """Redis comes back under running workers with a cut log: each of them looks before it goes on,
    so that no order is acknowledged into a log that must be restored."""
    with Fleet(redis_binary=budget.redis_binary) as fleet, trading(fleet, seed) as load:
        eventually(lambda: fleet.batches().stored > 50, 20, "batches to be stored")
        fleet.redis.kill()
        at = time.monotonic()
        _cut(fleet)
        refusals = {name: fleet.wait_refused(name) for name in fleet.names}
        load.stop()
        acknowledged = load.acknowledged()
        verdict = Verdict(acknowledged=len(acknowledged))
        verdict.lost = sum(sent.at - sent.seconds > at for sent in acknowledged)
        verdict.problems += [
            f"{name}: {words}" for name, words in refusals.items() if "restore" not in words
        ]
        return Row("log: cut under running workers", seed, verdict, note="refused by all")


def flipped_digit(seed: int, budget: Budget) -> Row:
    """A digit of a stored batch is changed: the hash chain breaks, that partition stops."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        verdict = judge(load)
        fleet.signal("persister-1", signal.SIGSTOP)
        channel = fleet.channel()
        with BrokersAtWork(fleet, seed + 1, webhooks=0):
            eventually(lambda: fleet.batches().unstored > 3, 10, "batches that are not stored")
        _change_last_batch(channel)
        channel.close()
        fleet.signal("persister-1", signal.SIGKILL)
        refusal = fleet.wait_refused("persister-1")
        if "does not continue the hash chain" not in refusal:
            verdict.problems.append(f"the persister says {refusal}")
        return Row("log: digit flipped", seed, verdict, note="refused by the persister")


def poison(seed: int, budget: Budget) -> Row:
    """Entries that nobody can read, in the log: set aside with a reason, the next goes on."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        channel = fleet.channel()
        symbol = "PETR4"
        partition = Instrument.parse(channel.execute("HGET", keys.INSTRUMENTS, symbol)).partition
        bad = [b"\xff\x00", b"", codec.encode(Tick())[:-1] + b"\x7f", b"x" * 10_000_000]
        for command in bad:
            send(channel, partition, AppendRequest(symbol, command, Urgency.TICK))
        eventually(
            lambda: channel.execute("XLEN", keys.dead(partition)) == len(bad), 10, "dead letters"
        )
        channel.close()
        at = time.monotonic()
        recovered = [seconds_to_recover(load, at)]
        return Row("poison entries in a log", seed, judge(load), len(bad), recovered)


def clock_jump(seed: int, budget: Budget) -> Row:
    """The clock of the log was an hour ahead and comes back: time stands, nothing is doubled."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        channel = fleet.channel()
        seconds, _ = channel.execute("TIME")
        for partition in range(16):
            ahead = (int(seconds) + 3600) * 1000
            channel.execute("HSET", keys.heads(partition), "@time", ahead)
        channel.close()
        at = time.monotonic()
        recovered = [seconds_to_recover(load, at)]
        pause(1)
        return Row("clock jumps an hour and back", seed, judge(load), 2, recovered)


def _refusal(fault: str, seed: int, harm: Callable[[Fleet], None], words: tuple[str, ...]) -> Row:
    """Do harm to a stopped exchange; nobody may start, and the words must say what is wrong."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        verdict = judge(load)
        fleet.stop_workers()
        harm(fleet)
        fleet.start_workers()
        for name in fleet.names:
            refusal = fleet.wait_refused(name)
            for word in words:
                if word not in refusal:
                    verdict.problems.append(f"{name} refuses without {word!r}: {refusal}")
        return Row(fault, seed, verdict, note="refused by all")


def _cut(fleet: Fleet) -> None:
    """Redis loses the second half of its log, and with it the last commits."""
    fleet.redis.kill()
    path = _log_file(fleet)
    content = path.read_bytes()
    path.write_bytes(content[: _boundary(content, len(content) // 2)])
    fleet.redis.start()


def _boundary(content: bytes, near: int) -> int:
    """The end of a command before ``near``; inside MULTI nothing is whole."""
    return (
        content.rindex(b"*5\r\n$4\r\nXADD", 0, near)
        if b"MULTI" not in content
        else (content.rindex(b"EXEC\r\n", 0, near) + 6)
    )


def _log_file(fleet: Fleet) -> Path:
    return max((fleet.folder / "redis" / "appendonlydir").glob("*.incr.aof"))


def _change_last_batch(channel: Channel) -> None:
    """Flip a bit of the last batch of a partition that has one which is not stored."""
    for partition in range(16):
        number = int(channel.execute("HGET", keys.batch(partition), "number") or 0)
        if number > int(channel.execute("GET", keys.stored(partition)) or 0):
            events = keys.events(partition)
            entries = channel.execute("XRANGE", events, "-", "+")
            payload = entries[-1][1][3]
            entries[-1][1][3] = payload[:-1] + bytes([payload[-1] ^ 1])
            channel.execute("DEL", events)
            for entry_id, fields in entries:
                channel.execute("XADD", events, entry_id, *fields)
            return
    raise AssertionError("everything is stored")
