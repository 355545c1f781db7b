"""Why a command that makes no order changes nothing, in stable words."""

from matcher.order import Order
from protocol.commands import AmendOrder, CancelOrder

ORDER_NOT_OPEN = "order_not_open"
NOT_OWNER = "not_owner"
QUANTITY_BELOW_FILLED = "quantity_below_filled"
VERSION_MISMATCH = "version_mismatch"
VALID_UNTIL_PASSED = "valid_until_passed"
VALID_UNTIL_NOT_ALLOWED = "valid_until_not_allowed"
INVALID_ORDER = "invalid_order"
INVALID_COMMAND = "invalid_command"
STATUS_UNCHANGED = "status_unchanged"
TRADE_NOT_FOUND = "trade_not_found"
ALREADY_BUSTED = "already_busted"


def cancel_refusal(order: Order | None, command: CancelOrder | AmendOrder) -> str:
    """Why a command is not for this order, empty when it is."""
    if order is None or command.created_ms not in (0, order.created_ms):
        return ORDER_NOT_OPEN
    if command.broker_id and command.broker_id != order.broker_id:
        return NOT_OWNER
    return ""


def amend_refusal(order: Order | None, command: AmendOrder, time_ms: int) -> str:
    """Why an amendment leaves its order untouched, empty when it does not."""
    refusal = cancel_refusal(order, command)
    if order is None or refusal:
        return refusal
    if command.expected_version not in (None, order.version):
        return VERSION_MISMATCH
    filled = order.quantity - order.total_quantity
    if command.quantity is not None and command.quantity <= filled:
        return QUANTITY_BELOW_FILLED
    if command.valid_until_ms is not None and command.valid_until_ms <= time_ms:
        return VALID_UNTIL_PASSED
    return ""
