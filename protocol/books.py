"""The book snapshot as the matcher stores it and the read API serves it.

A snapshot is text: ``SEQUENCE|LEVELS|LEVELS``, bids then asks, best first, each level
``price,quantity,count;``. It is written far oftener than it is read, so the form that is cheap to
write and small in the log won; the read API renders it (docs/decisions/0005).
"""

EMPTY = b"0||"


def level(price: int, total_quantity: int, order_count: int) -> str:
    return f"{price},{total_quantity},{order_count};"


def snapshot(sequence: int, bids: str, asks: str) -> bytes:
    return f"{sequence}|{bids}|{asks}".encode()
