"""The registry: brokers, their keys and webhook endpoints, and the listed instruments.

It is a log too (``{exchange}:registry``), small and never trimmed; every process builds its own
:class:`Directory` from it and PostgreSQL gets a copy. API keys are in it only as SHA-256: a key
has 256 random bits, so a fast hash is enough and a slow one would only cost.
"""

import hashlib
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

import msgspec

from protocol.audit import AdminAnswered, AdminCalled
from protocol.broker_keys import ALL_SCOPES, KeyAdded, KeyRevoked, Scope
from protocol.endpoints import (
    EndpointAdded,
    EndpointChange,
    EndpointChanged,
    EndpointDisabled,
    EndpointEnabled,
    EndpointRemoved,
    SecretRotated,
    WebhookEndpoint,
    added,
    changed,
)
from protocol.webhooks import ENDPOINTS_MAX


class BrokerRegistered(msgspec.Struct, frozen=True, array_like=True, tag=1):
    broker_id: str
    name: str
    created_ms: int


class KeyIssued(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """A new key of the broker; the keys it had before stay valid unless revoked."""

    broker_id: str
    key_hash: str


class KeysRevoked(msgspec.Struct, frozen=True, array_like=True, tag=3):
    broker_id: str


class InstrumentListed(msgspec.Struct, frozen=True, array_like=True, tag=5):
    symbol: str
    number: int
    partition: int


class BrokerLimitsSet(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """What a broker may do from now on, and nothing of what was set before. 0 is no limit.

    ``is_enabled`` false is the kill switch. The last three count messages to one HTTP process. The
    others are told to the engine too (:class:`~protocol.commands.SetBroker`).
    """

    broker_id: str
    is_enabled: bool = True
    open_orders_max: int = 0
    order_quantity_max: int = 0
    order_notional_max: int = 0
    price_collar_basis_points: int = 0
    orders_per_second: int = 0
    cancels_per_second: int = 0
    reads_per_second: int = 0


class InstrumentNamed(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """The name of a listed symbol, for people."""

    symbol: str
    name: str


RegistryEvent = (
    BrokerRegistered
    | KeyIssued
    | KeysRevoked
    | EndpointAdded
    | EndpointDisabled
    | EndpointChanged
    | EndpointEnabled
    | SecretRotated
    | EndpointRemoved
    | InstrumentListed
    | BrokerLimitsSet
    | InstrumentNamed
    | KeyAdded
    | KeyRevoked
    | AdminCalled
    | AdminAnswered
)


class RegistryEntry(msgspec.Struct, frozen=True, array_like=True):
    """What one registration wrote, all or nothing."""

    events: list[RegistryEvent]


@dataclass(frozen=True, slots=True)
class Broker:
    broker_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that is not revoked. ``is_unrestricted`` is true of one that may do everything, from
    everywhere and for ever. ``networks`` is empty where the key may be used from everywhere."""

    broker: Broker
    key_hash: str
    name: str = ""
    scopes: frozenset[Scope] = ALL_SCOPES
    created_ms: int = 0
    expires_ms: int = 0
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    is_unrestricted: bool = True

    @property
    def key_id(self) -> str:
        """Names the key and helps nobody to guess it: 64 of the 256 bits of its hash."""
        return self.key_hash[:16]

    def has_expired(self, now_ms: int) -> bool:
        return 0 < self.expires_ms <= now_ms


@dataclass(frozen=True, slots=True)
class Instrument:
    """A listed symbol. Redis keeps it as the text ``SYMBOL:number:partition``."""

    symbol: str
    number: int
    partition: int

    @classmethod
    def parse(cls, text: bytes) -> "Instrument":
        symbol, number, partition = text.decode().split(":")
        return cls(symbol, int(number), int(partition))

    def __str__(self) -> str:
        return f"{self.symbol}:{self.number}:{self.partition}"


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """``rules`` were set by the entry ``sequence`` of the registry, when as many symbols as
    ``instruments`` were listed. Symbols with a higher number were listed afterwards."""

    rules: BrokerLimitsSet
    sequence: int
    instruments: int


def hash_key(api_key: str) -> str:
    return hashlib.sha256(api_key.encode()).hexdigest()


@dataclass(slots=True)
class Directory:
    """The registry as of ``sequence``, ready for look-ups.

    ``revocations`` grows with every revoked key, so that whoever caches an authentication can
    see that it is stale.
    """

    sequence: int = 0
    revocations: int = 0
    brokers: dict[str, Broker] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    """By hash, also those that have expired, oldest first."""
    instruments: dict[str, Instrument] = field(default_factory=dict)
    instruments_by_number: dict[int, Instrument] = field(default_factory=dict)
    limits: dict[str, BrokerLimits] = field(default_factory=dict)
    """By broker id, for those that the operator has ever limited."""
    names: dict[str, str] = field(default_factory=dict)
    """Symbol → name, where it was given one."""
    endpoints: dict[str, WebhookEndpoint] = field(default_factory=dict)
    """By id, those that are enabled."""
    disabled_endpoints: dict[str, WebhookEndpoint] = field(default_factory=dict)
    removed_endpoints: dict[str, str] = field(default_factory=dict)
    """Endpoint id → id of the broker that had it."""
    endpoints_by_broker: dict[str, list[WebhookEndpoint]] = field(default_factory=dict)
    """All that are not removed, also those that are disabled, oldest first."""

    def apply(self, sequence: int, entry: RegistryEntry) -> None:
        self.sequence = sequence
        for event in entry.events:
            self._apply(event)

    def become(self, other: "Directory") -> None:
        """Take everything over from another directory; every cached authentication is stale."""
        revocations = self.revocations + 1
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))
        self.revocations = revocations

    def _apply(self, event: RegistryEvent) -> None:
        match event:
            case BrokerRegistered():
                self.brokers[event.broker_id] = Broker(event.broker_id, event.name)
            case KeyIssued():
                self.keys[event.key_hash] = ApiKey(self.brokers[event.broker_id], event.key_hash)
            case KeyAdded():
                self.keys[event.key_hash] = _added_key(self.brokers[event.broker_id], event)
            case KeyRevoked():
                self.keys.pop(event.key_hash, None)
                self.revocations += 1
            case AdminCalled() | AdminAnswered():
                pass  # They are read from the registry itself.
            case KeysRevoked():
                self._revoke(event.broker_id)
            case BrokerLimitsSet():
                self.limits[event.broker_id] = BrokerLimits(
                    event, self.sequence, len(self.instruments)
                )
            case EndpointAdded():
                self._add_endpoint(event)
            case InstrumentListed():
                instrument = Instrument(event.symbol, event.number, event.partition)
                self.instruments[event.symbol] = instrument
                self.instruments_by_number[event.number] = instrument
            case InstrumentNamed():
                self.names[event.symbol] = event.name
            case EndpointRemoved():
                self._remove_endpoint(event.endpoint_id)
            case _:
                self._change_endpoint(event)

    def endpoint(self, endpoint_id: str) -> WebhookEndpoint | None:
        """An endpoint that is not removed, enabled or not."""
        return self.endpoints.get(endpoint_id) or self.disabled_endpoints.get(endpoint_id)

    def _add_endpoint(self, event: EndpointAdded) -> None:
        own = self.endpoints_by_broker.setdefault(event.broker_id, [])
        # Two processes may each have seen room for one more.
        if len(own) < ENDPOINTS_MAX:
            endpoint = added(event, self.sequence)
            own.append(endpoint)
            self.endpoints[event.endpoint_id] = endpoint

    def _change_endpoint(self, event: EndpointChange) -> None:
        """Nothing, where the endpoint was removed a moment before."""
        before = self.endpoint(event.endpoint_id)
        if before is None:
            return
        after = changed(before, event, self.sequence)
        own = self.endpoints_by_broker[before.broker_id]
        own[own.index(before)] = after
        self.endpoints.pop(before.endpoint_id, None)
        self.disabled_endpoints.pop(before.endpoint_id, None)
        home = self.endpoints if after.is_enabled else self.disabled_endpoints
        home[after.endpoint_id] = after

    def _remove_endpoint(self, endpoint_id: str) -> None:
        gone = self.endpoint(endpoint_id)
        if gone is not None:
            self.endpoints.pop(endpoint_id, None)
            self.disabled_endpoints.pop(endpoint_id, None)
            self.endpoints_by_broker[gone.broker_id].remove(gone)
            self.removed_endpoints[endpoint_id] = gone.broker_id

    def keys_of(self, broker_id: str) -> list[ApiKey]:
        """All keys of a broker that are not revoked, oldest first."""
        return [key for key in self.keys.values() if key.broker.broker_id == broker_id]

    def _revoke(self, broker_id: str) -> None:
        for key in self.keys_of(broker_id):
            del self.keys[key.key_hash]
        self.revocations += 1


def _added_key(broker: Broker, event: KeyAdded) -> ApiKey:
    return ApiKey(
        broker,
        event.key_hash,
        event.name,
        frozenset(event.scopes),
        event.created_ms,
        event.expires_ms,
        tuple(ip_network(text) for text in event.networks),
        is_unrestricted=False,
    )
