"""A client that a generator makes of the OpenAPI document can do a broker's work."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.eventually import eventually
from tests.support.running import RunningExchange

PACKAGE = "generated_exchange_client"


@pytest.fixture(scope="module")
def generated(
    exchange: RunningExchange, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder of a client made of what the running exchange says of itself."""
    folder = tmp_path_factory.mktemp("client")
    document = httpx.get(f"{exchange.url}/openapi.json", trust_env=False)
    (folder / "openapi.json").write_text(document.raise_for_status().text)
    settings = {"package_name_override": PACKAGE, "post_hooks": []}
    (folder / "config.json").write_text(json.dumps(settings))
    made = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
            *("--path", "openapi.json", "--config", "config.json", "--output-path", PACKAGE),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stdout + made.stderr, made.stdout + made.stderr
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[name]


def part(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}")


def test_a_generated_client_registers_places_reads_and_cancels(
    exchange: RunningExchange, generated: Path, symbol: str
) -> None:
    models, client = part("models"), part("client").AuthenticatedClient
    options = {"base_url": exchange.url, "httpx_args": {"trust_env": False}}
    with client(token=exchange.addresses["admin_key"], **options) as admin:
        body = models.RegisterBody(name="generated")
        registered = part("api.registration.register_broker").sync(client=admin, body=body)
    assert isinstance(registered, models.RegisteredAnswer), registered
    with client(token=registered.api_key, **options) as broker:
        order = models.OrderBody.from_dict(
            {
                "document_number": "12345678901",
                "side": "bid",
                "order_type": "limit",
                "symbol": symbol,
                "price": 1234,
                "quantity": 10,
                "valid_until": "2999-01-01T00:00:00+00:00",
            }
        )
        placed = part("api.orders.place_order").sync(client=broker, body=order)
        assert placed.price == 1234, placed

        def state() -> str:
            found = part("api.orders.get_order").sync(placed.order_id, client=broker)
            value: str = found.state.value
            return value

        eventually(lambda: state() == "new", what="the order to be in the book")
        answer = part("api.orders.cancel_order").sync_detailed(placed.order_id, client=broker)
        assert answer.status_code == 204, answer
        assert state() == "canceled"
