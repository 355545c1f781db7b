"""One request is one request: nothing that two readers of HTTP could take apart differently is
taken, and nothing that a client writes comes out as something else."""

import json
import re

import httpx
import pytest

from tests.support.running import BrokerClient, RunningExchange, bearer, order_body
from tests.support.serving import Line, request

HIDDEN = "HIDDEN"

AMBIGUOUS = {
    "both lengths": ["content-length: {length}", "transfer-encoding: chunked"],
    "chunked behind another coding": ["content-length: {length}", "transfer-encoding: x, chunked"],
    "two lengths": ["content-length: {length}", "content-length: 0"],
    "a list of lengths": ["content-length: {length}, 0"],
    "a signed length": ["content-length: +{length}"],
    "a length in hexadecimal": ["content-length: 0x10"],
    "a space before the colon": ["content-length : {length}"],
    "a folded header": ["content-length: 0", " {length}"],
    "a line feed in a value": ["x-a: b\ncontent-length: 0"],
    "a zero byte in a value": ["x-a: b\0c"],
    "a coding that is none": ["transfer-encoding: chunkedx"],
    "a coding twice": ["transfer-encoding: chunked", "transfer-encoding: identity"],
}


@pytest.mark.parametrize("path", ["/orders", "/webhook-endpoints"])
@pytest.mark.parametrize("name", sorted(AMBIGUOUS))
def test_a_request_with_an_ambiguous_end_hides_no_other(
    exchange: RunningExchange, alice: BrokerClient, name: str, path: str
) -> None:
    """``/orders`` is answered in the fast lane, the other path by FastAPI."""
    hidden_order = json.dumps(order_body(price=10, symbol=HIDDEN)).encode()
    hidden = request("POST", "/orders", alice.api_key, hidden_order)
    body = b"0\r\n\r\n" + hidden
    headers = [header.format(length=len(body)) for header in AMBIGUOUS[name]]
    line = Line(exchange.port)
    line.send(request("POST", path, alice.api_key, b"", headers) + body)
    answer = line.answer()
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 422 ")), answer
    assert line.is_closed() or answer.startswith(b"HTTP/1.1 422 ")
    line.close()
    assert alice.get(f"/orders?symbol={HIDDEN}")["data"] == []


@pytest.mark.parametrize(
    "asked", ["a b", "a\tb", "é", "<script>", "x" * 65, '"', "a,b", "%0d%0aset-cookie:x", ""]
)
def test_a_request_id_that_could_be_something_else_is_not_repeated(
    exchange: RunningExchange, alice: BrokerClient, asked: str
) -> None:
    for path in ("/balance", "/webhook-endpoints", "/nowhere"):
        headers = [(b"x-request-id", asked.encode()), (b"authorization", b"Bearer x")]
        answer = httpx.get(exchange.url + path, headers=headers, trust_env=False)
        given = answer.headers["x-request-id"]
        assert given != asked
        assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", given), given
        assert "set-cookie" not in answer.headers


def test_what_a_client_writes_stays_in_one_line_of_the_log(exchange: RunningExchange) -> None:
    path = '/admin/brokers/x%0a{"level": "forged"}%1b[31m/api-key'
    answer = httpx.post(exchange.url + path, headers=bearer("wrong"), trust_env=False)
    assert answer.status_code == 401
    log = (exchange.data / "logs" / "http-1.log").read_text()
    lines = [line for line in log.splitlines() if "forged" in line]
    assert lines
    for line in lines:
        assert json.loads(line)["level"] != "forged"
        assert "\x1b" not in line


def test_two_keys_in_one_request_are_no_key(exchange: RunningExchange, alice: BrokerClient) -> None:
    """Whoever checks the request before us must not see another key than we do."""
    keys = [(b"authorization", f"Bearer {key}".encode()) for key in (alice.api_key, "xk_other")]
    for headers in (keys, keys[::-1]):
        for path in ("/balance", "/webhook-endpoints", "/admin/health", "/stocks"):
            answer = httpx.get(exchange.url + path, headers=headers, trust_env=False)
            assert answer.status_code == 401, (path, answer.text)
            assert answer.json()["code"] == "unauthorized"
