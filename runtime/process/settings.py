"""Settings: one frozen object per process, read once.

Nothing else reads the environment, except the commands in ``exchange``, which ask what is set
before they run anything, and ``runtime.process.failpoints``, which tests set.

A field ``redis_url`` of :class:`Settings` comes from ``EXCHANGE_REDIS_URL``; a field ``linger_ms``
that a process adds comes from ``EXCHANGE_<PROCESS>_LINGER_MS``, and an unknown variable under that
prefix is refused, because a misspelled setting would be ignored without a word.
"""

import os
import socket
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec

from protocol.enums import ExecutionPrice, ListingPolicy
from protocol.partitions import PARTITIONS_DEFAULT, PARTITIONS_MAX
from runtime.process.errors import SettingsError
from runtime.process.networks import parse_networks
from runtime.process.tls import check_database_url, check_redis_url, server_context

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every process knows."""

    process: ClassVar[str] = ""

    redis_url: str = "redis://127.0.0.1:6379/0"
    database_url: str = ""
    admin_key: str = ""
    env: Literal["development", "production"] = "production"
    execution_price: ExecutionPrice = ExecutionPrice.MAKER
    listing: ListingPolicy = ListingPolicy.OPEN
    partitions: Annotated[int, msgspec.Meta(ge=1, le=PARTITIONS_MAX)] = PARTITIONS_DEFAULT
    trading_hours: str = ""
    """When the calendar begins the opening auction, trading, the closing auction, and when it
    closes, for example ``09:45 10:00 16:55 17:00`` (``runtime.process.calendars``). Empty: off."""
    trading_weekdays: str = "1 2 3 4 5"
    holidays: str = ""
    time_zone: str = "America/Sao_Paulo"
    instance: str = msgspec.field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    host: str = "127.0.0.1"
    port: Port = 8000
    tls_cert_file: str = ""
    """The certificate that HTTP is served with, and what leads from it to an authority, as PEM.
    Empty: plain HTTP."""
    tls_key_file: str = ""
    trusted_proxies: str = ""
    """Networks in CIDR form, with spaces between. What a proxy in one of them says in
    X-Forwarded-For is believed, and nothing that others say there."""
    health_port: Port | None = None
    """Where a worker without HTTP of its own serves /health and /metrics; unset: nowhere."""
    health_socket: str = ""
    """Path of a Unix socket on which every process serves /health as well, for the supervisor on
    this machine; at most 107 bytes. Empty: none."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    unsafe_redis: bool = False
    """Go on although Redis may lose acknowledged orders. For experiments, never for orders."""

    @property
    def is_development(self) -> bool:
        return self.env == "development"


S = TypeVar("S", bound=Settings)


def load(cls: type[S], environment: Mapping[str, str] | None = None, **overrides: Any) -> S:
    """Build ``cls`` from the environment; ``overrides`` win over it.

    Raises :class:`SettingsError` naming the variable that is unknown or does not convert.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    own_prefix = f"EXCHANGE_{cls.process.upper()}_"
    known = set()
    for name in cls.__struct_fields__:
        shared = name in Settings.__struct_fields__
        variable = f"EXCHANGE_{name.upper()}" if shared else f"{own_prefix}{name.upper()}"
        known.add(variable)
        if environment.get(variable):
            values[name] = environment[variable]
    unknown = sorted(v for v in environment if v.startswith(own_prefix) and v not in known)
    if cls.process and unknown:
        raise SettingsError(f"unknown setting {unknown[0]}; known: {', '.join(sorted(known))}")
    try:
        settings = msgspec.convert({**values, **overrides}, type=cls, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{error} (set by EXCHANGE_… of that name)") from error
    check_redis_url(settings.redis_url)
    check_database_url(settings.database_url)
    server_context(settings.tls_cert_file, settings.tls_key_file)
    parse_networks("EXCHANGE_TRUSTED_PROXIES", settings.trusted_proxies)
    return settings
