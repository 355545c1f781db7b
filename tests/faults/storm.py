"""Clients that repeat every refusal at once: ``python -m tests.faults.storm PORT SECONDS KEY …``.

Each connection sends one order after another, and an order that was refused again and again,
without any pause. What was answered is printed as JSON, by status.
"""

import asyncio
import json
import sys
import time
from collections import Counter

from tests.support.running import order_body

CONNECTIONS = 200
SYMBOLS = 8


class Storm:
    def __init__(self, port: int, seconds: float, keys: list[str]) -> None:
        self.answers: Counter[str] = Counter()
        self._port = port
        self._until = time.monotonic() + seconds
        self._keys = keys

    async def rage(self) -> None:
        await asyncio.gather(*[self._client(number) for number in range(CONNECTIONS)])

    async def _client(self, number: int) -> None:
        order = 0
        while time.monotonic() < self._until:
            try:
                async with asyncio.timeout(15):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                while time.monotonic() < self._until:
                    writer.write(_request(number, order, self._keys[number % len(self._keys)]))
                    async with asyncio.timeout(15):
                        status = await _status(reader)
                    self.answers[status] += 1
                    if status in ("200", "201"):
                        order += 1
                writer.close()
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.answers[type(error).__name__] += 1
                await asyncio.sleep(0)


def _request(client: int, order: int, key: str) -> bytes:
    body = json.dumps(
        order_body(
            1_000 + order % 3,
            side="ask" if (client + order) % 2 else "bid",
            symbol=f"STORM{client % SYMBOLS}",
            quantity=10,
            client_order_id=f"{client}.{order}",
        )
    )
    return (
        f"POST /orders HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    ).encode()


async def _status(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
    return head.split(b" ", 2)[1].decode()


def main() -> None:
    port, seconds, *keys = sys.argv[1:]
    storm = Storm(int(port), float(seconds), keys)
    asyncio.run(storm.rage())
    print(json.dumps(storm.answers))


if __name__ == "__main__":
    main()
