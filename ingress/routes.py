"""Orders: place, amend, cancel."""

import time

from ingress import refusals
from ingress.appender import Appender
from ingress.decisions import wait_until_decided
from ingress.intake import accepted, in_the_log, parse_amendment, parse_order, refuse_passed
from ingress.listing import list_symbol
from ingress.pressure import Pressure
from protocol import codec, ids, keys
from protocol.commands import AmendOrder, CancelOrder, PlaceOrder, digest
from protocol.enums import OrderState
from protocol.records import OrderRecord
from protocol.registry import Instrument
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.orders import (
    client_record,
    find_order,
    order_answer,
    own_client_order,
    own_order,
)
from runtime.http.problems import Problem
from runtime.redis.channel import AsyncChannel, RedisError
from runtime.redis.functions.append import AppendRequest, Urgency


class OrderRoutes:
    """Handlers of the hot endpoints: parse, call one thing, answer."""

    def __init__(
        self,
        context: Context,
        appender: Appender,
        channel: AsyncChannel,
        pressure: Pressure,
        decision_wait_seconds: float,
    ) -> None:
        self._context = context
        self._appender = appender
        self._channel = channel
        self._pressure = pressure
        self._decision_wait_seconds = decision_wait_seconds

    async def place(self, call: Call) -> Answer:
        """201 once the log has the order on disk."""
        context = self._context
        broker = context.keyring.broker(call.authorization)
        if broker is None:
            broker = await context.authenticate(call.authorization)
        idempotency_key = call.header(b"idempotency-key")
        symbol, order = parse_order(call.body, broker.broker_id, idempotency_key)
        instrument = context.directory.instruments.get(symbol)
        try:
            refuse_passed(order.valid_until_ms, time.time_ns() // 1_000_000)
        except Problem:
            # A repeat is answered as the first sending was, also when its time has passed.
            if instrument is None or not await self._is_repeat(instrument, order):
                raise
        self._pressure.admit_order()
        if instrument is None:
            instrument = await list_symbol(context, self._channel, symbol)
        command = codec.encode(order)
        request = AppendRequest(symbol, command)
        if order.client_order_id:
            field = keys.client_field(instrument.number, broker.broker_id, order.client_order_id)
            request = request._replace(client=field, digest=digest(symbol, command))
        place = await self._appender.append(instrument, request)
        order_id = ids.encode(place.time_ms, instrument.number, place.sequence)
        if place.repeated:
            return await self._repeat(order_id, place.digest == request.digest, idempotency_key)
        body = accepted(symbol, order, order_id, place.time_ms)
        return Answer(201, body, ((b"location", b"/orders/" + order_id.encode()),))

    async def _is_repeat(self, instrument: Instrument, order: PlaceOrder) -> bool:
        if not order.client_order_id:
            return False
        known = await client_record(
            self._context, instrument, order.broker_id, order.client_order_id
        )
        return known is not None

    async def _repeat(self, order_id: str, is_same: bool, idempotency_key: bytes | None) -> Answer:
        """200 with the order of the first sending, or a problem when that was another order."""
        if not is_same:
            raise refusals.sent_before(order_id, with_header=idempotency_key is not None)
        found = await find_order(self._context, order_id)
        assert found is not None, "its record names an entry of the log"
        location = (b"location", b"/orders/" + order_id.encode())
        return Answer(200, order_answer(*found), (location, (b"idempotent-replayed", b"true")))

    async def cancel(self, call: Call) -> Answer:
        """204 when the order is no longer open, 202 when the matcher takes its time."""
        return await self._cancel((await own_order(self._context, call)).order)

    async def cancel_by_client_id(self, call: Call) -> Answer:
        """The same, by the broker's own id of the order."""
        return await self._cancel((await own_client_order(self._context, call)).order)

    async def _cancel(self, order: OrderRecord) -> Answer:
        if not order.state.is_open:
            return Answer(204)
        instrument = self._context.directory.instruments[order.symbol]
        self._pressure.admit_cancel()
        command = codec.encode(CancelOrder(order.sequence))
        request = AppendRequest(order.symbol, command, Urgency.CANCEL)
        place = await self._appender.append(instrument, request)
        if await self._decided(instrument, place.sequence):
            return Answer(204)
        return _in_the_log(order, "cancel")

    async def amend(self, call: Call) -> Answer:
        """200 with the changed order, 409 or 412 when it stays untouched, 202 when the matcher
        takes its time."""
        order = (await own_order(self._context, call)).order
        now_ms = time.time_ns() // 1_000_000
        command = parse_amendment(call.body, order.sequence, call.header(b"if-match"), now_ms)
        _refuse_in_vain(order, command)
        instrument = self._context.directory.instruments[order.symbol]
        self._pressure.admit_order()
        request = AppendRequest(order.symbol, codec.encode(command))
        place = await self._appender.append(instrument, request)
        if not await self._decided(instrument, place.sequence):
            return _in_the_log(order, "amendment")
        found = await find_order(self._context, order.order_id)
        assert found is not None, "it was there before"
        if found.order.amended_sequence < place.sequence:
            _refuse_in_vain(found.order, command)  # The order has changed on the way.
            raise refusals.order_changed()
        version = b'"%d"' % found.order.version
        return Answer(200, order_answer(found.order, found.fills), ((b"etag", version),))

    async def _decided(self, instrument: Instrument, sequence: int) -> bool:
        try:
            return await wait_until_decided(
                self._context, instrument, sequence, self._decision_wait_seconds
            )
        except (RedisError, Overloaded) as error:
            # The command is in the log, so nobody may be told that nothing was taken.
            raise refusals.outcome_unknown(error) from error


def _in_the_log(order: OrderRecord, what: str) -> Answer:
    return Answer(202, in_the_log(what), ((b"location", b"/orders/" + order.order_id.encode()),))


def _refuse_in_vain(order: OrderRecord, command: AmendOrder) -> None:
    """Refuse an amendment that would change nothing, as the engine would."""
    if not order.state.is_open:
        raise refusals.order_not_open(order.state)
    expected = command.expected_version
    if expected is not None and order.state is not OrderState.PENDING and expected != order.version:
        raise refusals.version_mismatch(order.version)
    if command.quantity is not None and command.quantity <= order.filled_quantity:
        raise refusals.quantity_below_filled(order.filled_quantity)
