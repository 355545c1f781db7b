"""As much of WebSockets (RFC 6455) as a subscriber needs: one request, and reading text frames."""

import base64
import os
import struct

PONG_EMPTY = b"\x8a\x80" + bytes(4)  # Masked with zeros, as whatever a client sends is masked.
_TEXT = 1
_LENGTH_16, _LENGTH_64 = 126, 127


def upgrade_request(authority: str, path: str, api_key: str) -> bytes:
    """The bytes of the request that asks for the upgrade."""
    nonce = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {authority}",
        f"Authorization: Bearer {api_key}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Key: {nonce}",
        "Sec-WebSocket-Version: 13",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def masked_text(payload: bytes) -> bytes:
    """A message of text, at most 65,535 bytes, masked with zeros."""
    length = len(payload)
    if length < _LENGTH_16:
        return struct.pack("!BB", 0x81, 0x80 | length) + bytes(4) + payload
    return struct.pack("!BBH", 0x81, 0x80 | _LENGTH_16, length) + bytes(4) + payload


def take_texts(buffer: bytearray) -> list[bytes]:
    """The payloads of the whole text frames at the beginning of ``buffer``, which are taken out of
    it. Other frames are dropped."""
    texts, at = [], 0
    while len(buffer) >= at + 2:
        length, head = buffer[at + 1] & 0x7F, 2
        if length == _LENGTH_16:
            head = 4
        elif length == _LENGTH_64:
            head = 10
        if len(buffer) < at + head:
            break
        if head > 2:
            length = int.from_bytes(buffer[at + 2 : at + head])
        end = at + head + length
        if len(buffer) < end:
            break
        if buffer[at] & 0x0F == _TEXT:
            texts.append(bytes(buffer[at + head : end]))
        at = end
    del buffer[:at]
    return texts
