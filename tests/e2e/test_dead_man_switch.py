"""A dead-man switch survives the end of every process, and fires once."""

from pathlib import Path

import psycopg
import pytest

from protocol import codec, keys
from protocol.commands import MassCancel
from runtime.redis.channel import Channel
from tests.support.eventually import eventually
from tests.support.running import RunningExchange


@pytest.mark.timeout(180)
def test_a_switch_fires_once_after_everything_was_started_again(short_dir: Path) -> None:
    exchange = RunningExchange(short_dir / "s", "--ingress", "2")
    exchange.start()
    try:
        broker = exchange.register("broker")
        broker.bid("PETR4", 1000, 10)
        switch = {"timeout_seconds": 3}
        armed = broker.http.post("/orders/cancel-all-after", json=switch).json()
        broker.close()
        assert exchange.stop() == 0
        exchange.start()
        eventually(lambda: not _armed(exchange), 20, "the switch to fire")
        # In the journal, because an entry that is stored soon leaves the log.
        eventually(lambda: _fired(exchange), 20, "the mass cancel to be stored")
        assert _fired(exchange) == [armed["mass_cancel_id"]]
    finally:
        assert exchange.stop() == 0


def _fired(exchange: RunningExchange) -> list[str]:
    """The ids of all mass cancels in the journal."""
    with psycopg.connect(exchange.addresses["database_url"]) as connection:
        batches = connection.execute("SELECT batch FROM journal").fetchall()
    entries = [entry for (batch,) in batches for entry in codec.decode_batch(batch).entries]
    commands = [codec.decode_command(entry.command) for entry in entries]
    return [c.mass_cancel_id for c in commands if isinstance(c, MassCancel)]


def _armed(exchange: RunningExchange) -> int:
    channel = Channel(exchange.addresses["redis_url"], "tests")
    try:
        return int(channel.execute("ZCARD", keys.TIMERS))
    finally:
        channel.close()
