"""The problems that ingress answers, except those of a body that is wrong."""

from protocol.enums import OrderState, StateReason
from runtime.http.problems import Problem, field_problem

LOG_FULL = Problem(
    "overloaded",
    "nothing was taken: too many orders wait to be matched or stored; try again after Retry-After",
)
NEW_HISTORY = Problem(
    "unavailable",
    "nothing was taken: the exchange has begun a new history; try again after Retry-After",
)


def memory_full(share: float) -> Problem:
    """``share`` is the used part of Redis's memory limit."""
    return Problem(
        "overloaded",
        f"nothing was taken: Redis has used {share:.0%} of its memory; try again after Retry-After",
    )


def not_taken(error: Exception) -> Problem:
    return Problem("unavailable", f"nothing was taken; try again after Retry-After ({error})")


def outcome_unknown(error: Exception) -> Problem:
    return Problem(
        "outcome_unknown",
        f"the log did not answer, so the request may or may not have been taken ({error})",
    )


def taken_in_part(error: Exception) -> Problem:
    return Problem(
        "outcome_unknown",
        "some of the symbols have taken the request and others not; send it again, which is"
        f" harmless ({error})",
    )


def key_not_found() -> Problem:
    return Problem("key_not_found", "the broker has no key of this id; it may be revoked already")


def too_many_keys(most: int) -> Problem:
    return Problem("too_many_keys", f"a broker has at most {most} of them; revoke one first")


def registration_unknown(error: Exception) -> Problem:
    return Problem(
        "outcome_unknown",
        f"the registry did not answer, so it may or may not have been written; try again ({error})",
    )


def sent_before(order_id: str, with_header: bool) -> Problem:
    """The client order id belongs to another order; ``with_header`` says whether it was sent as
    ``Idempotency-Key``."""
    code = "idempotency_key_reused" if with_header else "duplicate_client_order_id"
    return Problem(code, "it was sent before with another body", order_id=order_id)


def order_not_open(state: OrderState) -> Problem:
    return Problem("order_not_open", f"the order is {state.value}")


def order_changed() -> Problem:
    return Problem("order_not_open", "the order changed before the amendment reached it")


def _refused(reason: StateReason, detail: str, field: str | None = None) -> tuple[str, Problem]:
    code = reason.value
    return code, field_problem(field, code, detail) if field else Problem(code, detail)


BY_THE_ENGINE = dict(
    (
        _refused(StateReason.SYMBOL_HALTED, "the status of the symbol lets nobody amend orders"),
        _refused(StateReason.POST_ONLY_WOULD_CROSS, "the order would trade at once"),
        _refused(StateReason.INVALID_TICK, "no multiple of the tick size of the symbol", "price"),
        _refused(StateReason.INVALID_LOT, "no multiple of the lot size of the symbol", "quantity"),
        _refused(StateReason.PRICE_BAND, "outside the price band of the symbol", "price"),
        _refused(StateReason.PRICE_COLLAR, "too far from the price of the last trade", "price"),
        _refused(StateReason.BROKER_DISABLED, "the operator takes no orders from you now"),
        _refused(StateReason.ORDER_QUANTITY_LIMIT, "above the limit of your orders", "quantity"),
        _refused(StateReason.ORDER_NOTIONAL_LIMIT, "price times quantity is too much", "quantity"),
    )
)
"""The reasons for which the engine leaves an order as it was, and ingress cannot foresee."""


def amendment_refused(reason: str | None) -> Problem:
    """``reason`` is the engine's, ``None`` where nobody told it."""
    return BY_THE_ENGINE.get(reason or "") or order_changed()


def version_mismatch(version: int) -> Problem:
    return Problem("version_mismatch", f"the order is at version {version}")


def quantity_below_filled(filled: int) -> Problem:
    return Problem("quantity_below_filled", f"{filled} shares of the order are filled already")


def symbol_not_listed(symbol: str) -> Problem:
    return Problem("symbol_not_listed", f"{symbol} is not listed; ask the exchange to list it")


def broker_not_found() -> Problem:
    return Problem("broker_not_found", "no broker has this id")


def invalid_webhook_url(schemes: tuple[str, ...], field: str) -> Problem:
    return field_problem(
        field,
        "invalid_webhook_url",
        f"send an absolute URL with {' or '.join(schemes)} and without credentials",
    )


def endpoint_not_found() -> Problem:
    return Problem("endpoint_not_found", "you have no webhook endpoint with this id")


def delivery_not_found() -> Problem:
    return Problem(
        "delivery_not_found",
        "no message with this id is kept for the endpoint; list the deliveries",
    )


def endpoint_disabled() -> Problem:
    return Problem("endpoint_disabled", "nothing is sent to the endpoint; enable it first")


def too_many_endpoints(most: int) -> Problem:
    return Problem("too_many_endpoints", f"you have {most} webhook endpoints, and more may not be")


def too_many_changes(per_hour: int, seconds: int) -> Problem:
    """The next change may come after ``seconds``."""
    return Problem(
        "rate_limited",
        f"nothing was taken: your webhook endpoints take {per_hour} requests an hour that change"
        " or send something; try again after Retry-After",
        headers=((b"retry-after", b"%d" % seconds),),
    )
