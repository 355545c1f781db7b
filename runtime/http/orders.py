"""Orders as HTTP sees them: found in one round trip wherever they are, and written out."""

from collections.abc import Iterable
from typing import NamedTuple, cast

import msgspec

from protocol import codec, ids, keys
from protocol.broker_keys import Scope
from protocol.commands import PlaceOrder, PlaceSpecialOrder
from protocol.enums import OrderState, StateReason
from protocol.records import FillRecord, OrderRecord, Special
from protocol.registry import Instrument
from protocol.units import format_time
from runtime.http.context import Context
from runtime.http.endpoints import Call
from runtime.http.problems import Problem
from runtime.http.schemas import FillAnswer, OrderAnswer
from runtime.process.promise import in_task
from runtime.redis.functions.append import LogPlace
from runtime.redis.functions.read_order import StoredOrder, read_order
from runtime.redis.order_log import LogEntry

_NOTHING_SPECIAL = Special()


class FoundOrder(NamedTuple):
    order: OrderRecord
    fills: list[FillRecord]


async def find_order(
    context: Context, order_id: str, decision_seconds: float = 0.0
) -> FoundOrder | None:
    """The order of an id, or ``None`` when the id is not one that the log gave out.

    An order is open, closed, or still only in the log; one that closed long ago is in PostgreSQL.
    Where it is only in the log, its decision is waited for up to ``decision_seconds``.
    """
    place = ids.decode(order_id)
    if place is None:
        return None
    instrument = await context.instrument(place.instrument_number)
    if instrument is None:
        return None
    read = read_order(instrument.partition, instrument.symbol, instrument.number, place.sequence)
    stored = await context.fetch(read)
    if stored.entry is not None and decision_seconds:
        verdict = await context.decisions.wait(instrument, place.sequence, decision_seconds)
        if verdict.is_decided:
            stored = await context.fetch(read)
    found = _found(instrument, place, stored)
    if found is None and stored.record is None and stored.entry is None:
        archived = await in_task(context.archive.order(order_id))
        found = None if archived is None else FoundOrder(*archived)
    if found is None or found.order.created_ms != place.time_ms:
        return None
    return found


def _found(instrument: Instrument, place: ids.DecodedId, stored: StoredOrder) -> FoundOrder | None:
    if stored.record is not None:
        fills = [codec.decode_fill(payload) for payload in stored.fills]
        return FoundOrder(codec.decode_order(stored.record), fills)
    if stored.entry is None:
        return None
    pending = _pending(instrument, place, stored.entry)
    return None if pending is None else FoundOrder(pending, [])


async def own_order(
    context: Context, call: Call, scope: Scope, decision_seconds: float = 0.0
) -> FoundOrder:
    """The order that a request names, if it is the caller's; else 401, 404 or 403. See
    :func:`find_order`."""
    broker = await context.authenticate(call, scope)
    found = await find_order(context, call.parameters[0], decision_seconds)
    if found is None:
        raise order_not_found()
    if found.order.broker_id != broker.broker_id:
        raise forbidden()
    return found


async def client_order(
    context: Context,
    broker_id: str,
    symbol: str,
    client_order_id: str,
    decision_seconds: float = 0.0,
) -> FoundOrder | None:
    """The order to which the broker gave this id; where it gave none, the order's own id does."""
    instrument = context.directory.instruments.get(symbol)
    if instrument is None:
        await in_task(context.registry.refresh())
        instrument = context.directory.instruments.get(symbol)
    if instrument is None:
        return None
    place = await client_record(context, instrument, broker_id, client_order_id)
    order_id: str | None
    if place is not None:
        order_id = ids.encode(place.time_ms, instrument.number, place.sequence)
    else:
        order_id = await in_task(context.archive.order_id_of(broker_id, symbol, client_order_id))
    found = await find_order(context, order_id or client_order_id, decision_seconds)
    if found is None or (found.order.symbol, found.order.broker_id) != (symbol, broker_id):
        return None
    return found


async def client_record(
    context: Context, instrument: Instrument, broker_id: str, client_order_id: str
) -> LogPlace | None:
    """Where the order with this client order id is in the log, while that is remembered."""
    field = keys.client_field(instrument.number, broker_id, client_order_id)
    partition = instrument.partition
    records = await context.read(
        ("HGET", keys.clients(partition), field), ("HGET", keys.clients_before(partition), field)
    )
    found = [LogPlace.parse_record(cast("bytes", r)) for r in records if r is not None]
    return found[0] if found else None


