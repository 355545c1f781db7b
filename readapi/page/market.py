"""``POST /debug/market``: orders of made-up brokers, so that somebody new sees a market move.
Development only.

One small market runs at a time. It is a process of its own (``simulator.street``) that trades
like any broker, over HTTP. It ends after its time, when it is stopped, and when the process that
has started it ends, because it then reads the end of its input.

The key ``{exchange}:market`` says which market runs. Every HTTP process may take it away; the one
that has started the market sees that at its next look.
"""

import asyncio
import logging
import os
import secrets
import sys
import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from protocol import keys
from runtime.http.callers import caller_of
from runtime.http.context import Context
from runtime.http.problems import Problem, unauthorized
from runtime.redis.channel import AsyncChannel

log = logging.getLogger(__name__)

PERCENT_MAX = 300
SECONDS_MAX = 600
LOOK_SECONDS = 0.5
TTL_MS = 3000


class MarketBody(BaseModel):
    """How big the market is, in percent of a busy exchange, and how long it runs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    percent: Annotated[int, Field(ge=1, le=PERCENT_MAX)] = 10
    seconds: Annotated[int, Field(ge=1, le=SECONDS_MAX)] = 300


class MarketAnswer(BaseModel):
    """The small market that runs; all of it is null when none does."""

    model_config = ConfigDict(extra="forbid")

    percent: Annotated[int, Field(ge=1, le=PERCENT_MAX)] | None = None
    seconds_left: Annotated[int, Field(ge=0, le=SECONDS_MAX)] | None = None


class _Running(msgspec.Struct):
    """What the key holds. ``name`` is new for every market."""

    name: str
    percent: int
    ends_ms: int


class SmallMarket:
    """Starts and stops the one market."""

    def __init__(self, context: Context) -> None:
        self._settings = context.settings
        self._channel = AsyncChannel(self._settings.redis_url, f"market-{self._settings.instance}")
        self._tending: set[asyncio.Task[None]] = set()

    async def start(self, percent: int, seconds: int) -> MarketAnswer:
        """Raises :class:`Problem` when one runs already."""
        running = _Running(secrets.token_hex(8), percent, _now_ms() + seconds * 1000)
        stored = msgspec.json.encode(running)
        if not await self._channel.execute("SET", keys.MARKET, stored, "NX", "PX", TTL_MS):
            raise market_running()
        process = await self._spawn(percent, seconds)
        task = asyncio.create_task(self._tend(process, stored))
        self._tending.add(task)
        task.add_done_callback(self._tending.discard)
        return _answer(running)

    async def stop(self) -> None:
        """Its orders stay as they are."""
        await self._channel.execute("DEL", keys.MARKET)

    async def read(self) -> MarketAnswer:
        stored = await self._channel.execute("GET", keys.MARKET)
        return _answer(msgspec.json.decode(stored, type=_Running) if stored else None)

    async def close(self) -> None:
        for task in list(self._tending):
            task.cancel()
        if self._tending:
            await asyncio.wait(self._tending)
        await self._channel.close()

    async def _spawn(self, percent: int, seconds: int) -> asyncio.subprocess.Process:
        settings = self._settings
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104
        url = f"http://[{host}]" if ":" in host else f"http://{host}"
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulator.street", f"{url}:{settings.port}"),
            *(str(percent), str(seconds)),
            stdin=asyncio.subprocess.PIPE,
            env={**os.environ, "EXCHANGE_ADMIN_KEY": settings.admin_key},
            start_new_session=True,
        )

    async def _tend(self, process: asyncio.subprocess.Process, stored: bytes) -> None:
        """Until the market has ended or is to end."""
        try:
            while process.returncode is None:
                if await self._channel.execute("GET", keys.MARKET) != stored:
                    return
                await self._channel.execute("PEXPIRE", keys.MARKET, TTL_MS)
                await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=LOOK_SECONDS)
            if await self._channel.execute("GET", keys.MARKET) == stored:
                await self._channel.execute("DEL", keys.MARKET)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # That ends it.
            code = await process.wait()
            log.info("the small market has ended", extra={"code": code})


def market_running() -> Problem:
    return Problem("market_running", "stop the small market before you start another one")


def market_router(context: Context, market: SmallMarket) -> APIRouter:
    router = APIRouter(prefix="/debug")

    def check(request: Request) -> None:
        if not context.keyring.may_watch(caller_of(request).authorization):
            raise unauthorized("admin key")

    @router.post("/market", status_code=202)
    async def start(request: Request, body: MarketBody | None = None) -> MarketAnswer:
        check(request)
        asked = body or MarketBody()
        return await market.start(asked.percent, asked.seconds)

    @router.get("/market")
    async def read(request: Request) -> MarketAnswer:
        check(request)
        return await market.read()

    @router.delete("/market", status_code=204)
    async def stop(request: Request) -> Response:
        check(request)
        await market.stop()
        return Response(status_code=204)

    return router


def _answer(running: _Running | None) -> MarketAnswer:
    if running is None:
        return MarketAnswer()
    left = max(0, -(-(running.ends_ms - _now_ms()) // 1000))
    return MarketAnswer(percent=running.percent, seconds_left=left)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
