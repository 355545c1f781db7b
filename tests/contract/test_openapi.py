"""schemathesis over the OpenAPI document: whatever is sent, valid or not, no answer is a 5xx, and
every answer is one that the document names."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from protocol.registry import hash_key
from runtime.http.operations import ADMIN_KEY
from tests.support.documentation import Documentation
from tests.support.running import BrokerClient, RunningExchange, bearer

EXAMPLES = 30
NEVER = {
    ("post", "/debug/reset"),  # It would empty the exchange under the other tests.
    ("post", "/debug/market"),  # It would load it.
}
EXPECTED = {GenerationMode.POSITIVE: {201, 204}, GenerationMode.NEGATIVE: {404, 422}}

Operation = schemathesis.APIOperation[Any, Any, Any, Any]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_input_is_a_server_error(
    exchange: RunningExchange,
    documentation: Documentation,
    alice: BrokerClient,
    bob: BrokerClient,
    symbol: str,
    mode: GenerationMode,
) -> None:
    """Each call is made with the key that it needs. Ids are real in half of the tries, so that
    more is tried than 404: the order is open, and the keys that are revoked are those of bob."""
    order_id = alice.bid(symbol, 10, 5, client_order_id="fuzzed")
    bob.ask(symbol, 10, 1)
    real = {
        "order_id": order_id,
        "trade_id": alice.order(order_id)["trades"][0]["trade_id"],
        "symbol": symbol,
        "client_order_id": "fuzzed",
        "broker_id": bob.broker_id,
        "key_id": hash_key(bob.api_key)[:16],
        **webhook_ids(alice),
    }
    keys = {"broker_key": alice.api_key, ADMIN_KEY: exchange.addresses["admin_key"]}
    callers = {}
    for operation in operations(exchange, mode):
        call = operation.definition.raw
        key = next((keys[name] for names in call.get("security", []) for name in names), None)
        caller = callers[call["operationId"]] = Caller(exchange, documentation, key, real)
        fuzz(operation, mode, caller)
    for name in ("place_order", "register_broker", "issue_api_key", "revoke_api_keys"):
        assert callers[name].statuses & EXPECTED[mode], (name, callers[name].statuses)
    if mode is GenerationMode.POSITIVE:
        assert not [name for name, caller in callers.items() if 401 in caller.statuses]
        assert set(callers) == set(documentation.operations()) - {"reset_exchange", "start_market"}


def webhook_ids(broker: BrokerClient) -> dict[str, str]:
    """An endpoint where nobody listens, and a message that waits for it."""
    added = broker.http.post("/webhook-endpoints", json={"url": "http://127.0.0.1:9/"}).json()
    path = f"/webhook-endpoints/{added['endpoint_id']}"
    message_id = broker.http.post(f"{path}/test").json()["message_id"]
    return {"endpoint_id": added["endpoint_id"], "message_id": message_id}


def operations(exchange: RunningExchange, mode: GenerationMode) -> Iterator[Operation]:
    """All calls; for invalid input only those that take any input."""
    schema = schemathesis.openapi.from_url(f"{exchange.url}/openapi.json")
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        takes_input = operation.definition.raw.keys() & {"parameters", "requestBody"}
        if (operation.method, operation.path) in NEVER:
            continue
        if takes_input or mode is GenerationMode.POSITIVE:
            yield operation


class Caller:
    """Calls with a key, and holds each answer to the document."""

    def __init__(
        self,
        exchange: RunningExchange,
        documentation: Documentation,
        key: str | None,
        real: dict[str, str],
    ) -> None:
        self._exchange = exchange
        self._documentation = documentation
        self._headers = bearer(key) if key else {}
        self._real = real
        self.statuses: set[int] = set()

    def call(self, case: "schemathesis.Case[Any]", with_real_ids: bool) -> None:
        if with_real_ids:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = self._real[name]
        answer = case.call(base_url=self._exchange.url, headers=self._headers, timeout=20)
        self.statuses.add(answer.status_code)
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.text}"
        self._documentation.check(
            case.method,
            unquote(urlsplit(answer.request.url).path),
            answer.status_code,
            {name.lower(): values[0] for name, values in answer.headers.items()},
            answer.content,
        )


def fuzz(operation: Operation, mode: GenerationMode, caller: Caller) -> None:
    turns = iter(range(10_000))

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    def call(case: "schemathesis.Case[Any]") -> None:
        caller.call(case, with_real_ids=next(turns) % 2 == 0)

    call()
