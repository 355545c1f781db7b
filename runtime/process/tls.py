"""TLS: what the addresses of the servers say of it, and the certificate that HTTP is served with.

An address carries what a connection needs, so that nothing else has to be handed around. For Redis
these are the parameters of redis-py (``rediss://…?ssl_ca_certs=…``), for PostgreSQL those of libpq
(``…?sslmode=verify-full&sslrootcert=…``). They are checked before anything connects, because a
parameter that is ignored would leave a connection open to everybody.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from runtime.process.errors import SettingsError

REDIS_PARAMETERS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERIFYING = ("verify-ca", "verify-full")
SYSTEM = "system"
"""In the place of a file, libpq takes the authorities of the machine."""


def check_redis_url(url: str) -> None:
    """Raises :class:`SettingsError` when the address cannot be used as it is meant."""
    variable = "EXCHANGE_REDIS_URL"
    scheme, given = _parameters(variable, url, "ssl")
    if not given:
        return
    if not scheme.startswith("rediss"):
        name = next(iter(given))
        raise SettingsError(f"{variable}: {name} needs an address that begins with rediss://")
    for name in given:
        if name not in REDIS_PARAMETERS:
            raise SettingsError(
                f"{variable}: {name} is not allowed; the server is always verified, and the"
                f" parameters are {', '.join(REDIS_PARAMETERS)}"
            )
    _check_files(variable, given, *REDIS_PARAMETERS)


def check_database_url(url: str) -> None:
    """Raises :class:`SettingsError` when the address cannot be used as it is meant."""
    variable = "EXCHANGE_DATABASE_URL"
    _, given = _parameters(variable, url, "ssl")
    if not given:
        return
    mode = given.get("sslmode", "prefer")
    if mode not in SSL_MODES:
        raise SettingsError(f"{variable}: sslmode={mode} is none of {', '.join(SSL_MODES)}")
    if mode in _VERIFYING and "sslrootcert" not in given:
        raise SettingsError(
            f"{variable}: sslmode={mode} needs sslrootcert, a file of authorities or {SYSTEM}"
        )
    if "sslrootcert" in given and mode not in _VERIFYING:
        raise SettingsError(
            f"{variable}: sslrootcert is given, so sslmode must be {' or '.join(_VERIFYING)}"
        )
    if mode == "disable" and "sslcert" in given:
        raise SettingsError(f"{variable}: sslcert is given, but sslmode=disable uses no TLS")
    files = {name: value for name, value in given.items() if value != SYSTEM}
    _check_files(variable, files, "sslrootcert", "sslcert", "sslkey")


def server_context(certificate: str, key: str) -> ssl.SSLContext | None:
    """How HTTP is served; ``None`` without TLS. Raises :class:`SettingsError`."""
    if not certificate and not key:
        return None
    if not certificate or not key:
        given, missing = ("CERT", "KEY") if certificate else ("KEY", "CERT")
        raise SettingsError(
            f"EXCHANGE_TLS_{given}_FILE is set, so EXCHANGE_TLS_{missing}_FILE is needed too"
        )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    _load_pair("EXCHANGE_TLS_CERT_FILE", context, certificate, key)
    return context


def _parameters(variable: str, url: str, prefix: str) -> tuple[str, dict[str, str]]:
    """The scheme, and the parameters of the query that begin with ``prefix``."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SettingsError(f"{variable} is not a URL: {error}") from None
    given = parse_qs(parts.query, keep_blank_values=True)
    return parts.scheme, {k: values[-1] for k, values in given.items() if k.startswith(prefix)}


def _check_files(
    variable: str, given: Mapping[str, str], authorities: str, certificate: str, key: str
) -> None:
    if key in given and certificate not in given:
        raise SettingsError(f"{variable}: {key} is given, so {certificate} is needed too")
    if certificate in given and key not in given:
        raise SettingsError(f"{variable}: {certificate} is given, so {key} is needed too")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities in given:
        path = given[authorities]
        _require_readable(f"{variable}: {authorities}", path)
        try:
            context.load_verify_locations(path)
        except ssl.SSLError as error:
            raise SettingsError(
                f"{variable}: {authorities} {path} holds no certificates in PEM form: {error}"
            ) from error
    if certificate in given:
        _load_pair(f"{variable}: {certificate}", context, given[certificate], given[key])


def _load_pair(what: str, context: ssl.SSLContext, certificate: str, key: str) -> None:
    for path in (certificate, key):
        _require_readable(what, path)
    try:
        # Without a password OpenSSL would ask for one at the terminal, and wait.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise SettingsError(
            f"{what}: {certificate} and {key} are not a certificate and its unencrypted key in PEM"
            f" form: {error}"
        ) from error


def _require_readable(what: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise SettingsError(f"{what}: {path} cannot be read: {error.strerror}") from error
