"""How answers of an exchange are read where more than one spelling is allowed."""

import json
from typing import Any

BODY_SHOWN_MAX = 200  # Characters of an answer that is quoted in an error.
_ORDER_ID = b'"order_id":"'


def problem_text(status: int, body: bytes) -> str:
    """What an exchange said instead of success: the status, then the code and the detail, or the
    body as it is. For a person."""
    problem = json_object(body)
    words = [str(problem[name]) for name in ("code", "detail") if problem.get(name)]
    if not words:
        words = [body[:BODY_SHOWN_MAX].decode("utf-8", "replace").strip() or "an empty body"]
    return f"{status} {': '.join(words)}"


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; empty when the body is something else."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def order_id_of(body: bytes) -> bytes:
    """The id of a new order in the answer to ``POST /orders``: its ``order_id``, or its ``id``.
    Empty where there is none."""
    at = body.find(_ORDER_ID)
    if at >= 0:
        at += len(_ORDER_ID)
        return body[at : body.find(b'"', at)]
    content = json_object(body)  # Another exchange may space its JSON.
    order_id = content.get("order_id", content.get("id"))
    return b"" if order_id is None else str(order_id).encode()
