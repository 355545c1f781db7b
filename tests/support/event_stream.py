"""A reader of Server-Sent Events, over a connection of its own."""

import http.client
import json
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.support.running import bearer

EVENT_STREAM = "text/event-stream"


class EventStream:
    """``GET /events`` as a stream. Lines are read as they come; ``timeout`` bounds the wait for
    one."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        query: str = "",
        last_event_id: int | None = None,
        timeout: float = 20.0,
    ) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
        headers = bearer(api_key) | {"accept": EVENT_STREAM}
        if last_event_id is not None:
            headers["last-event-id"] = str(last_event_id)
        try:
            self._connection.request("GET", f"/events{query}", headers=headers)
            self.answer = self._connection.getresponse()
        except OSError:
            self._connection.close()
            raise

    def __enter__(self) -> "EventStream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.answer.close()
        self._connection.close()

    def lines(self) -> Iterator[str]:
        """All lines until the answer ends."""
        while line := self.answer.readline():
            yield line.decode().rstrip("\n")

    def events(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The id and the data of each event, until the answer ends."""
        sequence = 0
        for line in self.lines():
            name, _, value = line.partition(": ")
            if name == "id":
                sequence = int(value)
            elif name == "data":
                yield sequence, json.loads(value)
