"""API keys: who is calling, answered from memory.

A key is ``xk_`` and 256 random bits; only its SHA-256 is stored. Verified ``Authorization``
headers are remembered, so a request costs one dictionary look-up; the memory is dropped as soon
as any key is revoked.
"""

import hmac
import secrets
import time
from base64 import urlsafe_b64encode

from protocol.registry import ApiKey, Broker, Directory, hash_key

API_KEY_PREFIX = "xk_"
VIEWER_KEY_PREFIX = "vk_"
_REMEMBERED_MAX = 10_000
_HEADER_LENGTH_MAX = 100
_BEARER = b"bearer "


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_api_key() -> str:
    return API_KEY_PREFIX + secrets.token_urlsafe(32)


def bearer_token(header: bytes | None) -> str | None:
    """The token of an ``Authorization: Bearer`` header, or ``None``."""
    if header is None or header[: len(_BEARER)].lower() != _BEARER:
        return None
    return header[len(_BEARER) :].strip().decode("latin-1")


class Keyring:
    """Looks brokers up in a directory that somebody else keeps current."""

    def __init__(self, directory: Directory, admin_key: str) -> None:
        self._directory = directory
        self._admin_key = admin_key
        self._remembered: dict[bytes, ApiKey] = {}
        self._revocations = directory.revocations

    def key(self, header: bytes | None) -> ApiKey | None:
        """The key of a broker that the ``Authorization`` header carries, or ``None``. Unless it is
        unrestricted, it must be asked whether it may be used now, from there and for that."""
        if self._revocations != self._directory.revocations:
            self._remembered.clear()
            self._revocations = self._directory.revocations
        if header is None:
            return None
        key = self._remembered.get(header)
        if key is not None:
            return key
        token = bearer_token(header)
        if token is None:
            return None
        key = self._directory.keys.get(hash_key(token))
        if key is not None:
            self._remember(header, key)
        return key

    def _remember(self, header: bytes, key: ApiKey) -> None:
        """Not a header that somebody has padded with spaces: thousands of them would be large."""
        if len(header) <= _HEADER_LENGTH_MAX:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[header] = key

    def broker(self, header: bytes | None) -> Broker | None:
        """Whose key the header carries, unless it has expired. This says nothing about what the key
        may be used for."""
        key = self.key(header)
        if key is None or (not key.is_unrestricted and key.has_expired(now_ms())):
            return None
        return key.broker

    def looks_like_key(self, header: bytes | None) -> bool:
        """Whether an unknown key is worth asking the registry about."""
        token = bearer_token(header)
        return token is not None and token.startswith(API_KEY_PREFIX)

    @property
    def viewer_key(self) -> str:
        """The key that sees what every broker sees of the market, and how the exchange is, and can
        do nothing. It follows from the admin key, so that all HTTP processes know it."""
        digest = hmac.digest(self._admin_key.encode(), b"viewer", "sha256")
        return VIEWER_KEY_PREFIX + urlsafe_b64encode(digest).decode().rstrip("=")

    def may_watch(self, header: bytes | None) -> bool:
        """Whether it is the key of a viewer or of the exchange."""
        token = bearer_token(header)
        if token is None or not token.startswith(VIEWER_KEY_PREFIX):
            return self.is_admin(header)
        if not self._admin_key:
            return False
        return hmac.compare_digest(token.encode(), self.viewer_key.encode())

    def is_admin(self, header: bytes | None) -> bool:
        token = bearer_token(header)
        if token is None or not self._admin_key:
            return False
        return hmac.compare_digest(token.encode(), self._admin_key.encode())
