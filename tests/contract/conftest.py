"""Every answer that a contract test sees is held to the OpenAPI document, and some of the tests
run twice: over plain HTTP, and with the Python client in between."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.documentation import Documentation
from tests.support.running import BrokerClient, RunningExchange
from tests.support.through_client import ThroughClient

THROUGH_CLIENT = (
    *("test_matching", "test_order_life", "test_order_types", "test_amend", "test_instructions"),
    "test_canceled_orders",
)
"""The modules that run twice."""
OVER_HTTP_ALONE = ("test_a_plain_order_stays_a_short_command",)
"""The client gives each order an id of its own."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".")[2]
    is_plain = metafunc.function.__name__ in OVER_HTTP_ALONE
    if module in THROUGH_CLIENT and "broker" in metafunc.fixturenames and not is_plain:
        metafunc.parametrize("via", ["http", "client"], indirect=True)


@pytest.fixture
def via(request: pytest.FixtureRequest) -> str:
    """How brokers reach the exchange: ``http`` or ``client``."""
    found: str = getattr(request, "param", "http")
    return found


@pytest.fixture
def broker(
    broker: Callable[..., BrokerClient], exchange: RunningExchange, via: str
) -> Callable[..., BrokerClient]:
    """Registers brokers, as the fixture of this name does everywhere."""

    def register(webhook_url: str | None = None) -> BrokerClient:
        registered = broker(webhook_url)
        if via == "client":
            registered.through(ThroughClient(exchange.url, registered.api_key))
        return registered

    return register


@pytest.fixture(scope="package", autouse=True)
def documentation(exchange: RunningExchange) -> Iterator[Documentation]:
    """The document of the running exchange; it sees all that httpx receives from there, but for
    answers that do not end."""
    document = httpx.get(f"{exchange.url}/openapi.json", trust_env=False).json()
    documentation = Documentation(document)
    send = httpx.Client.send

    def send_and_check(
        client: httpx.Client, request: httpx.Request, **options: Any
    ) -> httpx.Response:
        answer = send(client, request, **options)
        if request.url.port == exchange.port and not options.get("stream"):
            documentation.check(
                request.method,
                request.url.path,
                answer.status_code,
                {name.lower(): value for name, value in answer.headers.items()},
                answer.read(),
            )
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Client, "send", send_and_check)
        yield documentation
