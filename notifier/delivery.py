"""One call to one endpoint: sign it, limit it, and judge its answer."""

import asyncio
import ssl
import time
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
_PORTS = {"http": 80, "https": 443}
_SLOW_DOWN = frozenset({429, 502, 503, 504})

Verdict = Literal["delivered", "failed", "gone"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a call. ``gone`` means that the receiver wants no more calls (410)."""

    verdict: Verdict
    detail: str
    retry_after_seconds: float | None = None


class Deliverer:
    """Calls endpoints through one client. It follows no redirects and uses no proxies."""

    def __init__(self, allow_loopback: bool, calls_max: int) -> None:
        self._allow_loopback = allow_loopback
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=calls_max, max_keepalive_connections=50),
            follow_redirects=False,
            trust_env=False,
            verify=ssl.create_default_context(),
        )

    async def close(self) -> None:
        await self._client.aclose()

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
        request = self._client.build_request(
            "POST",
            target,
            content=payload,
            headers={"host": parts.netloc, **_signed(endpoint, message_id, payload)},
            extensions={"sni_hostname": host},
        )
        response = await self._client.send(request, stream=True)
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