async def own_client_order(
    context: Context, call: Call, scope: Scope, decision_seconds: float = 0.0
) -> FoundOrder:
    """The caller's order that a request names by symbol and client order id; else 401 or 404. See
    :func:`find_order`."""
    broker = await context.authenticate(call, scope)
    symbol, client_order_id = call.parameters
    found = await client_order(context, broker.broker_id, symbol, client_order_id, decision_seconds)
    if found is None:
        raise client_order_not_found()
    return found


def _pending(instrument: Instrument, place: ids.DecodedId, entry: LogEntry) -> OrderRecord | None:
    """The order as its log entry tells it, before a matcher has seen it."""
    try:
        command = codec.decode_command(entry.command)
    except codec.DecodeError:
        return None  # A poison entry is no order.
    if not isinstance(command, PlaceOrder):
        return None
    return OrderRecord(
        symbol=instrument.symbol,
        instrument_number=instrument.number,
        sequence=place.sequence,
        created_ms=entry.time_ms,
        broker_id=command.broker_id,
        document_number=command.document_number,
        side=command.side,
        order_type=command.order_type,
        price=command.price,
        quantity=command.quantity,
        open_quantity=command.quantity,
        filled_notional=0,
        state=OrderState.PENDING,
        reason=StateReason.NONE,
        valid_until_ms=command.valid_until_ms,
        updated_ms=entry.time_ms,
        version=0,
        client_order_id=command.client_order_id,
        special=_special(command),
    )


def _special(command: PlaceOrder) -> Special | None:
    if not isinstance(command, PlaceSpecialOrder):
        return None
    return Special(
        time_in_force=command.time_in_force,
        post_only=command.post_only,
        self_trade_prevention=command.self_trade_prevention,
        memo=command.memo,
        stop_price=command.stop_price,
        display_quantity=command.display_quantity,
        is_waiting=command.order_type.is_stop,
    )


def order_answer(order: OrderRecord, fills: Iterable[FillRecord]) -> bytes:
    """The JSON of an :class:`OrderAnswer`. It has the ``document_number``, so it is only for the
    order's own broker."""
    special = order.special or _NOTHING_SPECIAL
    return msgspec.json.encode(
        OrderAnswer(
            id=order.order_id,
            order_id=order.order_id,
            client_order_id=order.client_order_id or order.order_id,
            document_number=order.document_number,
            symbol=order.symbol,
            side=order.side,
            order_type=order.order_type,
            time_in_force=order.time_in_force,
            price=order.price,
            stop_price=special.stop_price,
            quantity=order.quantity,
            display_quantity=special.display_quantity or None,
            filled_quantity=order.filled_quantity,
            remaining_quantity=order.open_quantity,
            filled_notional=order.filled_notional,
            status="open" if order.state.is_open else "closed",
            state=order.state,
            state_reason=order.reason.value or None,
            valid_until=_time(order.valid_until_ms),
            post_only=special.post_only,
            self_trade_prevention=special.self_trade_prevention,
            memo=special.memo or None,
            created_at=format_time(order.created_ms),
            updated_at=format_time(order.updated_ms),
            version=order.version,
            trades=[_fill(order.instrument_number, fill) for fill in fills],
        )
    )


def _fill(instrument_number: int, fill: FillRecord) -> FillAnswer:
    return FillAnswer(
        trade_id=ids.encode(fill.executed_ms, instrument_number, fill.trade_number, ids.TRADE),
        price=fill.price,
        quantity=fill.quantity,
        counterparty_broker=fill.counterparty_broker_id,
        executed_at=format_time(fill.executed_ms),
    )


def _time(time_ms: int | None) -> str | None:
    return None if time_ms is None else format_time(time_ms)


def order_not_found() -> Problem:
    return Problem("order_not_found", "no order has this id")


def client_order_not_found() -> Problem:
    return Problem("order_not_found", "you have no order with this id in this symbol")


def forbidden() -> Problem:
    return Problem("forbidden", "only the broker that placed the order can see or change it")
