"""Waiting until the matcher has decided a command: until its commit has passed the sequence."""

import asyncio
import time
from typing import cast

from protocol import keys
from protocol.commits import Position
from protocol.registry import Instrument
from runtime.http.context import Context

POLL_SECONDS_MIN = 0.002
POLL_SECONDS_MAX = 0.02


async def wait_until_decided(
    context: Context, instrument: Instrument, sequence: int, timeout_seconds: float
) -> bool:
    """Whether the command was applied and committed in time.

    Polls the position: reads of all waiting requests share one round trip, and a wake-up from
    Redis for each commit would cost more than the few polls a commit takes.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = POLL_SECONDS_MIN
    key = keys.positions(instrument.partition)
    while True:
        await asyncio.sleep(pause)
        (position,) = await context.read(("HGET", key, instrument.symbol))
        if position is not None and Position.parse(cast("bytes", position)).sequence >= sequence:
            return True
        if time.monotonic() >= deadline:
            return False
        pause = min(pause * 1.5, POLL_SECONDS_MAX)
