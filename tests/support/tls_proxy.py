"""TLS in front of a server that speaks none, for tests: it ends here and goes on in plain.

The embedded Valkey and PostgreSQL are built without TLS. What is tested is our side of the
connection, and that side cannot tell this from a server with TLS of its own.
"""

import asyncio
import contextlib
import ssl
import threading

from tests.support.certificates import Authority, Pair

_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
"""With it libpq asks for TLS; a server that speaks it answers ``S``."""


class TlsProxy:
    """Listens on :attr:`port` of 127.0.0.1 and passes on to a Unix socket, until :meth:`stop`.

    With ``clients`` only certificates of that authority may come in. ``is_postgres`` makes it wait
    for libpq's question before TLS begins.
    """

    def __init__(
        self,
        target: str,
        pair: Pair,
        clients: Authority | None = None,
        is_postgres: bool = False,
    ) -> None:
        self._target = target
        self._is_postgres = is_postgres
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(pair.certificate, pair.key)
        if clients is not None:
            self._context.load_verify_locations(clients.path)
            self._context.verify_mode = ssl.CERT_REQUIRED
        self.port = 0
        self.connections = 0
        """How many have come in with TLS."""
        self._listening = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._listening.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._end.wait()
        server.close()
        own = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not own]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that refuses us ends the handshake, which is what some tests are for.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            try:
                if self._is_postgres:
                    if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
                        return
                    writer.write(b"S")
                await writer.start_tls(self._context)
                self.connections += 1
                there_reader, there_writer = await asyncio.open_unix_connection(self._target)
                try:
                    await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
                finally:
                    there_writer.close()
            finally:
                writer.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while part := await source.read(65536):
        target.write(part)
        await target.drain()
    target.close()
