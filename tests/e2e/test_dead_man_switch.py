"""A dead-man switch survives the end of every process, and fires once."""

from pathlib import Path

import pytest

from protocol import keys
from protocol.commands import MassCancel
from runtime.redis.channel import Channel
from tests.support.eventually import eventually
from tests.support.logs import commands_of
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
        commands = commands_of(exchange.addresses["redis_url"], "PETR4")
        fired = [command for command in commands if isinstance(command, MassCancel)]
        assert [cancel.mass_cancel_id for cancel in fired] == [armed["mass_cancel_id"]]
    finally:
        assert exchange.stop() == 0


def _armed(exchange: RunningExchange) -> int:
    channel = Channel(exchange.addresses["redis_url"], "tests")
    try:
        return int(channel.execute("ZCARD", keys.TIMERS))
    finally:
        channel.close()
