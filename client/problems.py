"""The one exception of this package."""

import msgspec

NO_ANSWER = "no_answer"
"""The connection could not be made, or it ended before the answer came."""
INVALID_ANSWER = "invalid_answer"
"""The answer is not what the documentation of the exchange says."""
NOT_DECIDED = "not_decided"
"""The request is in the log of the exchange, and the matcher has not reached it in time."""


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one field; ``pointer`` is a JSON pointer into the body (``#/price``)."""

    pointer: str
    code: str
    detail: str


class Problem(Exception):
    """Why a call has failed.

    * ``code`` is a code of the exchange (docs/reference/errors.md), or ``no_answer``,
      ``invalid_answer`` or ``not_decided`` where this package gives up by itself.
    * ``status`` is the HTTP status, 0 where no answer came.
    * ``is_outcome_unknown`` says that the exchange may have carried the request out. Otherwise it
      has not.
    * ``gave_up`` says why the call was not repeated any longer. It is empty where the exchange has
      refused the request for good, so that a repeat cannot help.
    * ``attempts`` counts how often the request was sent, and ``seconds`` is the time since the
      first.
    * ``client_order_ids`` are those of the orders that were sent, so that they can be looked for.
    * ``order_id`` names the order to which the client order id belongs already, where the exchange
      says so.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status: int = 0,
        errors: tuple[FieldError, ...] = (),
        request_id: str = "",
        order_id: str | None = None,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.errors = errors
        self.request_id = request_id
        self.order_id = order_id
        self.client_order_ids: tuple[str, ...] = ()
        self.is_outcome_unknown = False
        self.gave_up = ""
        self.attempts = 1
        self.seconds = 0.0

    def __str__(self) -> str:
        parts = [f"{self.status or 'no answer'} {self.code}: {self.detail}"]
        if self.gave_up:
            tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
            parts.append(f"gave up after {tries} in {self.seconds:.1f} s: {self.gave_up}")
        if self.is_outcome_unknown:
            parts.append("the request may or may not have been carried out")
        if self.request_id:
            parts.append(f"request {self.request_id}")
        return "; ".join(parts)


def said(error: Exception) -> str:
    """What an error says, and its name where it says nothing."""
    return str(error) or type(error).__name__


class ProblemBody(msgspec.Struct, frozen=True):
    """The fields of ``application/problem+json`` that this package reads."""

    code: str
    detail: str = ""
    status: int = 0
    errors: tuple[FieldError, ...] = ()
    order_id: str | None = None
