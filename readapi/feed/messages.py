"""The messages of the feed, in both directions, as docs/reference/feed.md describes them."""

from enum import Enum
from typing import Any, NamedTuple

import msgspec

from protocol.books import BookLevel
from protocol.units import SYMBOL_LENGTH_MAX
from runtime.http.problems import Problem
from runtime.http.websocket import text_frame

MessageId = str | int | None
"""A client may give a message an id; the answers to it carry the id."""


class Auth(msgspec.Struct, tag_field="op", tag="auth", forbid_unknown_fields=True):
    """``key`` is empty for a session that only looks at the market, in development."""

    key: str = ""
    id: MessageId = None


class Subscribe(msgspec.Struct, tag_field="op", tag="subscribe", forbid_unknown_fields=True):
    channels: list[str]
    id: MessageId = None


class Unsubscribe(msgspec.Struct, tag_field="op", tag="unsubscribe", forbid_unknown_fields=True):
    channels: list[str]
    id: MessageId = None


class Ping(msgspec.Struct, tag_field="op", tag="ping", forbid_unknown_fields=True):
    id: MessageId = None


class CancelOnDisconnect(
    msgspec.Struct, tag_field="op", tag="cancel_on_disconnect", forbid_unknown_fields=True
):
    """Whether the orders of the broker are canceled when the session ends."""

    enabled: bool
    id: MessageId = None


Request = Auth | Subscribe | Unsubscribe | Ping | CancelOnDisconnect

_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


class Kind(str, Enum):
    """What a channel tells of."""

    BOOK = "book"
    TRADES = "trades"
    TICKER = "ticker"
    ORDERS = "orders"


class ChannelName(NamedTuple):
    """A channel as clients write it: the kind, and behind a colon the symbol. ``orders`` has no
    symbol, and ``*`` stands for all symbols."""

    kind: Kind
    symbol: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.symbol}" if self.symbol else self.kind.value


ORDERS = ChannelName(Kind.ORDERS, "")
ALL_TICKERS = ChannelName(Kind.TICKER, "*")


def parse_request(message: bytes) -> Request:
    """Raises a problem when the message is none of the feed."""
    try:
        return _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem("invalid_message", str(error)) from error


def parse_channel(text: str) -> ChannelName:
    """Raises a problem when there is no such channel; whether the symbol is listed is not
    looked at."""
    if text == str(ORDERS):
        return ORDERS
    kind, _, symbol = text.partition(":")
    if kind in _OF_SYMBOLS and 0 < len(symbol) <= SYMBOL_LENGTH_MAX:
        return ChannelName(Kind(kind), symbol)
    raise Problem("invalid_channel", f"{text[:40]}: write for example {Kind.BOOK.value}:PETR4")


_OF_SYMBOLS = {kind.value for kind in Kind if kind is not Kind.ORDERS}


def frame(**fields: Any) -> bytes:
    """A message with these fields, framed. An ``id`` of ``None`` is left out."""
    if fields.get("id", "") is None:
        del fields["id"]
    return text_frame(msgspec.json.encode(fields))


def error(problem: Problem, message_id: MessageId = None) -> bytes:
    return frame(type="error", code=problem.code, detail=problem.detail, id=message_id)


def levels_changed(before: list[BookLevel], after: list[BookLevel]) -> list[BookLevel]:
    """The levels of one side that are not as before; those that have gone have nothing left."""
    known = {level[0]: level for level in before}
    changed = [level for level in after if known.pop(level[0], None) != level]
    return changed + [(price, 0, 0) for price in known]
