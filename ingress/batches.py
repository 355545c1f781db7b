"""Many orders or cancels in one request.

Each item is answered as if it had been sent alone. All of them are begun in one turn of the event
loop, so the appender sends those of one partition with one call of its Function.
"""

from collections.abc import Coroutine
from typing import Any

import msgspec

from ingress.bodies import BatchAnswer, BatchItem, CancelBatchBody, ItemProblem, RawBatch
from ingress.intake import decode
from ingress.preferences import OrderHeaders, order_headers, wants_order
from ingress.routes import OrderRoutes
from protocol.broker_keys import Scope
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.problems import Problem, as_problem
from runtime.http.rate_limit import Kind
from runtime.process.promise import begin

_orders_decoder = msgspec.json.Decoder(RawBatch)
_cancels_decoder = msgspec.json.Decoder(CancelBatchBody)


class BatchRoutes:
    """Handlers of the calls of batches."""

    def __init__(self, context: Context, orders: OrderRoutes) -> None:
        self._context = context
        self._orders = orders

    async def place(self, call: Call) -> Answer:
        """200 with a result for each order."""
        broker = await self._context.authenticate(call, Scope.TRADE)
        headers = OrderHeaders(None, order_headers(call.headers).wait_seconds)
        bodies = decode(_orders_decoder, call.body).orders
        self._context.rate_limits.owe(broker.broker_id, Kind.ORDERS, len(bodies) - 1)
        return await _together(
            [self._orders.place_order(broker, bytes(body), headers) for body in bodies],
            [f"#/orders/{at}" for at in range(len(bodies))],
        )

    async def cancel(self, call: Call) -> Answer:
        """200 with a result for each id."""
        broker = await self._context.authenticate(call, Scope.TRADE)
        order_ids = decode(_cancels_decoder, call.body).order_ids
        self._context.rate_limits.owe(broker.broker_id, Kind.CANCELS, len(order_ids) - 1)
        with_order = wants_order(call.headers)
        return await _together(
            [self._orders.cancel_order(broker, order_id, with_order) for order_id in order_ids],
            [f"#/order_ids/{at}" for at in range(len(order_ids))],
        )


async def _together(requests: list[Coroutine[Any, None, Answer]], pointers: list[str]) -> Answer:
    """The answer of all requests, in their order. ``pointers`` say where in the body they are."""
    promises = [
        begin(_item(request, pointer)) for request, pointer in zip(requests, pointers, strict=True)
    ]
    results = [await promise for promise in promises]
    return Answer(200, batch_answer([item for item, _ in results]), _applied(results))


_Result = tuple[BatchItem, tuple[tuple[bytes, bytes], ...]]
"""An item and the headers that its request alone would have been answered with."""


async def _item(request: Coroutine[Any, None, Answer], pointer: str) -> _Result:
    try:
        answer = await request
    except Exception as error:  # noqa: BLE001 - the boundary of an item: all of it is answered.
        problem = as_problem(error)
        return BatchItem(problem.status, problem=item_problem(problem, pointer)), ()
    if answer.status in (202, 204):
        return BatchItem(answer.status), answer.headers
    return BatchItem(answer.status, order=msgspec.Raw(answer.body)), answer.headers


def _applied(results: list[_Result]) -> tuple[tuple[bytes, bytes], ...]:
    """``Preference-Applied``, if all items that were taken have it."""
    applied = {
        next((header for header in headers if header[0] == b"preference-applied"), None)
        for item, headers in results
        if item.problem is msgspec.UNSET
    }
    header = applied.pop() if len(applied) == 1 else None
    return () if header is None else (header,)


def item_problem(problem: Problem, pointer: str) -> ItemProblem:
    """The problem of one item; ``pointer`` says where in the body it is."""
    content = msgspec.json.decode(problem.body("", ""))
    errors = [
        error | {"pointer": pointer + error["pointer"].removeprefix("#")}
        for error in content.get("errors", [])
    ]
    kept = {name: content[name] for name in ItemProblem.__struct_fields__ if name in content}
    return msgspec.convert(kept | {"errors": errors}, ItemProblem)


def batch_answer(items: list[BatchItem]) -> bytes:
    """The body of an answer to a batch."""
    return msgspec.json.encode(BatchAnswer(items))
