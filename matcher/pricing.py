"""The price rule."""

from protocol.enums import ExecutionPrice, Side


def execution_price(
    rule: ExecutionPrice, maker_price: int, taker_price: int | None, taker_side: Side
) -> int:
    """The price of a trade, in cents.

    ``MAKER``: the resting order's price, so the incoming order gets any improvement; the rule of
    B3 and of every continuous auction. ``SELLER``: the ask's price, whichever side came first; a
    selling market order has none, and then the bid's price holds. See docs/decisions/0006.
    """
    if rule is ExecutionPrice.SELLER and taker_side is Side.ASK and taker_price is not None:
        return taker_price
    return maker_price
