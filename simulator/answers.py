"""How answers of an exchange are read where more than one spelling is allowed."""

import json
from typing import Any

BODY_SHOWN_MAX = 200  # Characters of an answer that is quoted in an error.


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
