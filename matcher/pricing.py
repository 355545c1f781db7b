"""The price rule."""

from protocol.enums import ExecutionPrice, Side


def execution_price(
    rule: ExecutionPrice, maker_price: int, taker_price: int | None, taker_side: Side
) -> int:
    """The price of a trade, in cents.

    ``MAKER``: the price of the resting order, so a better price is a gain for the incoming order.
    B3 and every continuous auction use this rule. ``SELLER``: the price of the ask, whichever side
    came first. A market order that sells has no price, so the trade takes the price of the bid. See
    docs/decisions/0006.
    """
    if rule is ExecutionPrice.SELLER and taker_side is Side.ASK and taker_price is not None:
        return taker_price
    return maker_price
