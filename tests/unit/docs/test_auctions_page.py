"""The example of docs/explanation/auctions.md is what the code does."""

import re
from decimal import Decimal
from pathlib import Path

from matcher.auction import allocate, eligible, uncross
from matcher.book import Book
from matcher.order import Order
from protocol.commands import SetInstrument, SetStatus
from protocol.enums import InstrumentStatus, Side
from tests.support.builders import Pit, place, trades_of

PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "auctions.md").read_text()
REFERENCE = 1002


def table(heading: str) -> list[list[str]]:
    """The cells of the rows of the table with this first column."""
    text = re.search(rf"^\| {heading} \|.*?(?=^\n|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert text is not None
    return [line.strip("| \n").split(" | ") for line in text[0].splitlines()[2:]]


def cents(price: str) -> int:
    return int(Decimal(price) * 100)


ORDERS = [
    Order(sequence, Side(side), cents(price), int(quantity))
    for sequence, (_, side, price, quantity) in enumerate(table("order"), 1)
]
NAMES = {sequence: row[0] for sequence, row in enumerate(table("order"), 1)}


def quantity_at(side: Side, price: int) -> int:
    """How much of a side can trade at a price."""
    sign = 1 if side is Side.BID else -1
    mine = [order for order in ORDERS if order.side is side]
    return sum(o.quantity for o in mine if ((o.price or 0) - price) * sign >= 0)


def test_the_table_of_prices_is_that_of_the_orders() -> None:
    for price, can_buy, can_sell, trades, imbalance in table("price"):
        bought, sold = (quantity_at(side, cents(price)) for side in (Side.BID, Side.ASK))
        shown = [int(can_buy), int(can_sell), int(trades), int(imbalance)]
        assert shown == [bought, sold, min(bought, sold), bought - sold]


def test_the_auction_of_the_example_ends_as_the_page_says() -> None:
    book = Book()
    for order in ORDERS:
        book.add(order)
    found = uncross(
        [(level.price, level.quantity) for level in book.bids.levels()],
        [(level.price, level.quantity) for level in book.asks.levels()],
        reference_price=REFERENCE,
    )
    assert found is not None
    assert f"{found.price / 100:.2f}, so this is the price" in PAGE
    assert f"which is {found.quantity} shares" in PAGE
    assert f"only {found.imbalance} shares over" in PAGE
    pairs = []
    buyers, sellers = eligible([], book.bids, 1002), eligible([], book.asks, 1002)
    for buyer, seller, quantity in allocate(buyers, sellers):
        pairs.append([NAMES[buyer.sequence], NAMES[seller.sequence], str(quantity)])
        buyer.open_quantity -= quantity
        seller.open_quantity -= quantity
    assert pairs == table("bid")


def test_the_engine_ends_the_auction_of_the_example_in_the_same_way() -> None:
    pit = Pit()
    pit.apply(SetInstrument(reference_price=REFERENCE), SetStatus(InstrumentStatus.AUCTION))
    first = pit.market.sequence + 1
    pit.apply(*[place(order.side, order.price, order.quantity) for order in ORDERS])
    trades = trades_of(pit.last(SetStatus(InstrumentStatus.OPEN)))
    assert {price for price, *_ in trades} == {REFERENCE}
    pairs = []
    for _, quantity, *sequences in trades:
        # Of the two the page names the bid first.
        rows = [table("order")[sequence - first] for sequence in sequences]
        names = [name for name, *_ in sorted(rows, key=lambda row: row[1], reverse=True)]
        pairs.append([*names, str(quantity)])
    assert pairs == table("bid")
