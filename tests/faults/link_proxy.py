"""A TCP link between a worker and a server that loses one direction, or dies without a word."""

import asyncio
import threading
from contextlib import suppress
from typing import Literal

Direction = Literal["requests", "replies"]
CHUNK = 65536


class _Pair:
    """One connection of the worker, and the one to the server that belongs to it."""

    def __init__(self) -> None:
        self.is_forgotten = False


class LinkProxy:
    """Listens on ``port`` of this machine and forwards to a Unix socket.

    :meth:`hold` keeps what one direction carries, on connections old and new, until :meth:`heal`
    delivers it late, as TCP does after a partition. :meth:`forget` makes every connection of now
    half-open: the server has lost it, the worker hears nothing more and is not told either.
    """

    def __init__(self, target: str) -> None:
        self.port = 0
        self.held = 0
        """How many pieces were kept back."""
        self.connections = 0
        """How many were made so far."""
        self._target = target
        self._pairs: set[_Pair] = set()
        self._upstreams: dict[_Pair, asyncio.StreamWriter] = {}
        self._open: dict[Direction, asyncio.Event] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()

    def __enter__(self) -> "LinkProxy":
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def hold(self, direction: Direction) -> None:
        self._loop.call_soon_threadsafe(self._open[direction].clear)

    def heal(self) -> None:
        for event in self._open.values():
            self._loop.call_soon_threadsafe(event.set)

    def forget(self) -> None:
        self._loop.call_soon_threadsafe(self._forget)

    def _forget(self) -> None:
        for pair in self._pairs:
            pair.is_forgotten = True
            self._upstreams[pair].transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._open = {"requests": asyncio.Event(), "replies": asyncio.Event()}
        for event in self._open.values():
            event.set()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, downstream = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        self.connections += 1
        pair = _Pair()
        self._pairs.add(pair)
        self._upstreams[pair] = downstream
        there = asyncio.ensure_future(self._forward(pair, "requests", reader, downstream))
        back = asyncio.ensure_future(self._forward(pair, "replies", upstream, writer))
        try:
            await asyncio.wait([there, back], return_when=asyncio.FIRST_COMPLETED)
            if pair.is_forgotten:
                await there  # Until the worker itself gives the connection up.
            elif there.done():
                downstream.close()  # What was sent before still arrives.
                await back
        finally:
            for task in (there, back):
                task.cancel()
            self._pairs.discard(pair)
            del self._upstreams[pair]
            writer.close()
            downstream.close()

    async def _forward(
        self,
        pair: _Pair,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                if not self._open[direction].is_set():
                    self.held += 1
                await self._open[direction].wait()
                if not pair.is_forgotten:
                    writer.write(data)
                    await writer.drain()
