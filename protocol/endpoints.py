"""Webhook endpoints: what the registry says of them, and how they stand after it. Pure."""

from dataclasses import dataclass, replace

import msgspec

from protocol.webhooks import DEFAULT_TYPES, DisabledReason


class EndpointAdded(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """``secret`` is the ``whsec_…`` text the receiver verifies with. Of a broker that has
    ``ENDPOINTS_MAX`` endpoints it adds nothing."""

    endpoint_id: str
    broker_id: str
    url: str
    secret: str
    types: tuple[str, ...] = DEFAULT_TYPES
    created_ms: int = 0


class EndpointDisabled(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Nothing is sent there any more. ``reason`` is a word of
    :class:`~protocol.webhooks.DisabledReason`; an earlier version knew only 410."""

    endpoint_id: str
    reason: str = DisabledReason.GONE.value
    disabled_ms: int = 0


class EndpointChanged(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """What is ``None`` stays as it was."""

    endpoint_id: str
    url: str | None = None
    types: tuple[str, ...] | None = None


class EndpointEnabled(msgspec.Struct, frozen=True, array_like=True, tag=10):
    endpoint_id: str


class SecretRotated(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The secret before stays valid until ``previous_until_ms``, and any older one ends."""

    endpoint_id: str
    secret: str
    previous_until_ms: int


class EndpointRemoved(msgspec.Struct, frozen=True, array_like=True, tag=12):
    endpoint_id: str


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """``sequence`` is the entry of the registry that added it. ``disabled_reason`` is empty while
    it is enabled; ``disabled_sequence`` is the entry that disabled it."""

    endpoint_id: str
    broker_id: str
    url: str
    secret: str
    types: tuple[str, ...] = DEFAULT_TYPES
    created_ms: int = 0
    sequence: int = 0
    previous_secret: str = ""
    previous_until_ms: int = 0
    disabled_reason: str = ""
    disabled_ms: int = 0
    disabled_sequence: int = 0

    @property
    def is_enabled(self) -> bool:
        return not self.disabled_reason


EndpointChange = EndpointDisabled | EndpointChanged | EndpointEnabled | SecretRotated


def added(event: EndpointAdded, sequence: int) -> WebhookEndpoint:
    """The endpoint that the entry ``sequence`` of the registry adds."""
    return WebhookEndpoint(
        event.endpoint_id,
        event.broker_id,
        event.url,
        event.secret,
        event.types,
        event.created_ms,
        sequence,
    )


def changed(endpoint: WebhookEndpoint, event: EndpointChange, sequence: int) -> WebhookEndpoint:
    """The endpoint after the entry ``sequence`` of the registry."""
    match event:
        case EndpointChanged():
            url = endpoint.url if event.url is None else event.url
            types = endpoint.types if event.types is None else event.types
            return replace(endpoint, url=url, types=types)
        case SecretRotated():
            return replace(
                endpoint,
                secret=event.secret,
                previous_secret=endpoint.secret,
                previous_until_ms=event.previous_until_ms,
            )
        case EndpointEnabled():
            return replace(endpoint, disabled_reason="", disabled_ms=0, disabled_sequence=0)
        case EndpointDisabled() if not endpoint.is_enabled:
            return endpoint  # The first reason is the one.
        case EndpointDisabled():
            return replace(
                endpoint,
                disabled_reason=event.reason,
                disabled_ms=event.disabled_ms,
                disabled_sequence=sequence,
            )
