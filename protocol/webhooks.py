"""Webhooks: their bounds and words, and a message as its queue keeps it.

An endpoint chooses which of :class:`~protocol.enums.ReportType` it is told.
"""

from enum import Enum
from typing import NamedTuple

import msgspec

from protocol.enums import ReportType

ENDPOINTS_MAX = 5
"""Endpoints of one broker."""
ROTATION_SECONDS = 24 * 3600
"""How long a secret stays valid after another one took its place."""
DELIVERED_SECONDS = 24 * 3600
DELIVERED_MAX = 500
"""What was delivered is kept for so long, and at most so many messages of an endpoint."""
FAILED_MAX = 10_000
"""Messages of an endpoint that were given up and are kept."""


DEFAULT_TYPES = (ReportType.EXECUTED.value,)
"""What an endpoint is told that has chosen nothing."""

TEST_TYPE = "webhook.test"
NOTICE_TYPE = "endpoint.disabled"
"""Two types that nobody chooses: a test call, and the news that another endpoint was disabled."""


class DisabledReason(str, Enum):
    """Why nothing is sent to an endpoint any more."""

    GONE = "gone"
    """It has answered 410."""
    FAILED = "failed"
    """All attempts of a message were used up, and nothing was delivered meanwhile."""
    BROKER = "broker"
    """The broker wanted it so."""


class DeliveryStatus(str, Enum):
    """Where a message is: it waits, it was taken, or it was given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class QueuedMessage(msgspec.Struct, frozen=True, array_like=True):
    """A message as the queue keeps it. ``payload`` are the bytes that are signed and sent,
    ``sequence`` is that of the execution report (0 where there is none), ``queued_ms`` is when it
    was queued, and ``result`` what the last attempt has brought."""

    type: str
    sequence: int
    queued_ms: int
    payload: bytes
    attempts: int = 0
    result: str = ""

    def encode(self) -> bytes:
        return _encode(self)

    @classmethod
    def decode(cls, stored: bytes) -> "QueuedMessage":
        """Also one that an earlier version has queued, which begins with a digit."""
        if stored[:1].isdigit():
            sequence, attempts, body = stored.split(b" ", 2)
            payload = b'%s,"sequence":%s}' % (body[:-1], sequence)
            return cls(ReportType.EXECUTED.value, int(sequence), 0, payload, int(attempts))
        return _decoder.decode(stored)

    def tried(self, result: str) -> "QueuedMessage":
        """The message after one more attempt."""
        return msgspec.structs.replace(self, attempts=self.attempts + 1, result=result)

    def afresh(self) -> "QueuedMessage":
        """The message as if nothing had been tried, to be sent again."""
        return msgspec.structs.replace(self, attempts=0)


class OutgoingMessage(NamedTuple):
    """A message on its way into a queue. ``message_id`` is the ``webhook-id``: it stays the same
    when the call is repeated."""

    message_id: str
    queued: QueuedMessage


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(QueuedMessage)
