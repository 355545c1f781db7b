"""The fast lane answers as plain ASGI does, byte by byte, and keeps to HTTP."""

import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC

import httpx
import pytest

from ingress.service import create as create_ingress
from persister.store import Store
from protocol.registry import BrokerRegistered, KeyIssued, RegistryEntry, hash_key
from protocol.units import BODY_BYTES_MAX
from readapi.service import create as create_readapi
from runtime.http.asgi import Application
from runtime.http.factory import create_app
from runtime.process.settings import Settings, load
from runtime.redis.channel import Channel
from runtime.redis.genesis import found_or_join
from tests.support.eventually import eventually
from tests.support.feeding import register
from tests.support.running import order_body
from tests.support.serving import Line, Serving, request

KEY = "xk_key"
BROKER = "0b2f64a4-7b1c-4c5d-9a3e-5f0a6c1d2e01"
ORDER = json.dumps(order_body(price=10)).encode()
_CHANGING = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"  # Order ids.
    rb'|(?<=mass_cancel_id":")[^"]*'
    rb'|(?<=_(?:at|id)":")[^"]*|(?<=_time":")[^"]*|(?<="sequence":)[0-9]+'
)


@pytest.fixture
def application(
    channel: Channel, redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Application:
    monkeypatch.setenv("EXCHANGE_INGRESS_DECISION_WAIT_MS", "30")  # There is no matcher.
    settings = load(
        Settings, {}, redis_url=redis_url, database_url=database_url, admin_key="ak", instance="t"
    )
    genesis = found_or_join(channel, settings)
    store = Store(database_url, UTC)
    store.open(genesis)
    store.close()
    entry = RegistryEntry([BrokerRegistered(BROKER, "B", 1), KeyIssued(BROKER, hash_key(KEY))])
    register(channel, entry)

    def fail(error: Exception) -> None:
        pytest.fail(repr(error))

    return create_app(settings, genesis, [create_ingress, create_readapi], fail)


@pytest.fixture
def serving(application: Application) -> Iterator[Serving]:
    serving = Serving(application)
    yield serving
    serving.stop()


@pytest.fixture
def line(serving: Serving) -> Iterator[Line]:
    line = Line(serving.fast_port)
    yield line
    line.close()


def statuses(line: Line, count: int) -> list[int]:
    return [int(line.answer()[9:12]) for _ in range(count)]


def ask(port: int, sent: bytes) -> bytes:
    line = Line(port)
    try:
        line.send(sent)
        return line.answer()
    finally:
        line.close()


def test_every_hot_endpoint_answers_the_same_bytes_through_plain_asgi(
    serving: Serving, application: Application
) -> None:
    placed = ask(serving.fast_port, request("POST", "/orders", KEY, ORDER))
    order_id = json.loads(placed.partition(b"\r\n\r\n")[2])["order_id"]
    amend = b'{"quantity":5}'
    cases = {
        "POST /orders": ("/orders", ORDER),
        "POST /orders/validate": ("/orders/validate", ORDER),
        "POST /orders/batch": ("/orders/batch", b'{"orders":[%b]}' % ORDER),
        "DELETE /orders": ("/orders", json.dumps({"order_ids": [order_id]}).encode()),
        "POST /orders/cancel-all": ("/orders/cancel-all", b'{"symbol":"PETR4"}'),
        "POST /orders/cancel-all-after": ("/orders/cancel-all-after", b'{"timeout_seconds":0}'),
        "PATCH /orders/{order_id}": (f"/orders/{order_id}", amend),
        "POST /orders/{order_id}/cancel": (f"/orders/{order_id}/cancel", b""),
        "POST /orders/by-client-id/{symbol}/{client_order_id}/cancel": (
            f"/orders/by-client-id/PETR4/{order_id}/cancel",
            b"",
        ),
        "GET /orders/{order_id}": (f"/orders/{order_id}", b""),
        "GET /orders/by-client-id/{symbol}/{client_order_id}": (
            f"/orders/by-client-id/PETR4/{order_id}",
            b"",
        ),
        "GET /stocks/{symbol}/price": ("/stocks/PETR4/price", b""),
        "GET /stocks/{symbol}/book": ("/stocks/PETR4/book?depth=3", b""),
        "GET /balance": ("/balance", b""),
        "GET /orders": ("/orders?limit=5", b""),
        "GET /trades": ("/trades", b""),
        "GET /positions": ("/positions", b""),
        "GET /stocks": ("/stocks", b""),
        "GET /stocks/{symbol}": ("/stocks/PETR4", b""),
        "GET /stocks/tickers": ("/stocks/tickers?limit=3", b""),
        "GET /stocks/{symbol}/ticker": ("/stocks/PETR4/ticker", b""),
        "GET /stocks/{symbol}/trades": ("/stocks/PETR4/trades", b""),
        "GET /stocks/{symbol}/candles": ("/stocks/PETR4/candles?interval=1h", b""),
        "GET /time": ("/time", b""),
    }
    public = ("/time",)
    hot = {f"{e.method} {e.path}" for e in application.dispatcher.table.endpoints}
    assert set(cases) == hot, "one table says which endpoints are hot"
    for name, (path, body) in cases.items():
        method = name.split(" ")[0]
        for key in (KEY, "xk_nobody"):
            for headers in (["x-request-id: r1"], ["x-request-id: r1", "connection: close"]):
                sent = request(method, path, key, body, headers)
                fast, plain = (
                    _CHANGING.sub(b"*", ask(port, sent))
                    for port in (serving.fast_port, serving.plain_port)
                )
                assert fast == plain, name
                status = int(fast[9:12])
                if key != KEY and path not in public:
                    assert status == 401, name
                else:
                    assert status < 300 or (status, path) == (404, "/stocks/PETR4/price"), fast


def test_a_book_that_the_client_has_is_not_sent_again_in_either_lane(serving: Serving) -> None:
    ports = (serving.fast_port, serving.plain_port)
    path = "/stocks/PETR4/book"

    def answers(*headers: str, path: str = path) -> bytes:
        sent = request("GET", path, KEY, headers=["x-request-id: r1", *headers])
        fast, plain = (ask(port, sent) for port in ports)
        assert fast == plain
        return fast

    whole = answers()
    assert whole.startswith(b"HTTP/1.1 200 OK\r\n")
    (tag,) = re.findall(rb'\r\netag: ("[0-9-]+")\r\n', whole)
    known = b"HTTP/1.1 304 Not Modified\r\nx-request-id: r1\r\netag: %b\r\n\r\n" % tag
    for names in (tag.decode(), f'"7", W/{tag.decode()}', "*"):
        assert answers(f"if-none-match: {names}") == known, names
    closing = answers(f"if-none-match: {tag.decode()}", "connection: close")
    assert closing == known[:-2] + b"connection: close\r\n\r\n"
    for names in ('"7"', tag.decode().strip('"'), f'"x{tag.decode()[1:]}', "", '*, "7"'):
        assert answers(f"if-none-match: {names}") == whole, names
    other = answers(f"if-none-match: {tag.decode()}", path=f"{path}?depth=3")
    assert other.startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_connection_goes_on_after_an_answer_without_a_body(line: Line) -> None:
    line.send(request("GET", "/stocks/PETR4/book", KEY))
    (tag,) = re.findall(r"etag: (\S+)", line.answer().decode())
    again = request("GET", "/stocks/PETR4/book", KEY, headers=[f"if-none-match: {tag}"])
    line.send(again + again + request("GET", "/balance", KEY))
    assert statuses(line, 3) == [304, 304, 200]


def test_the_fast_lane_needs_nothing_of_asgi(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise AssertionError("through ASGI")

    monkeypatch.setattr(Application, "__call__", fail)
    line.send(request("POST", "/orders", KEY, ORDER))
    line.send(request("GET", "/balance", KEY))
    assert statuses(line, 2) == [201, 200]


@pytest.mark.parametrize(
    "sent",
    [
        request("POST", "/orders", KEY, b"{"),
        request("GET", "/orders/nothing", KEY),
        request("GET", "/stocks/lower/book", KEY),
        request("PUT", "/orders", KEY),
        request("GET", "/nowhere", KEY),
        request("POST", "/orders", KEY, headers=[f"content-length: {BODY_BYTES_MAX + 1}"]),
        request("POST", "/orders", KEY, headers=["content-length: 5", "transfer-encoding: x"]),
        b"GET /balance HTTP/1.0\r\nauthorization: Bearer xk_key\r\nx-request-id: r\r\n\r\n",
        b"GET /balance HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
        b"GET http://x/balance HTTP/1.1\r\nhost: x\r\nauthorization: Bearer xk_key\r\n\r\n",
        b"GET /stocks/PETR%34/book HTTP/1.1\r\nhost: x\r\nauthorization: Bearer xk_key\r\n\r\n",
        b"GET /balance HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_wrong_or_rare_is_answered_the_same_too(serving: Serving, sent: bytes) -> None:
    def comparable(answer: bytes) -> bytes:
        return re.sub(rb'(?i)(x-request-id: |"request_id":")[^\r"]*', b"id", answer)

    fast, plain = (comparable(ask(port, sent)) for port in (serving.fast_port, serving.plain_port))
    assert fast == plain


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(line: Line) -> None:
    order = request("POST", "/orders", KEY, ORDER)
    line.send(
        order
        + request("GET", "/health/live", KEY)
        + request("GET", "/nowhere", KEY)
        + order
        + request("GET", "/balance", KEY)
        + request("POST", "/orders", KEY, headers=["content-length: 999999"])
    )
    assert statuses(line, 6) == [201, 200, 404, 201, 200, 413]
    assert line.is_closed()


def test_a_pipelined_body_may_come_later(line: Line) -> None:
    order = request("POST", "/orders", KEY, ORDER)
    line.send(order + order[:-20])
    assert statuses(line, 1) == [201]
    line.send(order[-20:] + order)
    assert statuses(line, 2) == [201, 201]


def test_a_body_may_come_in_chunks_and_a_request_in_single_bytes(line: Line) -> None:
    chunked = request("POST", "/orders", KEY, headers=["transfer-encoding: chunked"])
    half = len(ORDER) // 2
    for part in (ORDER[:half], ORDER[half:]):
        chunked += b"%x\r\n%b\r\n" % (len(part), part)
    line.send(chunked + b"0\r\n\r\n")
    assert statuses(line, 1) == [201]
    line.send(*(bytes([byte]) for byte in request("POST", "/orders", KEY, ORDER)))
    assert statuses(line, 1) == [201]


def test_a_chunked_body_that_grows_too_large_is_refused(line: Line) -> None:
    line.send(request("POST", "/orders", KEY, headers=["transfer-encoding: chunked"]))
    line.send(b"%x\r\n" % (BODY_BYTES_MAX + 10) + b"x" * (BODY_BYTES_MAX + 1))
    answer = line.answer()
    assert (answer[9:12], b'"code":"body_too_large"' in answer) == (b"413", True)
    assert line.is_closed()


def test_a_client_that_expects_100_is_told_to_go_on_and_only_where_its_body_may_come(
    serving: Serving,
) -> None:
    asked = request("POST", "/orders", KEY, ORDER, ["expect: 100-continue"])
    head = asked[: -len(ORDER)]
    for port in (serving.fast_port, serving.plain_port):
        line = Line(port)
        line.send(head)
        assert line.answer() == b"HTTP/1.1 100 Continue\r\n\r\n"
        line.send(ORDER)
        assert statuses(line, 1) == [201]
        line.close()
    too_large = request(
        "POST", "/orders", KEY, headers=["content-length: 999999", "expect: 100-continue"]
    )
    assert ask(serving.fast_port, too_large)[9:12] == b"413"


def test_ids_metrics_and_places_in_flight_are_those_of_every_request(
    line: Line, application: Application
) -> None:
    def counted() -> float:
        line.send(request("GET", "/metrics", KEY))
        text = line.answer().decode()
        found = re.search(
            r'exchange_http_requests_total\{endpoint="/balance",status="200"\} (\S+)', text
        )
        return float(found[1]) if found else 0.0

    before = counted()
    line.send(request("GET", "/balance", KEY, headers=["X-Request-Id: mine-1"]))
    assert b"\r\nx-request-id: mine-1\r\n" in line.answer()
    line.send(request("GET", "/balance", KEY, headers=["X-Request-Id: not this one"]))
    assert re.search(rb"\r\nx-request-id: [0-9a-f]{12}-[0-9a-f]+\r\n", line.answer())
    assert counted() == before + 2
    assert application.dispatcher.admission.in_flight == 0


def test_too_many_at_a_time_are_refused_before_anything_is_taken(
    line: Line, monkeypatch: pytest.MonkeyPatch, channel: Channel
) -> None:
    monkeypatch.setattr("runtime.http.admission.BURST_MAX", 0)
    monkeypatch.setattr("runtime.http.admission.STANDING_MAX", 0)
    line.send(request("POST", "/orders", KEY, ORDER))
    answer = line.answer()
    assert (answer[9:12], b'"code":"overloaded"' in answer) == (b"503", True)
    assert b"\r\nretry-after: 1\r\n" in answer
    assert channel.execute("KEYS", "*orders*") == []


def test_a_client_that_takes_no_answers_is_read_no_further(serving: Serving) -> None:
    """Its answers do not pile up in memory: the server stops reading, so that sending blocks."""
    line = Line(serving.fast_port)
    asked = request("GET", "/stocks/PETR4/book", KEY) * 100
    line.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        line.send(asked * 5000)
    line.close()


def test_a_planned_stop_answers_what_has_come_and_then_closes(
    serving: Serving, application: Application, line: Line, channel: Channel
) -> None:
    line.send(request("GET", "/balance", KEY))
    assert statuses(line, 1) == [200]
    channel.execute("CLIENT", "PAUSE", 1500, "ALL")
    line.send(request("POST", "/orders", KEY, ORDER))
    other = Line(serving.fast_port)
    admission = application.dispatcher.admission
    eventually(lambda: admission.in_flight == 1, what="the order to come in")
    stopping = threading.Thread(target=serving.stop)
    stopping.start()
    answer = line.answer()
    assert answer[9:12] == b"201"
    assert b"\r\nconnection: close\r\n" in answer
    assert line.is_closed()
    assert other.is_closed()
    other.close()
    stopping.join()


def test_a_waiting_order_that_nobody_decides_is_answered_as_pending(serving: Serving) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{serving.fast_port}", trust_env=False) as client:
        answer = client.post(
            "/orders",
            content=ORDER,
            headers={"authorization": f"Bearer {KEY}", "prefer": "wait=1"},
        )
    assert (answer.status_code, answer.json()["state"]) == (201, "pending")
    assert "preference-applied" not in answer.headers
    assert answer.elapsed.total_seconds() >= 1
