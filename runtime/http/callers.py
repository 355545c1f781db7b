"""Who calls: the address of a client, and whether a restricted key may be used from there."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple, Protocol

from fastapi import Request

from protocol.broker_keys import Scope
from protocol.registry import ApiKey
from runtime.http.endpoints import Headers, Peer, authorization_of
from runtime.http.problems import address_not_allowed, insufficient_scope, key_expired
from runtime.process.networks import Networks

Address = IPv4Address | IPv6Address

_FORWARDED = b"x-forwarded-for"


class Asking(Protocol):
    """What a request tells of its sender, whichever way it has come."""

    @property
    def authorization(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers: ...

    @property
    def peer(self) -> Peer: ...


class Caller(NamedTuple):
    """The sender of a request of ordinary FastAPI."""

    authorization: bytes | None
    headers: Headers
    peer: Peer


def caller_of(request: Request) -> Caller:
    headers: Headers = request.scope["headers"]
    return Caller(authorization_of(headers), headers, request.scope.get("client"))


def client_address(asking: Asking, trusted: Networks) -> Address | None:
    """The address of the client, ``None`` where nobody can tell.

    It is the other end of the connection. Where that is a trusted proxy, it is the last address in
    X-Forwarded-For that is none: what stands before it was written by the client, who may write
    what he likes.
    """
    found = _parsed(asking.peer[0]) if asking.peer else None
    if found is None or not _is_in(found, trusted):
        return found
    told = b",".join(value for name, value in asking.headers if name == _FORWARDED)
    for part in reversed(told.split(b",")):
        found = _parsed(part.strip().decode("latin-1"))
        if found is None or not _is_in(found, trusted):
            return found
    return found


def refuse_key(key: ApiKey, scope: Scope, asking: Asking, trusted: Networks, now_ms: int) -> None:
    """Raises a problem unless the key may be used now, from there and for this."""
    if key.has_expired(now_ms):
        raise key_expired()
    if key.networks:
        address = client_address(asking, trusted)
        if address is None or not _is_in(address, key.networks):
            raise address_not_allowed(None if address is None else str(address))
    if scope not in key.scopes:
        raise insufficient_scope(scope.value)


def _is_in(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)  # False between IPv4 and IPv6.


def _parsed(text: str) -> Address | None:
    """An IPv4 address that IPv6 wraps, as a socket for both tells it, is the IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
