"""``GET /admin/health``: the state of the whole exchange, and what is wrong with it in sentences.

One reading serves all who ask within ``KEPT_SECONDS``, because it costs Redis a look at every
partition. It is made in a thread, so that no order waits for it.
"""

import asyncio
import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from msgspec import Meta
from sqlalchemy.exc import SQLAlchemyError

from protocol.units import format_time
from runtime.http.callers import caller_of
from runtime.http.context import Context
from runtime.http.endpoints import JSON
from runtime.http.problems import unauthorized
from runtime.http.schemas import TimeField
from runtime.process.complaints import NO_POSTGRESQL, NO_REDIS, complaints
from runtime.process.errors import ExchangeError
from runtime.redis import state
from runtime.redis.channel import Channel, RedisError
from runtime.redis.state import ExchangeState

KEPT_SECONDS = 0.5
REDIS_SECONDS_MAX = 2.0


class HealthAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """How the exchange is."""

    read_at: TimeField
    complaints: Annotated[
        list[str], Meta(description="What is wrong, for a person; empty when all is well.")
    ]
    redis: Annotated[bool, Meta(description="Whether Redis answers.")]
    postgresql: (
        Annotated[bool, Meta(description="Whether it answers; null where the process has none.")]
        | None
    )
    state: Annotated[
        ExchangeState | None,
        Meta(description="As `exchange status --json` gives it; null while Redis does not answer."),
    ]


def health_answer(
    found: ExchangeState | None, postgresql: bool | None, time_ms: int
) -> HealthAnswer:
    """``found`` is ``None`` when Redis does not answer."""
    wrong = [NO_REDIS] if found is None else []
    if postgresql is False:
        wrong.append(NO_POSTGRESQL)
    if found is not None:
        wrong += complaints(found)
    return HealthAnswer(format_time(time_ms), wrong, found is not None, postgresql, found)


class HealthReader:
    """Reads for all who ask at about the same time."""

    def __init__(self, context: Context, health_sockets: str) -> None:
        self._context = context
        self._health_sockets = health_sockets
        self._reading: asyncio.Task[bytes] | None = None
        self._read_at = 0.0

    async def answer(self) -> bytes:
        """The body of the answer."""
        is_old = time.monotonic() > self._read_at + KEPT_SECONDS
        if self._reading is None or (self._reading.done() and is_old):
            self._reading = asyncio.create_task(self._read())
        return await asyncio.shield(self._reading)

    async def stop(self) -> None:
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _read(self) -> bytes:
        found, postgresql = await asyncio.gather(asyncio.to_thread(self._state), self._postgresql())
        self._read_at = time.monotonic()
        return msgspec.json.encode(health_answer(found, postgresql, time.time_ns() // 1_000_000))

    def _state(self) -> ExchangeState | None:
        settings = self._context.settings
        channel = Channel(settings.redis_url, f"health-{settings.instance}", REDIS_SECONDS_MAX)
        try:
            return state.read(channel, self._health_sockets)
        except (RedisError, ExchangeError):
            return None  # The answer says so.
        finally:
            channel.close()

    async def _postgresql(self) -> bool | None:
        archive = self._context.archive
        if not archive.is_there:
            return None
        try:
            await archive.ping()
        except SQLAlchemyError:
            return False
        return True


def health_router(context: Context, reader: HealthReader) -> APIRouter:
    router = APIRouter()

    @router.get("/admin/health")
    async def health(request: Request) -> Response:
        if not context.keyring.may_watch(caller_of(request).authorization):
            raise unauthorized("admin key")
        return Response(await reader.answer(), media_type=JSON.decode())

    return router
