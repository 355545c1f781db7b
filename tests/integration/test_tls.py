"""TLS to Redis and PostgreSQL with real certificates, and settings that are refused."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import psycopg
import pytest

from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from runtime.postgres.archive import Archive
from runtime.process.errors import SettingsError
from runtime.process.settings import Settings, load
from runtime.redis.channel import AsyncChannel, Channel, NotConnected, RedisError, client
from runtime.redis.link import Link
from tests.support.certificates import Authority, Pair
from tests.support.tls_proxy import TlsProxy

Proxied = Callable[..., TlsProxy]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def strangers(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "strangers")


@pytest.fixture
def redis_behind(redis_server: EmbeddedRedis) -> Iterator[Proxied]:
    """Redis with TLS: called with a certificate and, where clients need one, their authority."""
    proxies: list[TlsProxy] = []

    def start(pair: Pair, clients: Authority | None = None) -> TlsProxy:
        proxies.append(TlsProxy(redis_server.url.removeprefix("unix://"), pair, clients))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.stop()


@pytest.fixture
def postgres_behind(postgres_server: EmbeddedPostgres) -> Iterator[Proxied]:
    """The same for PostgreSQL."""
    proxies: list[TlsProxy] = []
    directory = postgres_server.url.partition("host=")[2]

    def start(pair: Pair, clients: Authority | None = None) -> TlsProxy:
        target = f"{directory}/.s.PGSQL.5432"
        proxies.append(TlsProxy(target, pair, clients, is_postgres=True))
        return proxies[-1]

    yield start
    for proxy in proxies:
        proxy.stop()


def redis_address(proxy: TlsProxy, host: str = "localhost", **files: str) -> str:
    return f"rediss://{host}:{proxy.port}/0?{urlencode(files)}"


def database_address(proxy: TlsProxy, host: str = "localhost", **parameters: str) -> str:
    # 127.0.0.1 is tried at once; the name is what the certificate is compared with.
    given = {"hostaddr": "127.0.0.1", "sslmode": "verify-full", **parameters}
    return f"postgresql://postgres@{host}:{proxy.port}/exchange?{urlencode(given)}"


def test_every_kind_of_connection_to_redis_speaks_tls(
    authority: Authority, redis_behind: Proxied
) -> None:
    proxy = redis_behind(authority.issue("localhost"))
    url = load(Settings, {}, redis_url=redis_address(proxy, ssl_ca_certs=authority.path)).redis_url

    channel = Channel(url, "tls")
    assert channel.execute("PING") == b"PONG"
    assert channel.all_ok([("ECHO", str(n)) for n in range(100)])[99] == b"99"
    channel.close()
    with client(url, "tls") as ordinary:
        assert ordinary.ping()

    async def ask() -> None:
        asynchronous, link = AsyncChannel(url, "tls"), Link(url, "tls")
        big = "x" * 1_000_000  # Many records of TLS.
        for _ in range(3):
            assert await asynchronous.execute("PING") == b"PONG"
            replies = await link.pipeline([("PING",), ("ECHO", big)]).future()
            assert replies == [b"PONG", big.encode()]
        await asynchronous.close()
        await link.close()

    asyncio.run(ask())
    # None of them has connected more than once: what TLS sends by itself is not taken for the end.
    assert proxy.connections == 4


def test_redis_may_ask_for_a_certificate_of_the_client(
    authority: Authority, redis_behind: Proxied
) -> None:
    proxy = redis_behind(authority.issue("localhost"), clients=authority)
    own = authority.issue("matcher")
    files = {"ssl_certfile": own.certificate, "ssl_keyfile": own.key}

    channel = Channel(redis_address(proxy, ssl_ca_certs=authority.path, **files), "tls")
    assert channel.execute("PING") == b"PONG"
    channel.close()
    without = Channel(redis_address(proxy, ssl_ca_certs=authority.path), "tls")
    with pytest.raises(RedisError):
        without.execute("PING")


@pytest.mark.parametrize("flaw", ["authority", "name", "expired"])
def test_a_redis_that_proves_nothing_is_refused(
    flaw: str, authority: Authority, strangers: Authority, redis_behind: Proxied
) -> None:
    url = redis_address(
        redis_behind(_flawed(flaw, authority)), ssl_ca_certs=_ca(flaw, authority, strangers)
    )
    said = _SAID_BY_OPENSSL[flaw]

    with pytest.raises(RedisError, match=said):
        Channel(url, "tls").execute("PING")

    async def ask() -> None:
        with pytest.raises(NotConnected, match=said):
            await AsyncChannel(url, "tls").execute("PING")
        with pytest.raises(NotConnected, match=said):
            await Link(url, "tls").pipeline([("PING",)]).future()

    asyncio.run(ask())


def test_postgresql_is_asked_over_tls(authority: Authority, postgres_behind: Proxied) -> None:
    proxy = postgres_behind(authority.issue("localhost"), clients=authority)
    own = authority.issue("persister")
    url = database_address(
        proxy, sslrootcert=authority.path, sslcert=own.certificate, sslkey=own.key
    )
    load(Settings, {}, database_url=url)

    async def ask() -> None:
        archive = Archive(url)
        await archive.ping()
        await archive.close()

    asyncio.run(ask())
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert proxy.connections == 2


@pytest.mark.parametrize("flaw", ["authority", "name", "expired"])
def test_a_postgresql_that_proves_nothing_is_refused(
    flaw: str, authority: Authority, strangers: Authority, postgres_behind: Proxied
) -> None:
    proxy = postgres_behind(_flawed(flaw, authority))
    url = database_address(proxy, sslrootcert=_ca(flaw, authority, strangers))

    with pytest.raises(psycopg.OperationalError, match=_SAID_BY_LIBPQ[flaw]):
        psycopg.connect(url)


_SAID_BY_OPENSSL = {
    "authority": "unable to get local issuer certificate",
    "name": "Hostname mismatch",
    "expired": "certificate has expired",
}
_SAID_BY_LIBPQ = {
    "authority": "certificate verify failed",
    "name": "does not match host name",
    "expired": "certificate verify failed",  # libpq does not say why.
}


def _flawed(flaw: str, authority: Authority) -> Pair:
    match flaw:
        case "name":
            return authority.issue("another.example")
        case "expired":
            return authority.issue("localhost", days=-1)
        case _:
            return authority.issue("localhost")


def _ca(flaw: str, authority: Authority, strangers: Authority) -> str:
    """The authorities that the client believes."""
    return strangers.path if flaw == "authority" else authority.path


def test_settings_that_would_not_do_what_they_say_are_refused(
    tmp_path: Path, authority: Authority, strangers: Authority
) -> None:
    own, other = authority.issue("own"), strangers.issue("other")
    missing, nonsense = str(tmp_path / "missing.pem"), tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")

    def redis(**parameters: str) -> dict[str, str]:
        return {"EXCHANGE_REDIS_URL": f"rediss://redis:6379/0?{urlencode(parameters)}"}

    def database(**parameters: str) -> dict[str, str]:
        return {"EXCHANGE_DATABASE_URL": f"postgresql://db/exchange?{urlencode(parameters)}"}

    def http(**files: str) -> dict[str, str]:
        return {f"EXCHANGE_TLS_{name.upper()}_FILE": path for name, path in files.items()}

    plain = {"EXCHANGE_REDIS_URL": f"redis://redis/0?ssl_ca_certs={authority.path}"}
    refused: list[tuple[dict[str, str], str]] = [
        (plain, "needs an address that begins with rediss://"),
        (redis(ssl_cert_reqs="none"), "the server is always verified"),
        (redis(ssl_check_hostname="false"), "the server is always verified"),
        (redis(ssl_certfile=own.certificate), "ssl_keyfile is needed too"),
        (redis(ssl_keyfile=own.key), "ssl_certfile is needed too"),
        (redis(ssl_ca_certs=missing), "cannot be read: No such file or directory"),
        (redis(ssl_ca_certs=str(nonsense)), "holds no certificates in PEM form"),
        (redis(ssl_certfile=own.certificate, ssl_keyfile=other.key), "are not a certificate and"),
        (database(sslmode="verify"), "sslmode=verify is none of"),
        (database(sslmode="verify-full"), "needs sslrootcert"),
        (database(sslrootcert=authority.path), "sslmode must be verify-ca or verify-full"),
        (database(sslmode="verify-ca", sslrootcert=missing), "cannot be read"),
        (database(sslmode="require", sslcert=own.certificate), "sslkey is needed too"),
        (
            database(sslmode="disable", sslcert=own.certificate, sslkey=own.key),
            "sslmode=disable uses no TLS",
        ),
        (http(cert=own.certificate), "EXCHANGE_TLS_KEY_FILE is needed too"),
        (http(key=own.key), "EXCHANGE_TLS_CERT_FILE is needed too"),
        (http(cert=own.certificate, key=other.key), "are not a certificate and"),
        (http(cert=own.certificate, key=missing), "cannot be read"),
    ]
    for environment, said in refused:
        with pytest.raises(SettingsError, match=said):
            load(Settings, environment)
    load(Settings, redis() | database(sslmode="require") | http(cert=own.certificate, key=own.key))


def test_an_encrypted_key_is_refused_instead_of_asking_at_the_terminal(
    tmp_path: Path, authority: Authority
) -> None:
    from cryptography.hazmat.primitives import serialization

    own, locked = authority.issue("own"), tmp_path / "locked.key"
    key = serialization.load_pem_private_key(Path(own.key).read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    files = {"EXCHANGE_TLS_CERT_FILE": own.certificate, "EXCHANGE_TLS_KEY_FILE": str(locked)}

    with pytest.raises(SettingsError, match="its unencrypted key"):
        load(Settings, files)
