"""Orders: place, amend, cancel."""

import time

from ingress import refusals
from ingress.appender import Appender
from ingress.controls import BrokerControls
from ingress.instructions import refuse_unfitting_amendment
from ingress.intake import (
    accepted,
    in_the_log,
    parse_amendment,
    parse_order,
    refuse_passed,
    validated,
)
from ingress.limits import refuse_amendment, refuse_order
from ingress.listing import known_symbol, list_symbol
from ingress.preferences import OrderHeaders, order_headers, wants_order
from ingress.pressure import Pressure
from protocol import codec, ids, keys
from protocol.broker_keys import Scope
from protocol.commands import AmendOrder, CancelOrder, PlaceOrder, digest
from protocol.enums import OrderState
from protocol.records import OrderRecord
from protocol.registry import Broker, BrokerLimits, Instrument
from runtime.http.coalescer import Overloaded
from runtime.http.context import Context
from runtime.http.decisions import Verdict
from runtime.http.endpoints import Answer, Call
from runtime.http.orders import (
    FoundOrder,
    client_record,
    find_order,
    forbidden,
    order_answer,
    order_not_found,
    own_client_order,
    own_order,
)
from runtime.http.problems import Problem
from runtime.process.promise import Promise, in_task
from runtime.redis.channel import AsyncChannel, RedisError
from runtime.redis.functions.append import AppendRequest, LogPlace, Urgency


