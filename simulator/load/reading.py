"""How the bytes of an answer become its status and its body.

Nearly every answer comes in one piece and says its length: :func:`whole_answer` reads it with a
few searches. Whatever else a server may send goes through a real parser, :class:`AnswerParser`.
"""

from typing import NamedTuple

from httptools import HttpParserError, HttpResponseParser

SHOWN_MAX = 80  # Bytes of an answer that is no HTTP which are quoted.
STATUS_FIRST = 200  # Answers below it only announce the real one.
WITHOUT_BODY = (204, 304)
_LENGTH = b"\r\ncontent-length:"
_UNUSUAL = (b"\r\ntransfer-encoding:", b"\r\nconnection:")


class AnswerRead(NamedTuple):
    """A whole answer. ``keeps`` says whether the connection may be used again."""

    status: int
    body: bytes
    keeps: bool


def whole_answer(data: bytes) -> AnswerRead | None:
    """The answer when ``data`` is exactly one, with a length and nothing unusual; else None."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(b"HTTP/1.1 ") or not data[9:12].isdigit():
        return None
    status = int(data[9:12])
    head = data[:end].lower()
    if status < STATUS_FIRST or any(name in head for name in _UNUSUAL):
        return None
    at = head.find(_LENGTH)
    if at < 0:
        is_whole = status in WITHOUT_BODY and len(data) == end + 4
        return AnswerRead(status, b"", True) if is_whole else None
    after = head.find(b"\r\n", at + 2)
    length = head[at + len(_LENGTH) : after if after >= 0 else end].strip()
    if not length.isdigit() or len(data) != end + 4 + int(length) or head.count(_LENGTH) > 1:
        return None
    return AnswerRead(status, data[end + 4 :], True)


class NotHttp(Exception):
    """An answer is no HTTP; the text quotes it."""


class AnswerParser:
    """Reads one answer that comes in any number of pieces."""

    __slots__ = ("_answer", "_body", "_head", "_parser")

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._head = b""  # The beginning of the answer, up to its body.
        self._body: list[bytes] = []
        self._answer: AnswerRead | None = None

    def feed(self, data: bytes) -> AnswerRead | None:
        """The answer once it is whole. Raises :class:`NotHttp`."""
        if b"\r\n\r\n" not in self._head:
            self._head += data
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            shown = data[:SHOWN_MAX].decode("utf-8", "replace")
            raise NotHttp(f"the answer is not HTTP ({error}): {shown!r}") from error
        return self._answer

    def end(self) -> AnswerRead | None:
        """The answer whose end is the end of the connection, as it was usual in HTTP/1.0: it has
        neither length nor chunks. None when the connection ended too early."""
        head, separator, _ = self._head.lower().partition(b"\r\n\r\n")
        if not separator or _LENGTH in head or b"\r\ntransfer-encoding:" in head:
            return None
        return AnswerRead(self._parser.get_status_code(), b"".join(self._body), False)

    # httptools calls these:

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The whole answer is there, or one that only announces it."""
        status = self._parser.get_status_code()
        if status >= STATUS_FIRST and self._answer is None:
            body = b"".join(self._body)
            self._answer = AnswerRead(status, body, self._parser.should_keep_alive())
        self._body.clear()
