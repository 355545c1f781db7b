"""Running an application under uvicorn: uvloop, httptools, a socket that siblings can share."""

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

import uvicorn

from runtime.http.context import Context
from runtime.http.factory import create_app
from runtime.http.lane import FastLaneProtocol
from runtime.http.service import Service
from runtime.http.traffic import TrafficMeter
from runtime.http.websocket import WebSocketProtocol
from runtime.process import logs
from runtime.process.errors import SettingsError
from runtime.process.health import listen_unix
from runtime.process.settings import Settings, load
from runtime.process.tls import server_context
from runtime.process.worker import EXIT_FAILED, EXIT_OK, exit_code, tune_garbage_collection
from runtime.redis.channel import Channel, RedisError
from runtime.redis.genesis import found_or_join
from runtime.redis.members import Heart

log = logging.getLogger(__name__)

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 10
HEARTBEAT_SECONDS = 1.0
CONNECTIONS_MAX = 10_000
HANDSHAKE_SECONDS_MAX = 10.0  # As long as a request may take to come.
FAREWELL_SECONDS_MAX = 2.0
"""How long a client may take to answer that a connection with TLS ends."""


def main(
    settings_type: type[Settings], creators: Sequence[Callable[[Context], Service]]
) -> NoReturn:
    """The whole ``__main__`` of an HTTP process."""
    try:
        settings = load(settings_type)
    except SettingsError as error:
        logs.configure("INFO", "http")
        sys.exit(exit_code(error))
    logs.configure(settings.log_level, settings.process)
    sys.exit(serve(settings, creators))


def serve(settings: Settings, creators: Sequence[Callable[[Context], Service]]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code."""
    tune_garbage_collection()
    founding = Channel(settings.redis_url, f"founding-{settings.instance}")
    try:
        # Before uvicorn, which would make a refusal an ordinary failure.
        genesis = found_or_join(founding, settings)
        tls = server_context(settings.tls_cert_file, settings.tls_key_file)
        listeners = [Listener(listen(settings.host, settings.port), tls)]
        if settings.health_socket:
            # The same event loop answers on it, so that a loop that hangs is seen to hang.
            listeners.append(Listener(listen_unix(settings.health_socket)))
    except Exception as error:  # noqa: BLE001 - the process boundary: it becomes an exit code.
        return exit_code(error)
    finally:
        founding.close()
    failures: list[Exception] = []

    def fail(error: Exception) -> None:
        failures.append(error)
        server.should_exit = True

    application = create_app(settings, genesis, creators, fail)
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=FastLaneProtocol,
        ws=WebSocketProtocol,
        proxy_headers=False,
        access_log=False,
        log_config=None,
        lifespan="on",
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        limit_concurrency=CONNECTIONS_MAX,
    )
    server = Server(config, listeners, application.stopping)

    def stop_serving(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn raises the signal that stopped it again when it is done. The default action would
    # end the process there, with the heartbeat and the socket left behind.
    signal.signal(signal.SIGTERM, stop_serving)
    signal.signal(signal.SIGINT, stop_serving)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(settings, stop), daemon=True)
    heart.start()
    try:
        server.run(sockets=[])
    except Exception as error:  # noqa: BLE001 - the process boundary: it becomes an exit code.
        return exit_code(error)
    finally:
        stop.set()
        heart.join()
        if settings.health_socket:
            Path(settings.health_socket).unlink(missing_ok=True)
    if failures:
        return exit_code(failures[0])
    return EXIT_OK if server.started else EXIT_FAILED


class Listener(NamedTuple):
    """A listening socket, and how TLS is spoken on it; ``None`` is without."""

    socket: socket.socket
    tls: ssl.SSLContext | None = None


class Server(uvicorn.Server):
    """uvicorn's server, which listens with TLS on some sockets and without on others, and says that
    it stops before it waits for the answers."""

    def __init__(
        self,
        config: uvicorn.Config,
        listeners: Sequence[Listener],
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._listeners = listeners
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn has one TLS for all sockets, and waits a minute for a handshake."""
        await super().startup(sockets)
        for listener in self._listeners:
            self.servers.append(await self._listen(listener))

    async def _listen(self, listener: Listener) -> asyncio.Server:
        config = self.config

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        has_tls = listener.tls is not None
        return await asyncio.get_running_loop().create_server(
            protocol,
            sock=listener.socket,
            ssl=listener.tls,
            backlog=config.backlog,
            ssl_handshake_timeout=HANDSHAKE_SECONDS_MAX if has_tls else None,
            ssl_shutdown_timeout=FAREWELL_SECONDS_MAX if has_tls else None,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose port several processes may share (SO_REUSEPORT)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _beat(settings: Settings, stop: threading.Event) -> None:
    """Heartbeats for ``exchange status``; nothing depends on them."""
    channel = Channel(settings.redis_url, f"heart-{settings.instance}")
    kind = settings.process or "http"
    heart = Heart(channel, kind, settings.instance, settings.port, TrafficMeter().read)
    while True:
        with contextlib.suppress(RedisError):
            heart.beat()
        if stop.wait(HEARTBEAT_SECONDS):
            break
    with contextlib.suppress(RedisError):
        heart.stop()
    channel.close()
