"""The news that an endpoint was disabled, for the other endpoints of its broker. Pure.

It is made of the registry alone, so it has the same bytes whoever makes it and however often.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from protocol.endpoints import WebhookEndpoint
from protocol.registry import Directory
from protocol.units import format_time
from protocol.webhooks import NOTICE_TYPE, DisabledReason, OutgoingMessage, QueuedMessage


class Notice(NamedTuple):
    """``message`` is for the endpoint ``endpoint_id``. It tells of an entry of the registry."""

    endpoint_id: str
    registry_sequence: int
    message: OutgoingMessage


def notices(directory: Directory, is_mine: Callable[[str], bool]) -> Iterator[Notice]:
    """The notices for endpoints that are mine, in the order of the registry. An endpoint is told
    what happened after it was added; what its broker has disabled himself is no news."""
    disabled = sorted(directory.disabled_endpoints.values(), key=lambda e: e.disabled_sequence)
    for gone in disabled:
        if gone.disabled_reason == DisabledReason.BROKER:
            continue
        for other in directory.endpoints_by_broker[gone.broker_id]:
            is_told = other.is_enabled and other.sequence < gone.disabled_sequence
            if is_told and is_mine(other.endpoint_id):
                yield Notice(other.endpoint_id, gone.disabled_sequence, _message(gone))


def _message(gone: WebhookEndpoint) -> OutgoingMessage:
    content = {
        "type": NOTICE_TYPE,
        "timestamp": format_time(gone.disabled_ms),
        "data": {
            "endpoint_id": gone.endpoint_id,
            "url": gone.url,
            "state_reason": gone.disabled_reason,
        },
    }
    return OutgoingMessage(
        f"{gone.endpoint_id}-disabled-{gone.disabled_sequence}",
        QueuedMessage(NOTICE_TYPE, 0, gone.disabled_ms, msgspec.json.encode(content)),
    )
