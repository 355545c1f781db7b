"""Networks of IP addresses, as settings name them."""

from ipaddress import IPv4Network, IPv6Network, ip_network

from runtime.process.errors import SettingsError

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_networks(variable: str, text: str) -> Networks:
    """Networks in CIDR form with spaces between. Raises :class:`SettingsError`."""
    try:
        return tuple(ip_network(part) for part in text.split())
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from error
