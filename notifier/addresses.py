"""Which addresses a webhook may call (protection against SSRF).

A broker chooses the URL, so a call must not reach what only the exchange can reach. The name is
resolved once for each attempt, and every address of it must be public. The call then goes to an
address that was checked, because a second look-up could give another answer.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

LOOKUPS_MAX = 100
_resolvers = ThreadPoolExecutor(LOOKUPS_MAX, thread_name_prefix="resolver")
"""Threads for look-ups, because the C library waits for seconds where the servers of a name are
silent. asyncio's own threads are few, so some names that never answer would stop all look-ups."""

_NAT64 = IPv6Network("64:ff9b::/96")
_UNICAST = IPv6Network("2000::/3")
"""All that is global among the addresses of IPv6. NAT64 and what wraps IPv4 lie elsewhere in part,
and so do deprecated ranges that :mod:`ipaddress` calls global, such as ``fec0::/10``."""


class AddressRefused(Exception):
    """The name has no address, or one that webhooks may not call."""


def embedded_address(address: Address) -> Address:
    """The IPv4 address that an IPv6 address wraps; any other address as it is."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_allowed(address: Address, allow_loopback: bool) -> bool:
    inner = embedded_address(address)
    if allow_loopback and inner.is_loopback:
        return True
    if isinstance(inner, IPv6Address) and inner not in _UNICAST:
        return False
    # All are named, because `is_global` of Python 3.11 lets some of them pass.
    return inner.is_global and not (
        inner.is_multicast
        or inner.is_private
        or inner.is_reserved
        or inner.is_loopback
        or inner.is_link_local
        or inner.is_unspecified
    )


async def resolve(host: str, port: int, allow_loopback: bool) -> str:
    """An address of ``host`` to connect to. Raises :class:`AddressRefused`."""
    addresses = _literal(host) or await _looked_up(host, port)
    for address in addresses:
        if not is_allowed(address, allow_loopback):
            raise AddressRefused(f"{host} resolves to {address}, which is not public")
    if not addresses:
        raise AddressRefused(f"{host} has no address")
    return str(addresses[0])


def _literal(host: str) -> list[Address]:
    """The address that ``host`` itself is; to look it up would take a thread."""
    try:
        return [ip_address(host)]
    except ValueError:
        return []


async def _looked_up(host: str, port: int) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(
            _resolvers, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
    except OSError as error:
        raise AddressRefused(f"{host} does not resolve: {error}") from error
    return [ip_address(entry[4][0]) for entry in found]
