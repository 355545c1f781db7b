"""One call to one endpoint: sign it, limit it, and judge its answer."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from notifier.addresses import AddressRefused, resolve
from protocol.endpoints import WebhookEndpoint
from protocol.webhooks import QueuedMessage

TOTAL_SECONDS = 15.0
CONNECT_SECONDS = 3.0
ANSWER_BYTES_MAX = 4096
LINES_MAX = 200
IDLE_CONNECTIONS_MAX = 2
"""Of one endpoint."""
IDLE_SECONDS = 4.0
"""Less than the time after which receivers close connections that lie idle, which is often 5 s."""
_TIMEOUT = httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS)
_PORTS = {"http": 80, "https": 443}
_SLOW_DOWN = frozenset({429, 502, 503, 504})

Verdict = Literal["delivered", "failed", "gone"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a call. ``gone`` means that the receiver wants no more calls (410)."""

    verdict: Verdict
    detail: str
    retry_after_seconds: float | None = None


class Line:
    """The connections to one endpoint, and how many calls use them now."""

    __slots__ = ("transport", "users")

    def __init__(self, tls: ssl.SSLContext) -> None:
        limits = httpx.Limits(
            max_keepalive_connections=IDLE_CONNECTIONS_MAX, keepalive_expiry=IDLE_SECONDS
        )
        self.transport = httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False)
        self.users = 0


class Lines:
    """One line for each endpoint, because to look for a free connection among those of all
    endpoints costs more than the call. The lines used last are kept."""

    def __init__(self) -> None:
        self._tls = ssl.create_default_context()
        self._lines: dict[str, Line] = {}

    @asynccontextmanager
    async def to(self, endpoint_id: str) -> AsyncIterator[httpx.AsyncHTTPTransport]:
        line = self._lines.pop(endpoint_id, None) or Line(self._tls)
        self._lines[endpoint_id] = line  # The last one in the order of the dictionary.
        line.users += 1
        try:
            yield line.transport
        finally:
            line.users -= 1
            await self._close_oldest()

    async def close(self) -> None:
        for line in self._lines.values():
            await line.transport.aclose()

    async def _close_oldest(self) -> None:
        surplus = len(self._lines) - LINES_MAX
        if surplus > 0:
            unused = [name for name, line in self._lines.items() if not line.users][:surplus]
            for line in [self._lines.pop(name) for name in unused]:
                await line.transport.aclose()


class Deliverer:
    """Calls endpoints. It follows no redirects, uses no proxies and keeps no cookies."""

    def __init__(self, allow_loopback: bool) -> None:
        self._allow_loopback = allow_loopback
        self._lines = Lines()

    async def close(self) -> None:
        await self._lines.close()

    async def deliver(
        self, endpoint: WebhookEndpoint, message_id: str, queued: QueuedMessage
    ) -> Outcome:
        """Make one attempt. Nothing that the receiver does raises an exception."""
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                return await self._call(endpoint, message_id, queued.payload)
        except AddressRefused as error:
            return Outcome("failed", str(error))
        except TimeoutError:
            return Outcome("failed", f"no answer within {TOTAL_SECONDS:.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            return Outcome("failed", f"{type(error).__name__}: {error}")

    async def _call(self, endpoint: WebhookEndpoint, message_id: str, payload: bytes) -> Outcome:
        parts = urlsplit(endpoint.url)
        host = parts.hostname or ""
        port = parts.port or _PORTS[parts.scheme]
        address = await resolve(host, port, self._allow_loopback)
        literal = f"[{address}]" if ":" in address else address
        target = parts._replace(netloc=f"{literal}:{port}", fragment="").geturl()
        request = httpx.Request(
            "POST",
            target,
            content=payload,
            headers={"host": parts.netloc, **_signed(endpoint, message_id, payload)},
            extensions={"sni_hostname": host, "timeout": _TIMEOUT.as_dict()},
        )
        async with self._lines.to(endpoint.endpoint_id) as transport:
            response = await transport.handle_async_request(request)
            try:
                await _read_a_little(response)
            finally:
                await response.aclose()
        return judge(response.status_code, response.headers.get("retry-after"), datetime.now(UTC))


def _signed(endpoint: WebhookEndpoint, message_id: str, payload: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks 1.0. While the secret rotates there are two signatures."""
    now = time.time()
    moment, text = datetime.fromtimestamp(now, UTC), payload.decode()
    secrets = [endpoint.secret]
    if now * 1000 < endpoint.previous_until_ms:
        secrets.append(endpoint.previous_secret)
    signatures = [Webhook(secret).sign(message_id, moment, text) for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": "mini-exchange-webhooks/1",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": " ".join(signatures),
    }


async def _read_a_little(response: httpx.Response) -> None:
    """Read the answer up to a limit, so that a short one is read to its end."""
    size = 0
    async for chunk in response.aiter_raw(ANSWER_BYTES_MAX):
        size += len(chunk)
        if size >= ANSWER_BYTES_MAX:
            break


def judge(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """What a status means: 2xx is a success, 410 ends all calls, everything else is a failure."""
    if 200 <= status < 300:
        return Outcome("delivered", f"HTTP {status}")
    if status == 410:
        return Outcome("gone", "HTTP 410")
    wait = _retry_after_seconds(retry_after, now) if status in _SLOW_DOWN else None
    return Outcome("failed", f"HTTP {status}", wait)


def _retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """The seconds of Retry-After in either form (RFC 9110, 10.2.3); ``None`` if unreadable."""
    if value is None:
        return None
    if value.strip().isdigit() and len(value.strip()) <= 9:
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
