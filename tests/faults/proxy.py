"""A proxy between a worker and Redis that loses replies."""

import asyncio
import threading
from pathlib import Path


class Proxy:
    """Forwards a Unix socket. After :meth:`lose` the next call that contains ``word`` still reaches
    the server, but its reply is lost together with the connection. ``lost`` counts them."""

    def __init__(self, folder: Path, target: str, word: bytes) -> None:
        self.path = folder / "proxy.sock"
        self.url = f"unix://{self.path}"
        self.lost = 0
        self._losses = 0
        self._target = target.removeprefix("unix://")
        self._word = word
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()

    def __enter__(self) -> "Proxy":
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def lose(self) -> None:
        """Lose the reply to the next matching call."""
        self._losses += 1

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_unix_server(self._serve, str(self.path))
        )
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream, downstream = await asyncio.open_unix_connection(self._target)
        except OSError:
            writer.close()
            return
        losing = asyncio.Event()

        async def forward() -> None:
            while data := await reader.read(65536):
                if self._losses and self._word in data:
                    self._losses -= 1
                    losing.set()
                downstream.write(data)
                await downstream.drain()

        async def back() -> None:
            while data := await upstream.read(65536):
                if losing.is_set():
                    self.lost += 1
                    return
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.ensure_future(forward()), asyncio.ensure_future(back())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
        downstream.close()
