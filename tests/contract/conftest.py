"""Every answer that a contract test sees is held to the OpenAPI document."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.documentation import Documentation
from tests.support.running import RunningExchange


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
