"""The book snapshot as the matcher stores it and the read API serves it.

A snapshot is text: ``SEQUENCE|LEVELS|LEVELS``, bids then asks, best first, each level
``price,quantity,count;``. It is written far oftener than it is read, so the form that is cheap to
write and small in the log won; ``render`` is the other half (docs/decisions/0005).
"""

EMPTY = b"0||"


def level(price: int, total_quantity: int, order_count: int) -> str:
    return f"{price},{total_quantity},{order_count};"


def snapshot(sequence: int, bids: str, asks: str) -> bytes:
    return f"{sequence}|{bids}|{asks}".encode()


def render(symbol: str, stored: bytes, depth: int) -> bytes:
    """The JSON body of ``GET /stocks/{symbol}/book`` for a stored snapshot."""
    sequence, bids, asks = stored.decode().split("|")
    return (
        f'{{"symbol":"{symbol}","depth":{depth},"bids":[{_levels(bids, depth)}],'
        f'"asks":[{_levels(asks, depth)}],"sequence":{sequence}}}'
    ).encode()


def _levels(text: str, depth: int) -> str:
    levels = []
    for part in text.split(";", depth)[:depth]:
        if part:
            price, quantity, count = part.split(",")
            levels.append(f'{{"price":{price},"total_quantity":{quantity},"order_count":{count}}}')
    return ",".join(levels)
