"""The exchange that is judged."""

from dataclasses import dataclass
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """Where an exchange answers and with which key brokers are registered.

    ``database_url`` is the URL of its PostgreSQL, where the trades are counted as well, or empty.
    """

    url: str
    admin_key: str
    database_url: str = ""

    @property
    def host(self) -> str:
        """The host of the URL, as a name or an address."""
        return urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        """The port of the URL, or the usual one of its scheme."""
        parts = urlsplit(self.url)
        return parts.port or PORTS.get(parts.scheme, 80)

    @property
    def authority(self) -> str:
        """Host and port as a request's ``Host`` header spells them."""
        return urlsplit(self.url).netloc.rpartition("@")[2]
