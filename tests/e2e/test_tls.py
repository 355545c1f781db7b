"""An exchange on which nothing travels in plain: Redis, PostgreSQL and HTTP speak TLS."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest

from client import Exchange
from client.orders import NewOrder
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis
from tests.support.certificates import Authority, Pair
from tests.support.eventually import eventually
from tests.support.feed import FeedClient
from tests.support.running import EXCHANGE, RunningExchange, bearer, clean_environment, free_port
from tests.support.serving import Line, request
from tests.support.tls_proxy import TlsProxy


class Encrypted:
    """The exchange, and what a client must know to trust it."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.authority = Authority(directory)
        self.server = self.authority.issue("127.0.0.1")
        own = self.authority.issue("exchange")
        (directory / "redis").mkdir()
        (directory / "postgres").mkdir()
        redis = EmbeddedRedis(directory / "redis")
        postgres = EmbeddedPostgres(directory / "postgres")
        for server in (redis, postgres):
            server.start()
            stack.callback(server.stop)
        pair = self.authority.issue("localhost")
        self.redis = TlsProxy(redis.url.removeprefix("unix://"), pair, self.authority)
        stack.callback(self.redis.stop)
        path = postgres.url.partition("host=")[2] + "/.s.PGSQL.5432"
        self.postgres = TlsProxy(path, pair, self.authority, is_postgres=True)
        stack.callback(self.postgres.stop)
        self.variables = {
            "EXCHANGE_REDIS_URL": self._redis_url(own),
            "EXCHANGE_DATABASE_URL": self._database_url(own),
            "EXCHANGE_TLS_CERT_FILE": self.server.certificate,
            "EXCHANGE_TLS_KEY_FILE": self.server.key,
        }
        self.running = RunningExchange(directory / "x", **self.variables)
        self.running.start()
        self.url = self.running.addresses["url"]
        self.trust = ssl.create_default_context(cafile=self.authority.path)
        self.silent = socket.create_connection(("127.0.0.1", self.running.port))
        stack.callback(self.silent.close)

    def _redis_url(self, own: Pair) -> str:
        files = {"ssl_ca_certs": self.authority.path}
        files |= {"ssl_certfile": own.certificate, "ssl_keyfile": own.key}
        return f"rediss://localhost:{self.redis.port}/0?{urlencode(files)}"

    def _database_url(self, own: Pair) -> str:
        given = {"hostaddr": "127.0.0.1", "sslmode": "verify-full"}
        given |= {"sslrootcert": self.authority.path}
        given |= {"sslcert": own.certificate, "sslkey": own.key}
        return f"postgresql://postgres@localhost:{self.postgres.port}/exchange?{urlencode(given)}"

    def register(self) -> str:
        """A new broker's key."""
        with self.client(self.running.addresses["admin_key"]) as client:
            answer = client.post("/register", json={"name": "Alvorada"})
        assert answer.status_code == 201, answer.text
        key: str = answer.json()["api_key"]
        return key

    def client(self, key: str) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, verify=self.trust, trust_env=False, headers=bearer(key)
        )


@pytest.fixture(scope="module")
def encrypted(short_dir: Path) -> Iterator[Encrypted]:
    directory = short_dir / "tls"
    directory.mkdir()
    with ExitStack() as stack:
        one = Encrypted(directory, stack)
        yield one
        assert one.running.stop() == 0


NEW_ORDER: NewOrder = {
    "document_number": "12345678901",
    "side": "bid",
    "order_type": "limit",
    "symbol": "VALE3",
    "quantity": 100,
    "price": 1000,
    "time_in_force": "day",
}
BODY = {
    "document_number": "12345678901",
    "side": "bid",
    "order_type": "limit",
    "symbol": "PETR4",
    "quantity": 100,
    "price": 1000,
    "valid_until": "2999-01-01T00:00:00Z",
}


