"""uvicorn with our protocol: a connection too many is refused with a problem."""

import threading
from collections.abc import Iterator

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from runtime.http.guard import GuardedProtocol
from runtime.http.server import listen
from tests.support.eventually import eventually

CONNECTIONS_MAX = 3


async def hello(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a small application that refuses the third connection."""
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(
            hello,
            http=GuardedProtocol,
            lifespan="off",
            log_config=None,
            limit_concurrency=CONNECTIONS_MAX,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    eventually(lambda: server.started, what="uvicorn to start")
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_a_connection_too_many_is_refused_with_a_problem(url: str) -> None:
    with httpx.Client(trust_env=False) as first, httpx.Client(trust_env=False) as second:
        assert [client.get(url).status_code for client in (first, second)] == [200, 200]
        with httpx.Client(trust_env=False) as third:
            refused = third.get(url + "/balance")
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.json()["instance"] == "/balance"
        assert refused.json()["request_id"] == refused.headers["x-request-id"]
        assert (refused.headers["retry-after"], refused.headers["connection"]) == ("1", "close")

        def is_taken() -> bool:
            with httpx.Client(trust_env=False) as later:
                return later.get(url).status_code == 200

        eventually(is_taken, what="a place that became free")
        assert first.get(url).status_code == 200
