"""Verifying webhooks, after Standard Webhooks 1.0. No I/O."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

TOLERANCE_SECONDS = 300
PREFIX = "whsec_"
VERSION = "v1"


class InvalidWebhook(Exception):
    """The message must not be believed: its signature or its time is wrong."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A message that the exchange has signed.

    ``id`` stays the same when the message is sent again, so keep those that you have seen.
    ``type`` is, for example, ``trade.executed``. ``data`` is what the message tells: the execution
    report, where it is one. ``body`` is the whole JSON object around it.
    """

    id: str
    type: str
    timestamp: datetime
    data: dict[str, Any]
    body: dict[str, Any]


class _Body(msgspec.Struct):
    type: str
    timestamp: datetime
    data: dict[str, Any] = {}


def verify_webhook(
    secret: str | Iterable[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> Webhook:
    """The message of a webhook, once its signature is proved to be right.

    ``secret`` is the ``whsec_…`` of the endpoint, or several of them while they rotate. ``headers``
    and ``body`` are those of the request, the body as it came. ``now`` is the time in seconds since
    1970, and that of this machine where it is left out. Raises :class:`InvalidWebhook`.
    """
    named = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, sent_at, signatures = (
            named[f"webhook-{name}"] for name in ("id", "timestamp", "signature")
        )
    except KeyError as error:
        raise InvalidWebhook(f"the header {error.args[0]} is missing") from error
    _check_time(sent_at, tolerance_seconds, time.time() if now is None else now)
    secrets = [secret] if isinstance(secret, str) else [*secret]
    content = f"{message_id}.{sent_at}.".encode() + body
    expected = [_signature(one, content) for one in secrets]
    found = [sign.encode() for sign in signatures.split(" ")]
    if not any(hmac.compare_digest(wanted, sign) for wanted in expected for sign in found):
        raise InvalidWebhook("no signature is right; is this the secret of this endpoint?")
    return _message(message_id, body)


def _check_time(sent_at: str, tolerance_seconds: float, now: float) -> None:
    if not sent_at.isascii() or not sent_at.isdigit():
        raise InvalidWebhook("webhook-timestamp is not a time")
    away = abs(now - int(sent_at))
    if away > tolerance_seconds:
        raise InvalidWebhook(f"it was sent {away:.0f} s away from the time of this machine")


def _signature(secret: str, content: bytes) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a secret of a webhook is base64, after whsec_") from error
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"{VERSION},".encode() + base64.b64encode(digest)


def _message(message_id: str, body: bytes) -> Webhook:
    try:
        whole = msgspec.json.decode(body, type=dict[str, Any])
        known = msgspec.convert(whole, _Body)
    except msgspec.MsgspecError as error:
        raise InvalidWebhook(f"the body is no message of an exchange: {error}") from error
    return Webhook(message_id, known.type, known.timestamp, known.data, whole)
