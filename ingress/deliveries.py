"""The messages of a webhook endpoint, as its broker sees them: what waits, what was delivered, and
what was given up."""

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple, cast
from urllib.parse import parse_qsl

import msgspec

from ingress.webhook_bodies import DeliveriesAnswer, delivery_answer
from protocol import keys
from protocol.units import PAGE_DEFAULT, PAGE_MAX
from protocol.webhooks import DeliveryStatus, QueuedMessage
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.redis.channel import RedisCommand

PARAMETERS = ("status", "limit", "cursor")
CURSOR_LENGTH_MAX = 400


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The last message that was shown: its list, its time in ms, and its id."""

    status: DeliveryStatus
    time_ms: int
    message_id: str


class PageWanted(NamedTuple):
    """``after`` is the end of the page before."""

    status: DeliveryStatus
    limit: int
    after: Position | None


class _Place(NamedTuple):
    time_ms: int
    message_id: str


def page_wanted(query: str) -> PageWanted:
    """What a query string asks for. Raises ``invalid_parameter`` and ``invalid_cursor``."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=20)
    except ValueError as error:
        raise Problem("invalid_parameter", "the query string cannot be read") from error
    values = dict(pairs)
    if len(values) != len(pairs) or values.keys() - set(PARAMETERS):
        raise Problem("invalid_parameter", f"send each of {', '.join(PARAMETERS)} once at most")
    status = _status(values)
    return PageWanted(status, _limit(values), _after(values, status))


def _status(values: Mapping[str, str]) -> DeliveryStatus:
    try:
        return DeliveryStatus(values.get("status", DeliveryStatus.PENDING.value))
    except ValueError as error:
        known = ", ".join(status.value for status in DeliveryStatus)
        raise Problem("invalid_parameter", f"status is one of {known}") from error


def _limit(values: Mapping[str, str]) -> int:
    text = values.get("limit", str(PAGE_DEFAULT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else 0
    if not 1 <= limit <= PAGE_MAX:
        raise Problem("invalid_parameter", f"limit is an integer from 1 to {PAGE_MAX}")
    return limit


def _after(values: Mapping[str, str], status: DeliveryStatus) -> Position | None:
    cursor = values.get("cursor")
    if cursor is None:
        return None
    try:
        padded = cursor[:CURSOR_LENGTH_MAX].encode("ascii") + b"=" * (-len(cursor) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        position = msgspec.msgpack.decode(raw, type=Position)
    except (UnicodeError, binascii.Error, msgspec.MsgspecError) as error:
        raise invalid_cursor() from error
    if position.status is not status:
        raise invalid_cursor()
    return position


def invalid_cursor() -> Problem:
    return Problem(
        "invalid_cursor",
        "send the next_cursor of the page before, with the same status; or begin again without",
    )


def cursor_of(position: Position) -> str:
    raw = msgspec.msgpack.encode(position)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Deliveries:
    """Reads the queues. Its methods are for tasks."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def page(self, endpoint_id: str, wanted: PageWanted) -> DeliveriesAnswer:
        """A page of one list; what leaves the list meanwhile is left out."""
        places = await self._places(endpoint_id, wanted)
        shown, has_more = places[: wanted.limit], len(places) > wanted.limit
        stored = await self._messages(endpoint_id, wanted.status, shown)
        last = shown[-1] if has_more else None
        return DeliveriesAnswer(
            data=[
                delivery_answer(
                    place.message_id, QueuedMessage.decode(message), wanted.status, place.time_ms
                )
                for place, message in zip(shown, stored, strict=True)
                if message is not None
            ],
            next_cursor=cursor_of(Position(wanted.status, *last)) if last else None,
            has_more=has_more,
        )

    async def message(self, endpoint_id: str, message_id: str) -> QueuedMessage | None:
        """A message, wherever it is."""
        found = await self._context.read_in_task(
            *[("HGET", _bodies(endpoint_id, status), message_id) for status in DeliveryStatus]
        )
        stored = next((cast("bytes", one) for one in found if one is not None), None)
        return None if stored is None else QueuedMessage.decode(stored)

    async def _places(self, endpoint_id: str, wanted: PageWanted) -> list[_Place]:
        """The places of the page and one more, where there are so many."""
        found: list[_Place] = []
        offset, size = 0, wanted.limit + 1
        while len(found) <= wanted.limit:
            (reply,) = await self._context.read_in_task(
                _range(endpoint_id, wanted, ("LIMIT", offset, size))
            )
            flat = cast("list[bytes]", reply)
            places = [
                _Place(int(float(score)), name.decode())
                for name, score in zip(flat[::2], flat[1::2], strict=True)
            ]
            found += [place for place in places if _is_new(place, wanted)]
            if len(places) < size:
                break
            offset += size
        return found[: wanted.limit + 1]

    async def _messages(
        self, endpoint_id: str, status: DeliveryStatus, places: list[_Place]
    ) -> list[bytes | None]:
        if not places:
            return []
        names = [place.message_id for place in places]
        (reply,) = await self._context.read_in_task(("HMGET", _bodies(endpoint_id, status), *names))
        return cast("list[bytes | None]", reply)


def _bodies(endpoint_id: str, status: DeliveryStatus) -> str:
    match status:
        case DeliveryStatus.PENDING:
            return keys.hook_messages(endpoint_id)
        case DeliveryStatus.DELIVERED:
            return keys.hook_delivered(endpoint_id)
        case DeliveryStatus.FAILED:
            return keys.hook_dead(endpoint_id)


def _range(endpoint_id: str, wanted: PageWanted, limit: tuple[object, ...]) -> RedisCommand:
    """Messages by their times: the next one first where they wait, else the newest first."""
    first = None if wanted.after is None else wanted.after.time_ms
    if wanted.status is DeliveryStatus.PENDING:
        key, order = keys.hook_queue(endpoint_id), ("-inf" if first is None else first, "+inf")
        return ("ZRANGE", key, *order, "BYSCORE", *limit, "WITHSCORES")
    is_delivered = wanted.status is DeliveryStatus.DELIVERED
    key = keys.hook_delivered_at(endpoint_id) if is_delivered else keys.hook_dead_at(endpoint_id)
    order = ("+inf" if first is None else first, "-inf")
    return ("ZRANGE", key, *order, "BYSCORE", "REV", *limit, "WITHSCORES")


def _is_new(place: _Place, wanted: PageWanted) -> bool:
    """Whether a message comes after the end of the page before."""
    after = wanted.after
    if after is None or place.time_ms != after.time_ms:
        return True
    if wanted.status is DeliveryStatus.PENDING:
        return place.message_id > after.message_id
    return place.message_id < after.message_id
