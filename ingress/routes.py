"""``POST /orders`` and ``POST /orders/{id}/cancel``."""

import time

from ingress.appender import Appender
from ingress.decisions import wait_until_decided
from ingress.intake import accepted, parse_order
from ingress.listing import list_symbol
from protocol import codec, ids
from protocol.commands import CancelOrder
from protocol.problems import Problem
from runtime.connections import AsyncChannel
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.orders import find_order


class OrderRoutes:
    """Handlers of the hot endpoints: parse, call one thing, answer."""

    def __init__(
        self,
        context: Context,
        appender: Appender,
        channel: AsyncChannel,
        cancel_wait_seconds: float,
    ) -> None:
        self._context = context
        self._appender = appender
        self._channel = channel
        self._cancel_wait_seconds = cancel_wait_seconds

    async def place(self, call: Call) -> Answer:
        """201 once the log has the order on disk."""
        context = self._context
        broker = context.keyring.broker(call.authorization)
        if broker is None:
            broker = await context.authenticate(call.authorization)
        symbol, order = parse_order(call.body, broker.broker_id, time.time_ns() // 1_000_000)
        instrument = context.directory.instruments.get(symbol)
        if instrument is None:
            instrument = await list_symbol(context, self._channel, symbol)
        place = await self._appender.append(instrument, codec.encode(order))
        order_id = ids.encode(place.time_ms, instrument.number, place.sequence)
        body = accepted(symbol, order, order_id, place.time_ms)
        return Answer(201, body, ((b"location", b"/orders/" + order_id.encode()),))

    async def cancel(self, call: Call) -> Answer:
        """204 when the order is no longer open, 202 when the matcher takes its time."""
        context = self._context
        broker = await context.authenticate(call.authorization)
        (order_id,) = call.parameters
        found = await find_order(context, order_id)
        if found is None:
            raise Problem("order_not_found", "no order has this id")
        order = found.order
        if order.broker_id != broker.broker_id:
            raise Problem("forbidden", "the order is another broker's")
        if not order.state.is_open:
            return Answer(204)
        instrument = context.directory.instruments[order.symbol]
        place = await self._appender.append(instrument, codec.encode(CancelOrder(order.sequence)))
        decided = await wait_until_decided(
            context, instrument, place.sequence, self._cancel_wait_seconds
        )
        if decided:
            return Answer(204)
        return Answer(
            202,
            b'{"detail":"the cancel is in the log; the matcher has not reached it yet"}',
            ((b"location", b"/orders/" + order_id.encode()),),
        )
