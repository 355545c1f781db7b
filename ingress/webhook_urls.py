"""Which URLs a webhook may have, and the secrets of endpoints."""

import base64
import secrets
from urllib.parse import urlsplit

from ingress.refusals import invalid_webhook_url

WEBHOOK_SECRET_BYTES = 32


def check_webhook_url(url: str, is_development: bool, field: str = "webhook_url") -> None:
    """Raise ``invalid_webhook_url`` for what is wrong before any delivery: the scheme, the host,
    credentials. The address is checked at every attempt, because that of a name can change.
    ``field`` is the field of the body that has the URL."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_valid = urlsplit(""), False
    schemes = ("https", "http") if is_development else ("https",)
    usable = (
        parts.scheme in schemes
        and parts.hostname
        and port_is_valid
        and parts.username is None
        and url.isascii()
        and url.isprintable()
        and " " not in url
    )
    if not usable:
        raise invalid_webhook_url(schemes, field)


def new_webhook_secret() -> str:
    """What Standard Webhooks calls a secret: ``whsec_`` and the base64 of random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(WEBHOOK_SECRET_BYTES)).decode()
