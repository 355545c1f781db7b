"""How long the server itself took for each kind of request, where its ``/metrics`` tell."""

import re

import httpx

ENDPOINTS = {
    "/orders": "order",
    "/orders/{order_id}/cancel": "cancel",
    "/orders/{order_id}": "status",
    "/stocks/{symbol}/price": "price",
    "/stocks/{symbol}/book": "book",
    "/balance": "balance",
}
HTTP_OK = 200
_SAMPLE = re.compile(
    r'^exchange_http_request_seconds_(sum|count)\{endpoint="([^"]*)"\} (\S+)$', re.MULTILINE
)
_STARTED = re.compile(r"^process_start_time_seconds (\S+)$", re.MULTILINE)


class HandlerTimes:
    """The mean time from the last byte of a request to its answer, by kind.

    :meth:`begin` and :meth:`means` each ask one HTTP process. When there are several they may be
    two, and then nothing is told.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._before = ""

    def begin(self) -> None:
        """Count from now on."""
        self._before = self._metrics()

    def means(self) -> dict[str, float]:
        """Kind → milliseconds; empty where the server does not tell."""
        after = self._metrics()
        if not self._before or _STARTED.findall(self._before) != _STARTED.findall(after):
            return {}
        early, late = _samples(self._before), _samples(after)
        means = {}
        for endpoint, kind in ENDPOINTS.items():
            count, seconds = (
                late.get((name, endpoint), 0.0) - early.get((name, endpoint), 0.0)
                for name in ("count", "sum")
            )
            if count > 0:
                means[kind] = round(seconds / count * 1000, 3)
        return means

    def _metrics(self) -> str:
        try:
            answer = self._client.get("/metrics")
        except httpx.TransportError:  # A server that is too busy for it is judged by the rest.
            return ""
        return answer.text if answer.status_code == HTTP_OK else ""


def _samples(text: str) -> dict[tuple[str, str], float]:
    return {(name, endpoint): float(value) for name, endpoint, value in _SAMPLE.findall(text)}
