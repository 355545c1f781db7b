"""One application served twice in this process: by the fast lane, and through plain ASGI."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from typing import Literal

import uvicorn

from runtime.http.asgi import Application
from runtime.http.guard import GuardedProtocol
from runtime.http.lane import FastLaneProtocol
from runtime.http.server import listen
from tests.support.eventually import eventually


class Serving:
    """``fast_port`` and ``plain_port`` answer until :meth:`stop`."""

    def __init__(self, application: Application) -> None:
        listeners = [listen("127.0.0.1", 0), listen("127.0.0.1", 0)]
        self.fast_port, self.plain_port = (one.getsockname()[1] for one in listeners)
        self.fast = _server(application, FastLaneProtocol, "on")
        self.plain = _server(application, GuardedProtocol, "off")
        self._thread = threading.Thread(target=self._run, args=(listeners,))
        self._thread.start()
        servers = (self.fast, self.plain)
        eventually(lambda: all(server.started for server in servers), what="both servers")

    def _run(self, listeners: list[socket.socket]) -> None:
        async def serve() -> None:
            fast = asyncio.create_task(self.fast.serve([listeners[0]]))
            while not self.fast.started:
                await asyncio.sleep(0.01)  # Its lifespan opens the context for both.
            await self.plain.serve([listeners[1]])
            self.fast.should_exit = True
            await fast

        asyncio.run(serve())

    def stop(self) -> None:
        self.plain.should_exit = True
        self._thread.join()


def _server(
    application: Application, protocol: type[GuardedProtocol], lifespan: Literal["on", "off"]
) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=protocol,
            lifespan=lifespan,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
        )
    )


class Line:
    """One connection, as bytes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._rest = b""

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.socket.sendall(part)

    def answer(self) -> bytes:
        """The next answer, head and body."""
        while b"\r\n\r\n" not in self._rest:
            self._receive()
        head, _, rest = self._rest.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        lengths = [int(line[16:]) for line in lines if line.startswith(b"content-length: ")]
        length = lengths[0] if lengths else 0
        while len(rest) < length:
            self._receive()
            rest = self._rest[len(head) + 4 :]
        self._rest = rest[length:]
        return head + b"\r\n\r\n" + rest[:length]

    def _receive(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError(f"the server has closed the connection after {self._rest!r}")
        self._rest += part

    def is_closed(self) -> bool:
        """Whether the server ends the connection without another byte."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()


def request(
    method: str, path: str, key: str, body: bytes = b"", headers: Sequence[str] = ()
) -> bytes:
    """A request as its bytes."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: x",
        f"authorization: Bearer {key}",
        *headers,
        *([f"content-length: {len(body)}"] if body else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