def test_orders_go_their_whole_way_over_one_kept_connection(encrypted: Encrypted) -> None:
    key = encrypted.register()
    assert encrypted.url.startswith("https://")
    body = json.dumps(BODY).encode()
    line = Line(encrypted.running.port)
    line.socket = encrypted.trust.wrap_socket(line.socket, server_hostname="127.0.0.1")
    orders = []
    for _ in range(20):
        line.send(request("POST", "/orders", key, body))
        answer = line.answer()
        assert answer.startswith(b"HTTP/1.1 201"), answer
        orders.append(json.loads(answer.partition(b"\r\n\r\n")[2])["order_id"])
    # Requests that come in one piece, and one that comes byte by byte.
    line.send(request("GET", "/time", key) * 3)
    assert [line.answer()[:12] for _ in range(3)] == [b"HTTP/1.1 200"] * 3
    line.send(*(bytes([one]) for one in request("GET", f"/orders/{orders[0]}", key)))
    assert line.answer().startswith(b"HTTP/1.1 200")
    line.close()

    with encrypted.client(key) as client:
        sell = client.post("/orders", json=BODY | {"side": "ask", "quantity": 2000})
        assert sell.status_code == 201

        def is_filled() -> bool:
            order = client.get(f"/orders/{orders[-1]}").json()
            return bool(order["state"] == "filled")

        eventually(is_filled, what="the matcher, over TLS, to trade")
        assert client.get("/balance").status_code == 200
    connected = encrypted.postgres.connections
    assert connected, "the persister stores over TLS"


def test_the_feed_is_served_over_wss(encrypted: Encrypted) -> None:
    key = encrypted.register()
    with (
        Exchange(encrypted.url, key, http=encrypted.client(key)) as exchange,
        FeedClient(encrypted.url, key, ssl=encrypted.trust) as feed,
    ):
        feed.subscribe("orders")
        order_id = exchange.place(**NEW_ORDER).order_id
        told = feed.until(lambda message: order_id in json.dumps(message))
        assert told["channel"] == "orders", told
        feed.send(op="ping", id=1)
        assert feed.until(lambda message: message.get("id") == 1)["type"] == "pong"


def test_the_read_api_alone_serves_tls_too(encrypted: Encrypted, tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*EXCHANGE, "run", "readapi"],
            env=clean_environment(
                **encrypted.variables, EXCHANGE_PORT=str(port), EXCHANGE_INSTANCE=f"readapi-{port}"
            ),
            stdout=file,
            stderr=file,
        )
    url, key = f"https://127.0.0.1:{port}", encrypted.register()
    try:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(
                    f"{url}/health", verify=encrypted.trust, trust_env=False
                ).is_success
            except httpx.TransportError:
                return False

        eventually(answers, 30, "the read API to answer")
        stocks = httpx.get(f"{url}/stocks", verify=encrypted.trust, headers=bearer(key))
        assert stocks.status_code == 200, stocks.text + log.read_text()
        with FeedClient(url, key, ssl=encrypted.trust) as feed:
            assert feed.subscribe("ticker:*")["type"] == "subscribed"
    finally:
        process.terminate()
        assert process.wait(20) == 0
    assert key not in log.read_text()


def test_whoever_speaks_plain_http_or_believes_another_authority_gets_nothing(
    encrypted: Encrypted, tmp_path: Path
) -> None:
    port = encrypted.running.port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"HTTP" not in plain.recv(100)
    other = ssl.create_default_context(cafile=Authority(tmp_path).path)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{encrypted.url}/health", verify=other, trust_env=False)


def test_secrets_are_in_no_log(encrypted: Encrypted) -> None:
    encrypted.register()
    admin_key = encrypted.running.addresses["admin_key"]
    secret = Path(encrypted.server.key).read_text().splitlines()[1]
    logs = list((encrypted.running.data / "logs").glob("*.log"))
    assert logs
    for path in logs:
        text = path.read_text()
        assert admin_key not in text, path
        assert secret not in text, path


def test_a_client_that_never_shakes_hands_is_left(encrypted: Encrypted) -> None:
    encrypted.silent.settimeout(20)
    assert encrypted.silent.recv(1) == b""
