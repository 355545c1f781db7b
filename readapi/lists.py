"""The lists of a broker: orders, fills, positions.

They are read from PostgreSQL and from the events that it does not have yet, see
``readapi.recent`` and ``readapi.merging``.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import TypeVar

from protocol.broker_keys import Scope
from protocol.enums import Side
from protocol.partitions import all_partitions
from protocol.units import DOCUMENT_NUMBER_PATTERN, document_digits
from readapi import cursors
from readapi.freshness import LIST_DECISION_SECONDS, up_to_date
from readapi.listed import listed_fill, listed_order, page_answer, positions_answer
from readapi.merging import Merged, changed_orders, merge_fills, merge_orders
from readapi.parameters import Parameters
from readapi.recent import Recent, View
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.postgres.lists import (
    OrderFilter,
    Stored,
    TradeFilter,
    stored_fills,
    stored_holdings,
    stored_orders,
)
from runtime.process.promise import in_task
from runtime.redis.functions.read_balance import read_balance

ORDER_PARAMETERS = (
    *("status", "symbol", "side", "document_number", "updated_after"),
    *("limit", "cursor"),
)
TRADE_PARAMETERS = ("order_id", "symbol", "since", "limit", "cursor")
STATUSES = {"open": True, "closed": False, "all": None}
RENDERED_AT_ONCE = 50

T = TypeVar("T")


class ListRoutes:
    """Handlers of the lists. They are not among the hottest calls, and they work in tasks."""

    def __init__(self, context: Context, recent: Recent) -> None:
        self._context = context
        self._recent = recent

    async def orders(self, call: Call) -> Answer:
        """200 with a page of own orders, newest first."""
        parameters = Parameters(call.query_string, ORDER_PARAMETERS)
        broker_id = await self._broker(call)
        wanted = order_filter(parameters, broker_id)
        return await in_task(self._orders(wanted, parameters))

    async def trades(self, call: Call) -> Answer:
        """200 with a page of own fills, newest first."""
        parameters = Parameters(call.query_string, TRADE_PARAMETERS)
        broker_id = await self._broker(call)
        wanted = TradeFilter(
            broker_id, parameters.symbol(), parameters.order_id(), parameters.time_ms("since")
        )
        return await in_task(self._trades(wanted, parameters))

    async def positions(self, call: Call) -> Answer:
        """200 with what the broker holds of each symbol."""
        Parameters(call.query_string, ())
        broker_id = await self._broker(call)
        return await in_task(self._positions(broker_id))

    async def _broker(self, call: Call) -> str:
        """The calling broker, once what he has sent is decided."""
        context = self._context
        broker = await context.authenticate(call, Scope.READ)
        partitions = list(all_partitions(context.genesis.partitions))
        await up_to_date(
            context,
            read_balance(partitions, broker.broker_id),
            lambda read: read.awaited,
            LIST_DECISION_SECONDS,
        )
        return broker.broker_id

    async def _orders(self, wanted: OrderFilter, parameters: Parameters) -> Answer:
        limit, cursor = parameters.limit(), parameters.text("cursor")
        view = await self._recent.view()
        scope = cursors.scope(view.history_id, "orders", wanted.broker_id, parameters.filters())
        before = None if cursor is None else _order_position(cursors.unseal(scope, cursor))
        page = await self._merged(view, wanted, before, limit)
        following = None
        if page.has_more:
            following = cursors.seal(scope, uuid.UUID(page.rows[-1].order_id).bytes)
        return Answer(200, page_answer(await _rendered(page.rows, listed_order), following))

    async def newest(self, wanted: OrderFilter, limit: int) -> Merged:
        """The newest orders as of now; for tasks. Raises what
        :meth:`~readapi.recent.Recent.together` raises."""
        return await self._merged(await self._recent.view(), wanted, None, limit)

    async def _merged(
        self, view: View, wanted: OrderFilter, before: str | None, limit: int
    ) -> Merged:

        async def read(view: View) -> Stored:
            # As many more as may be replaced.
            more = len(changed_orders(view.beyond(), wanted.broker_id, before))
            return await stored_orders(self._context.archive, wanted, before, limit + 1 + more)

        view, stored = await self._recent.together(view, read)
        changed = changed_orders(view.beyond(stored), wanted.broker_id, before)
        return merge_orders(stored.rows, changed, wanted, limit)

    async def _trades(self, wanted: TradeFilter, parameters: Parameters) -> Answer:
        limit, cursor = parameters.limit(), parameters.text("cursor")
        view = await self._recent.view()
        scope = cursors.scope(view.history_id, "trades", wanted.broker_id, parameters.filters())
        before = None if cursor is None else _fill_position(cursors.unseal(scope, cursor))

        async def read(_view: View) -> Stored:
            return await stored_fills(self._context.archive, wanted, before, limit + 1)

        view, stored = await self._recent.together(view, read)
        page = merge_fills(stored.rows, list(view.beyond(stored)), wanted, before, limit)
        following = None
        if page.has_more:
            trade_id, liquidity = page.rows[-1].key
            following = cursors.seal(scope, uuid.UUID(trade_id).bytes + liquidity[:1].encode())
        return Answer(200, page_answer(await _rendered(page.rows, listed_fill), following))

    async def _positions(self, broker_id: str) -> Answer:
        async def read(_view: View) -> Stored:
            return await stored_holdings(self._context.archive, broker_id)

        view, stored = await self._recent.together(await self._recent.view(), read)
        held: dict[str, int] = {row.symbol: row.quantity for row in stored.rows}
        for batch in view.beyond(stored):
            for symbol, quantity in batch.holdings.get(broker_id, {}).items():
                held[symbol] = held.get(symbol, 0) + quantity
        return Answer(200, positions_answer(held))


def order_filter(parameters: Parameters, broker_id: str) -> OrderFilter:
    """Raises ``invalid_parameter`` and ``invalid_symbol``."""
    document = parameters.matching("document_number", DOCUMENT_NUMBER_PATTERN, "1 to 20 characters")
    return OrderFilter(
        broker_id,
        is_open=STATUSES[parameters.choice("status", STATUSES) or "all"],
        symbol=parameters.symbol(),
        side=parameters.choice("side", [side.value for side in Side]),
        document_digits=None if document is None else document_digits(document),
        updated_after_ms=parameters.time_ms("updated_after"),
    )


def _order_position(position: bytes) -> str:
    if len(position) != 16:
        raise cursors.invalid_cursor()
    return str(uuid.UUID(bytes=position))


def _fill_position(position: bytes) -> tuple[str, str]:
    liquidity = {b"m": "maker", b"t": "taker"}.get(position[16:])
    if liquidity is None:
        raise cursors.invalid_cursor()
    return str(uuid.UUID(bytes=position[:16])), liquidity


async def _rendered(rows: list[T], render: Callable[[T], bytes]) -> list[bytes]:
    """The rows as JSON; others may work in between."""
    rendered: list[bytes] = []
    for at in range(0, len(rows), RENDERED_AT_ONCE):
        rendered += [render(row) for row in rows[at : at + RENDERED_AT_ONCE]]
        await asyncio.sleep(0)
    return rendered
