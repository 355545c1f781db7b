"""docs/reference/http-api.md lists the calls that a running exchange offers."""

import re
from pathlib import Path

from tests.support.running import RunningExchange

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http-api.md"


def test_the_page_lists_every_call_and_no_other(exchange: RunningExchange) -> None:
    with exchange.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    offered = {
        f"{method.upper()} {path}" for path, operations in paths.items() for method in operations
    }
    tables = "\n".join(line for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`((?:GET|POST|PATCH|PUT|DELETE) [^`]+)`", tables)) == offered
