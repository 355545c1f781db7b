"""The hot endpoints of ingress in OpenAPI."""

from typing import Any

from runtime.http.orders import CLIENT_ID_PARAMETERS

_SECURITY: list[dict[str, list[str]]] = [{"key": []}]
_PROBLEM = {
    "description": "A problem (RFC 9457) with a stable `code`; see docs/errors.md",
    "content": {"application/problem+json": {"schema": {"type": "object"}}},
}


def _responses(success: dict[str, Any], *problems: int) -> dict[str, Any]:
    return success | {str(status): _PROBLEM for status in problems}


PLACE: dict[str, Any] = {
    "summary": "Place an order",
    "tags": ["orders"],
    "description": "With a `client_order_id`, or the header `Idempotency-Key`, it can be repeated"
    " safely: the same body is answered with the first order.",
    "security": _SECURITY,
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "An alias of `client_order_id`, quoted or not",
            "schema": {"type": "string"},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OrderBody"}}},
    },
    "responses": _responses(
        {
            "200": {
                "description": "The order that was sent before with this client order id",
                "headers": {"Idempotent-Replayed": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "201": {
                "description": "The order is in the log, on disk",
                "headers": {"Location": {"schema": {"type": "string"}}},
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
        },
        *(401, 409, 413, 422, 503),
    ),
}

_ORDER_ID = {
    "name": "order_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "format": "uuid"},
}

CANCEL: dict[str, Any] = {
    "summary": "Cancel an order",
    "tags": ["orders"],
    "security": _SECURITY,
    "parameters": [_ORDER_ID],
    "responses": _responses(
        {
            "204": {"description": "The order is no longer open"},
            "202": {
                "description": "The cancel is in the log, the matcher has not reached it yet",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
        },
        *(401, 403, 404, 503),
    ),
}

CANCEL_BY_CLIENT_ID: dict[str, Any] = CANCEL | {
    "summary": "Cancel an order by the broker's own id",
    "parameters": CLIENT_ID_PARAMETERS,
}

AMEND: dict[str, Any] = {
    "summary": "Amend an order",
    "description": "Priority is kept only when the price stays and the quantity goes down.",
    "tags": ["orders"],
    "security": _SECURITY,
    "parameters": [
        _ORDER_ID,
        {
            "name": "If-Match",
            "in": "header",
            "description": 'Amend only this version of the order, as `"3"`',
            "schema": {"type": "string"},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AmendBody"}}},
    },
    "responses": _responses(
        {
            "200": {
                "description": "The changed order",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "202": CANCEL["responses"]["202"],
        },
        *(401, 403, 404, 409, 412, 422, 503),
    ),
}
