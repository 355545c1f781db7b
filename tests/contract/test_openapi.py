"""schemathesis over the OpenAPI document: whatever it thinks of, nothing is a 5xx."""

from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis.core.result import Ok

from tests.support.documentation import Documentation
from tests.support.running import BrokerClient, RunningExchange, bearer

EXAMPLES = 30
ADMIN_PATHS = ("/register", "/debug", "/admin")


@pytest.mark.timeout(240)
def test_no_input_is_a_server_error(
    exchange: RunningExchange, alice: BrokerClient, documentation: Documentation
) -> None:
    schema = schemathesis.openapi.from_url(f"{exchange.url}/openapi.json")
    seen = []
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.path == "/debug/reset":
            continue  # It would empty the exchange under the other tests.
        admin = operation.path.startswith(ADMIN_PATHS)
        key = exchange.addresses["admin_key"] if admin else alice.api_key
        fuzz(operation.as_strategy(), exchange.url, key, documentation)
        seen.append(operation.label)
    assert "POST /orders" in seen
    assert len(seen) > 10, seen


def fuzz(
    cases: "SearchStrategy[schemathesis.Case[Any]]",
    url: str,
    key: str,
    documentation: Documentation,
) -> None:
    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def call(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url=url, headers=bearer(key), timeout=20)
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.text}"
        if answer.status_code >= 400:
            kind = answer.headers["content-type"][0]
            assert kind.startswith("application/problem+json"), answer.text
        documentation.check(
            case.method.upper(),
            urlsplit(str(answer.request.url)).path,
            answer.status_code,
            {name.lower(): values[0] for name, values in answer.headers.items()},
            answer.content,
        )

    call()
