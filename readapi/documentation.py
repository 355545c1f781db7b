"""The hot endpoints of the read API in OpenAPI."""

from typing import Any

from runtime.http.orders import CLIENT_ID_PARAMETERS

_SECURITY: list[dict[str, list[str]]] = [{"key": []}]
_PROBLEM = {
    "description": "A problem (RFC 9457) with a stable `code`; see docs/errors.md",
    "content": {"application/problem+json": {"schema": {"type": "object"}}},
}


def _read(
    summary: str, tag: str, parameters: list[dict[str, Any]], *problems: int
) -> dict[str, Any]:
    answer = {"description": "OK", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "summary": summary,
        "tags": [tag],
        "security": _SECURITY,
        "parameters": parameters,
        "responses": {"200": answer} | {str(status): _PROBLEM for status in problems},
    }


def _path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, default: int, most: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return {"name": name, "in": "query", "schema": schema}


_SYMBOL = _path("symbol", {"type": "string", "pattern": "^[A-Z0-9.]{1,12}$"})
_ORDER_ID = _path("order_id", {"type": "string", "format": "uuid"})

ORDER = _read(
    "The status and the trades of an own order", "orders", [_ORDER_ID], 401, 403, 404, 503
)
ORDER_BY_CLIENT_ID = _read(
    "The same by the broker's own id of the order", "orders", CLIENT_ID_PARAMETERS, 401, 404, 503
)
PRICE = _read(
    "Last price and moving average",
    "stocks",
    [_SYMBOL, _query("trades", 50, 1000)],
    401,
    404,
    422,
    503,
)
BOOK = _read(
    "The book by level, best first", "stocks", [_SYMBOL, _query("depth", 10, 50)], 401, 422, 503
)
BALANCE = _read("Own cash from sells minus buys", "balance", [], 401, 503)
