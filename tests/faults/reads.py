"""C10, what a client reads: nothing that was read goes back, whichever process answers."""

import random
from typing import Any

import httpx

VIOLATIONS_MAX = 5


class MonotonicReader:
    """Reads orders and books, each from one of ``urls`` at random, and remembers the highest
    version of each order and the highest sequence of each book. A read that begins later must not
    be answered with a lower one, and an order that was acknowledged must be found."""

    def __init__(self, urls: list[str]) -> None:
        self.violations: list[str] = []
        self.reads = 0
        self._urls = urls
        self._highest: dict[str, int] = {}

    async def read(
        self,
        client: httpx.AsyncClient,
        draw: random.Random,
        path: str,
        headers: dict[str, str],
    ) -> str:
        """Read an order that was acknowledged, or a book. Returns how it was answered."""
        floor = self._highest.get(path, 0)  # Of the reads that have ended before this one begins.
        kind = "read order" if path.startswith("/orders/") else "read book"
        try:
            answer = await client.get(draw.choice(self._urls) + path, headers=headers)
        except httpx.TransportError as error:
            return f"{kind} {type(error).__name__}"
        if answer.status_code == 200:
            self._note(path, floor, answer.json())
        elif answer.status_code not in (429, 503):
            self._complain(f"{path} is answered with {answer.status_code}")
        return f"{kind} {answer.status_code}"

    def _note(self, path: str, floor: int, content: dict[str, Any]) -> None:
        self.reads += 1
        number = int(content["version" if "version" in content else "sequence"])
        if number < floor:
            self._complain(f"{path} goes back from {floor} to {number}")
        self._highest[path] = max(self._highest.get(path, 0), number)

    def _complain(self, violation: str) -> None:
        if len(self.violations) < VIOLATIONS_MAX:
            self.violations.append(f"C10: {violation}")
