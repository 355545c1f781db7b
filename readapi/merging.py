"""A page of a list, from what PostgreSQL had stored and the batches that it had not. Pure.

Lists are sorted by a key that a row never loses: newest first, by the id of the order or the trade.
So what happens between two pages moves no row from one page to another.
"""

from collections.abc import Iterable
from typing import NamedTuple

from protocol.records import OrderRecord
from protocol.units import document_digits
from readapi.recent import RecentBatch
from runtime.postgres.lists import OrderFilter, StoredFill, TradeFilter


class Merged(NamedTuple):
    """At most as many rows as were asked for, and whether there are more."""

    rows: list[OrderRecord]
    has_more: bool


class MergedFills(NamedTuple):
    """The same of fills."""

    rows: list[StoredFill]
    has_more: bool


def changed_orders(
    batches: Iterable[RecentBatch], broker_id: str, before: str | None
) -> dict[str, OrderRecord]:
    """The last state of a broker's orders with ids below ``before``, whatever it is."""
    found: dict[str, OrderRecord] = {}
    for batch in batches:
        orders = batch.orders.get(broker_id)
        if orders is not None:
            found |= orders
    if before is None:
        return found
    return {order_id: order for order_id, order in found.items() if order_id < before}


def merge_orders(
    stored: list[OrderRecord], changed: dict[str, OrderRecord], wanted: OrderFilter, limit: int
) -> Merged:
    """``stored`` are rows of the filter. What has changed since replaces them, also where it does
    not fit the filter any more."""
    rows = {order.order_id: order for order in stored}
    for order_id, order in changed.items():
        if fits(order, wanted):
            rows[order_id] = order
        else:
            rows.pop(order_id, None)
    newest = sorted(rows, reverse=True)
    return Merged([rows[order_id] for order_id in newest[:limit]], len(newest) > limit)


def fits(order: OrderRecord, wanted: OrderFilter) -> bool:
    """Whether the filter of a list lets an order through, as the query to PostgreSQL does."""
    return (
        wanted.is_open in (None, order.state.is_open)
        and wanted.symbol in (None, order.symbol)
        and wanted.side in (None, order.side.value)
        and wanted.document_digits in (None, document_digits(order.document_number))
        and (wanted.updated_after_ms is None or order.updated_ms > wanted.updated_after_ms)
    )


def merge_fills(
    stored: list[StoredFill],
    batches: list[RecentBatch],
    wanted: TradeFilter,
    before: tuple[str, str] | None,
    limit: int,
) -> MergedFills:
    """Fills are only added; a bust marks them."""
    rows = {fill.key: fill for fill in stored}
    busted: set[tuple[int, int]] = set()
    for batch in batches:
        busted |= batch.busted
        for fill in batch.fills.get(wanted.broker_id, ()):
            if fill_fits(fill, wanted) and (before is None or fill.key < before):
                rows[fill.key] = fill
    newest = sorted(rows, reverse=True)
    page = [
        rows[key]._replace(is_busted=True)
        if (rows[key].instrument_number, rows[key].trade_number) in busted
        else rows[key]
        for key in newest[:limit]
    ]
    return MergedFills(page, len(newest) > limit)


def fill_fits(fill: StoredFill, wanted: TradeFilter) -> bool:
    return (
        wanted.symbol in (None, fill.symbol)
        and wanted.order_id in (None, fill.order_id)
        and (wanted.since_ms is None or fill.executed_ms >= wanted.since_ms)
    )
