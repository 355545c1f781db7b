"""One kept-alive HTTP/1.1 connection: a socket that never blocks, with one request in flight."""

import errno
import os
import socket
import struct
import time
from typing import Any

from simulator.load.reading import AnswerParser, AnswerRead, NotHttp, whole_answer

BROKEN = 0  # Stands for a status when the connection ended without an answer.
RECEIVE_MAX = 65536
_SO_TIMESTAMPNS = 35  # Linux stamps what arrives; the socket module does not name the option.
_STAMP = struct.Struct("qq")  # Seconds and nanoseconds since 1970.
_STAMP_SPACE = socket.CMSG_SPACE(_STAMP.size)
_CLOSED = "the connection was closed without an answer"

Address = tuple[Any, ...]
"""Family, type and protocol of a socket, its canonical name, and the address to connect to."""


class Connection:
    """The owner waits until the socket is ready; nothing here waits.

    ``arrived`` is when the last piece of an answer reached this machine, in nanoseconds since
    1970, as the kernel has stamped it; 0 where it does not.
    """

    __slots__ = ("_parser", "_socket", "_unsent", "_why", "arrived", "busy", "context", "sent_at")

    def __init__(self, address: Address) -> None:
        family, kind, protocol, _, where = address
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._parser: AnswerParser | None = None
        self._unsent = b""
        self._why = ""
        self.arrived = 0
        self.busy = False
        self.context: Any = None  # The owner's, about the request in flight.
        self.sent_at = 0.0  # On ``time.perf_counter``'s clock.
        self._connect(where)

    def _connect(self, where: object) -> None:
        code = self._socket.connect_ex(where)  # type: ignore[arg-type]
        if code not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise OSError(code, os.strerror(code))

    def fileno(self) -> int:
        """The number of the socket, -1 once it is closed."""
        return self._socket.fileno()

    def require_connected(self) -> None:
        """Raises :class:`OSError` when the connection could not be made. To be called once the
        socket is ready for writing."""
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    def send(self, request: bytes) -> bool:
        """Send one whole request; only when nothing is in flight. Whether all of it has gone;
        the rest goes with :meth:`send_rest`."""
        self.busy = True
        self._unsent = request
        self.sent_at = time.perf_counter()
        return self.send_rest()

    def send_rest(self) -> bool:
        """Send what is left of the request, as far as the socket takes it; whether all has gone."""
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return False
        except OSError as error:  # The next read finds the end of the connection too.
            self._why = str(error)
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        return not self._unsent

    def receive(self) -> AnswerRead | None:
        """What has come, once it is a whole answer. An end of the connection is an answer too: its
        status is ``BROKEN`` and its body the reason, unless it ends the body of an answer."""
        while True:
            try:
                data, extra, _, _ = self._socket.recvmsg(RECEIVE_MAX, _STAMP_SPACE)
            except BlockingIOError:
                return None
            except OSError as error:
                return _broken(self._why or str(error))
            if extra:
                seconds, nanoseconds = _STAMP.unpack(extra[0][2])
                self.arrived = seconds * 1_000_000_000 + nanoseconds
            if not data:
                return (self._parser and self._parser.end()) or _broken(self._why or _CLOSED)
            answer = self._feed(data)
            if answer is not None or len(data) < RECEIVE_MAX:
                return answer

    def _feed(self, data: bytes) -> AnswerRead | None:
        if self._parser is None:
            answer = whole_answer(data)
            if answer is not None:
                return answer
            self._parser = AnswerParser()
        try:
            answer = self._parser.feed(data)
        except NotHttp as error:
            return _broken(str(error))
        if answer is not None:
            self._parser = None
        return answer

    def close(self) -> None:
        """End the connection; nobody is told."""
        self._socket.close()


def _broken(why: str) -> AnswerRead:
    return AnswerRead(BROKEN, why.encode(), False)
