"""``GET /events``: a broker's execution reports, as pages of JSON or as a stream of events.

With ``Accept: text/event-stream`` the answer does not end: it begins with what came after the last
event that the reader has, and goes on with what comes (Server-Sent Events, WHATWG HTML 9.2).
"""

import logging
import re
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request
from msgspec import Meta
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response, StreamingResponse

from protocol.broker_keys import Scope
from protocol.reports import ReportBody
from readapi.following import Following
from readapi.parameters import Parameters
from readapi.reports import Page, Reader, Told
from runtime.http.callers import caller_of
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.http.rate_limit import Kind

PARAMETERS = ("after", "limit")
EVENT_STREAM = "text/event-stream"
RETRY_MS = 1000
"""After so long a reader should connect again when the stream has ended."""

_SEQUENCE = re.compile("[0-9]{1,18}")

log = logging.getLogger(__name__)


class EventsAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """Execution reports in a row."""

    data: list[ReportBody]
    next_after: Annotated[
        int, Meta(ge=0, description="Send it as `after` to read what follows this page.")
    ]
    has_more: bool


def events_answer(page: Page) -> bytes:
    """The JSON of an :class:`EventsAnswer`."""
    return b'{"data":[%b],"next_after":%d,"has_more":%b}' % (
        b",".join([told.body for told in page.reports]),
        page.next_after,
        b"true" if page.has_more else b"false",
    )


def sequence_parameter(parameters: Parameters) -> int | None:
    """``after``; ``None`` where it is not there."""
    return _sequence(parameters.text("after"), "after")


def event(told: Told) -> bytes:
    """A report in the form of an event stream."""
    return b"id: %d\ndata: %b\n\n" % told


def events_router(context: Context, following: Following) -> APIRouter:
    router = APIRouter()

    @router.get("/events")
    async def events(request: Request) -> Response:
        """A page, or the stream."""
        caller = caller_of(request)
        parameters = Parameters(request.scope["query_string"], PARAMETERS)
        after, limit = sequence_parameter(parameters), parameters.limit()
        broker_id = (await context.authenticate(caller, Scope.READ)).broker_id
        told = context.rate_limits.admit(caller.authorization, Kind.READS)
        headers = {name.decode(): value.decode() for name, value in told}
        if EVENT_STREAM not in request.headers.get("accept", ""):
            page = await following.stored.after(broker_id, after, limit)
            return Response(events_answer(page), media_type="application/json", headers=headers)
        last = _sequence(request.headers.get("last-event-id"), "Last-Event-ID")
        stream = await _begin(context, following, broker_id, after if last is None else last)
        return StreamingResponse(
            stream.run(caller.authorization),
            media_type=EVENT_STREAM,
            headers={**headers, "cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return router


class _Stream:
    """One answer that goes on."""

    def __init__(self, context: Context, reader: Reader) -> None:
        self._context = context
        self._reader = reader

    async def run(self, authorization: bytes | None) -> AsyncIterator[bytes]:
        """It ends when the process stops, when the key is revoked, and when PostgreSQL is away; a
        reader that connects again goes on where it was."""
        try:
            # An event without data: the reader knows where he is before anything has come.
            yield b"retry: %d\nid: %d\n\n" % (RETRY_MS, self._reader.position)
            while (reports := await self._reader.take()) is not None:
                if self._context.keyring.broker(authorization) is None:
                    return
                yield b"".join(map(event, reports)) or b": nothing new\n\n"
            yield b": the process stops\n\n"
        except (Problem, SQLAlchemyError) as error:
            log.warning("a stream of events has ended", extra={"error": str(error)})
        finally:
            self._reader.close()


async def _begin(
    context: Context, following: Following, broker_id: str, after: int | None
) -> _Stream:
    """The stream after the number; without one, what comes from now on. Whether it can begin there
    is known before the answer begins."""
    page = await following.stored.after(broker_id, after, 0)
    position = page.last if after is None else after
    return _Stream(context, following.reader(broker_id, position))


def _sequence(text: str | None, name: str) -> int | None:
    if text is not None and not _SEQUENCE.fullmatch(text):
        raise Problem("invalid_parameter", f"{name} is the sequence of an event, or 0")
    return None if text is None else int(text)
