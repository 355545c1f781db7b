"""The same log gives the same bytes in every process."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from matcher.changes import Changes
from matcher.engine import Engine
from protocol import codec
from protocol.batches import GENESIS_HASH, BatchEntry
from protocol.enums import InstrumentStatus, StateReason
from protocol.events import (
    BrokerChanged,
    CommandRefused,
    Event,
    InstrumentChanged,
    MassCanceled,
    OrderAmended,
    OrderCanceled,
    OrderExpired,
    OrderRejected,
    OrderTriggered,
    StatusChanged,
    TradeBusted,
    Uncrossed,
)
from tests.support.builders import START_MS, SYMBOL
from tests.support.flows import long_flow, resolved

ROOT = Path(__file__).parents[3]


def journal_hash(seed: int, count: int) -> str:
    """SHA-256 over the batches that a flow makes, and over all keys that a commit writes."""
    digest = hashlib.sha256()
    batch_hash = GENESIS_HASH
    engine = Engine()
    market = engine.market(SYMBOL, 1)
    changes = Changes(3, engine)
    time_ms = START_MS
    for sequence, (step, recipe) in enumerate(long_flow(seed, count, is_ruled=True), 1):
        time_ms += step
        command = resolved(recipe, sequence, time_ms)
        events = engine.apply(market, sequence, time_ms, command)
        payload = codec.encode(command)
        changes.add(market, [BatchEntry(SYMBOL, 1, sequence, time_ms, payload, events)])
        if sequence % 50 == 0:
            commit = changes.take(sequence // 50 - 1, batch_hash, sequence)
            batch_hash = commit.hash
            digest.update(commit.payload + repr(sorted(commit.fills.items())).encode())
            digest.update(codec.encode((commit.holdings, commit.instruments, commit.balances)))
            changes = Changes(3, engine)
    digest.update(engine.state_hash().encode())
    return digest.hexdigest()


def test_a_replay_gives_equal_bytes_under_two_hash_seeds() -> None:
    code = (
        "from tests.unit.matcher.test_determinism import journal_hash; print(journal_hash(5, 2000))"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert hashes == {journal_hash(5, 2000) + "\n"}


def test_the_flows_of_the_tests_reach_every_rule() -> None:
    """Otherwise the comparison with the reference would prove less than it seems to."""
    kinds: set[type[Event]] = set()
    words: set[str] = set()
    for seed in range(6):
        engine = Engine()
        market = engine.market(SYMBOL, 1)
        time_ms = START_MS
        for sequence, (step, recipe) in enumerate(long_flow(seed, 1_500, is_ruled=True), 1):
            time_ms += step
            command = resolved(recipe, sequence, time_ms)
            for event in engine.apply(market, sequence, time_ms, command):
                kinds.add(type(event))
                if isinstance(event, OrderCanceled | OrderExpired | OrderRejected | CommandRefused):
                    words.add(event.reason)
                if isinstance(event, StatusChanged):
                    words.add(f"{event.status.value}:{event.reason}")
    assert kinds >= {
        *(BrokerChanged, InstrumentChanged, MassCanceled, OrderAmended, OrderTriggered),
        *(TradeBusted, Uncrossed),
    }
    never = {StateReason.NONE, StateReason.CANCEL_TIMER, StateReason.OPERATOR}
    assert words >= {reason.value for reason in StateReason if reason not in never}
    assert words >= {f"{status.value}:why" for status in InstrumentStatus}
    assert words >= {"auction:volatility", "open:auction_over", "already_busted"}