class OrderRoutes:
    """Handlers of the hot endpoints: parse, call one thing, answer."""

    def __init__(
        self,
        context: Context,
        appender: Appender,
        channel: AsyncChannel,
        pressure: Pressure,
        controls: BrokerControls,
        decision_wait_seconds: float,
    ) -> None:
        self._context = context
        self._appender = appender
        self._channel = channel
        self._pressure = pressure
        self._controls = controls
        self._decision_wait_seconds = decision_wait_seconds

    async def place(self, call: Call) -> Answer:
        """201 once the log has the order on disk, or once it is decided if the caller prefers to
        wait."""
        context = self._context
        key = context.keyring.key(call.authorization)
        if key is not None and key.is_unrestricted:
            broker = key.broker
        else:
            broker = await context.authenticate(call, Scope.TRADE)
        return await self.place_order(broker, call.body, order_headers(call.headers))

    async def place_order(self, broker: Broker, body: bytes, headers: OrderHeaders) -> Answer:
        """:meth:`place` for a broker that is known; ``body`` is the JSON of one order."""
        symbol, order = parse_order(body, broker.broker_id, headers.idempotency_key)
        instrument = self._context.directory.instruments.get(symbol)
        limits = self._limits_of(broker.broker_id)
        try:
            if limits is not None:
                refuse_order(limits.rules, order)
            refuse_passed(order.valid_until_ms, time.time_ns() // 1_000_000)
        except Problem:
            # A repeat is answered as the first sending was, whatever has changed since.
            if instrument is None or await self._first_sending(instrument, order) is None:
                raise
        self._pressure.admit_order()
        if instrument is None:
            instrument = await in_task(list_symbol(self._context, self._channel, symbol))
        if limits is not None:
            await self._controls.ensure(instrument, limits)
        request = _append_request(instrument, order)
        place = await self._appender.append(instrument, request)
        order_id = ids.encode(place.time_ms, instrument.number, place.sequence)
        if place.repeated:
            is_same = place.digest == request.digest
            return await self._repeat(order_id, is_same, headers.idempotency_key is not None)
        location = (b"location", b"/orders/" + order_id.encode())
        if headers.wait_seconds:
            decided = await self._order_when_decided(
                instrument, place, order_id, headers.wait_seconds
            )
            if decided is not None:
                applied = (b"preference-applied", b"wait=%d" % headers.wait_seconds)
                return Answer(201, decided, (location, applied))
        return Answer(201, accepted(symbol, order, order_id, place.time_ms), (location,))

    async def validate(self, call: Call) -> Answer:
        """200 when :meth:`place` would take the order now. Nothing is appended or listed."""
        broker = await self._context.authenticate(call, Scope.TRADE)
        headers = order_headers(call.headers)
        symbol, order = parse_order(call.body, broker.broker_id, headers.idempotency_key)
        instrument = await in_task(known_symbol(self._context, symbol))
        first = None if instrument is None else await self._first_sending(instrument, order)
        if first is None:
            if (limits := self._limits_of(broker.broker_id)) is not None:
                refuse_order(limits.rules, order)
            refuse_passed(order.valid_until_ms, time.time_ns() // 1_000_000)
        elif first.digest != digest(symbol, codec.encode(order)):
            assert instrument is not None, "it was sent before"
            order_id = ids.encode(first.time_ms, instrument.number, first.sequence)
            raise refusals.sent_before(order_id, headers.idempotency_key is not None)
        return Answer(200, validated(order))

    def _limits_of(self, broker_id: str) -> BrokerLimits | None:
        limits = self._context.directory.limits
        return limits.get(broker_id) if limits else None  # Hardly any exchange has some.

    async def _order_when_decided(
        self, instrument: Instrument, place: LogPlace, order_id: str, seconds: int
    ) -> bytes | None:
        """The new order after its decision, as JSON; ``None`` when nobody can tell in time."""
        verdict = await self._context.decisions.wait(instrument, place.sequence, seconds)
        if not verdict.is_decided:
            return None
        try:
            found = await find_order(self._context, order_id)
        except (RedisError, Overloaded):
            return None  # The order was taken, so it is answered as one that was not waited for.
        return None if found is None else order_answer(*found)

    async def _first_sending(self, instrument: Instrument, order: PlaceOrder) -> LogPlace | None:
        """Where the log has an order with the client order id of this one."""
        if not order.client_order_id:
            return None
        return await client_record(
            self._context, instrument, order.broker_id, order.client_order_id
        )

    async def _repeat(self, order_id: str, is_same: bool, with_header: bool) -> Answer:
        """200 with the order of the first sending, or a problem when that was another order."""
        if not is_same:
            raise refusals.sent_before(order_id, with_header)
        found = await find_order(self._context, order_id)
        assert found is not None, "its record names an entry of the log"
        location = (b"location", b"/orders/" + order_id.encode())
        return Answer(200, order_answer(*found), (location, (b"idempotent-replayed", b"true")))

    async def cancel(self, call: Call) -> Answer:
        """204 when the order is no longer open, or 200 with the order if the caller prefers that;
        202 when the matcher takes its time."""
        broker = await self._context.authenticate(call, Scope.TRADE)
        return await self.cancel_order(broker, call.parameters[0], wants_order(call.headers))

    async def cancel_order(self, broker: Broker, order_id: str, with_order: bool) -> Answer:
        """:meth:`cancel` for a broker that is known.

        Nothing is read before. The engine decides whether the order is open and the caller's; only
        when it has refused, the order is looked at, to say why."""
        place = ids.decode(order_id)
        if place is None:
            raise order_not_found()
        instrument = await self._context.instrument(place.instrument_number)
        if instrument is None:
            raise order_not_found()
        return await self._cancel(instrument, place, order_id, broker.broker_id, with_order)

    async def cancel_by_client_id(self, call: Call) -> Answer:
        """The same, by the broker's own id of the order."""
        found = await own_client_order(self._context, call, Scope.TRADE)
        order, with_order = found.order, wants_order(call.headers)
        if not order.state.is_open:
            return _no_longer_open(found if with_order else None)
        instrument = self._context.directory.instruments[order.symbol]
        place = ids.DecodedId(order.created_ms, order.instrument_number, order.sequence)
        return await self._cancel(instrument, place, order.order_id, order.broker_id, with_order)

    async def _cancel(
        self,
        instrument: Instrument,
        place: ids.DecodedId,
        order_id: str,
        broker_id: str,
        with_order: bool,
    ) -> Answer:
        self._pressure.admit_cancel()
        command = codec.encode(CancelOrder(place.sequence, broker_id, place.time_ms))
        request = AppendRequest(instrument.symbol, command, Urgency.CANCEL, broker=broker_id)
        taken = await self._appender.append(instrument, request)
        verdict = await self._decision(instrument, taken)
        if not verdict.is_decided:
            return _in_the_log(order_id, "cancel")
        is_done = verdict.reason == ""
        if is_done and not with_order:
            return Answer(204)
        try:
            found = await find_order(self._context, order_id)
        except (RedisError, Overloaded) as error:
            if is_done:
                return Answer(204)  # It was canceled, and only its picture is missing.
            raise refusals.outcome_unknown(error) from error
        if found is None:
            raise order_not_found()
        if found.order.broker_id != broker_id:
            raise forbidden()
        assert not found.order.state.is_open, "a cancel of an open order is never refused"
        return _no_longer_open(found if with_order else None)

    async def amend(self, call: Call) -> Answer:
        """200 with the changed order, 409 or 412 when it stays untouched, 202 when the matcher
        takes its time."""
        order = (await own_order(self._context, call, Scope.TRADE)).order
        now_ms = time.time_ns() // 1_000_000
        command = parse_amendment(call.body, order.sequence, call.header(b"if-match"), now_ms)
        if (limits := self._limits_of(order.broker_id)) is not None:
            refuse_amendment(limits.rules, order, command)
        _refuse_in_vain(order, command)
        instrument = self._context.directory.instruments[order.symbol]
        self._pressure.admit_order()
        request = AppendRequest(order.symbol, codec.encode(command), broker=order.broker_id)
        taken = await self._appender.append(instrument, request)
        verdict = await self._decision(instrument, taken)
        if not verdict.is_decided:
            return _in_the_log(order.order_id, "amendment")
        try:
            found = await find_order(self._context, order.order_id)
        except (RedisError, Overloaded) as error:
            raise refusals.outcome_unknown(error) from error
        assert found is not None, "it was there before"
        if found.order.amended_sequence < taken.sequence:
            _refuse_in_vain(found.order, command)  # The order has changed on the way.
            raise refusals.amendment_refused(verdict.reason)
        version = b'"%d"' % found.order.version
        return Answer(200, order_answer(found.order, found.fills), ((b"etag", version),))

    def _decision(self, instrument: Instrument, taken: LogPlace) -> Promise[Verdict]:
        return self._context.decisions.wait(instrument, taken.sequence, self._decision_wait_seconds)


def _append_request(instrument: Instrument, order: PlaceOrder) -> AppendRequest:
    symbol, command = instrument.symbol, codec.encode(order)
    if not order.client_order_id:
        return AppendRequest(symbol, command, broker=order.broker_id)
    return AppendRequest(
        symbol,
        command,
        client=keys.client_field(instrument.number, order.broker_id, order.client_order_id),
        digest=digest(symbol, command),
        broker=order.broker_id,
    )


def _no_longer_open(found: FoundOrder | None) -> Answer:
    """The answer to a cancel, with the order where it is to be shown."""
    if found is None:
        return Answer(204)
    applied = (b"preference-applied", b"return=representation")
    return Answer(200, order_answer(found.order, found.fills), (applied,))


def _in_the_log(order_id: str, what: str) -> Answer:
    return Answer(202, in_the_log(what), ((b"location", b"/orders/" + order_id.encode()),))


def _refuse_in_vain(order: OrderRecord, command: AmendOrder) -> None:
    """Refuse an amendment that would change nothing, as the engine would."""
    if not order.state.is_open:
        raise refusals.order_not_open(order.state)
    expected = command.expected_version
    if expected is not None and order.state is not OrderState.PENDING and expected != order.version:
        raise refusals.version_mismatch(order.version)
    if command.quantity is not None and command.quantity <= order.filled_quantity:
        raise refusals.quantity_below_filled(order.filled_quantity)
    refuse_unfitting_amendment(order, command)
