"""The operator's calls for instruments: their rules, their status, and trades that are undone.

They are commands in the log of the symbol like all others, so the engine decides them in their
turn. They are taken also when orders are refused: an operator must be able to halt what is
overloaded.
"""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from ingress.appender import Appender
from ingress.audit import AuditTrail
from ingress.intake import in_the_log
from ingress.listing import place_symbol
from ingress.refusals import registration_unknown
from protocol import codec, ids, keys
from protocol.commands import BustTrade, Command, SetInstrument, SetStatus
from protocol.commits import Position
from protocol.enums import InstrumentStatus
from protocol.registry import Instrument, InstrumentNamed, RegistryEntry
from protocol.units import INSTRUMENT_NAME_LENGTH_MAX, PRICE_MAX, QUANTITY_MAX
from runtime.http.context import Context
from runtime.http.decisions import Verdict
from runtime.http.endpoints import JSON
from runtime.http.problems import Problem
from runtime.http.schemas import IdField, PriceField, QuantityField, SymbolField
from runtime.http.stocks import Stocks, check_symbol, symbol_not_found
from runtime.postgres.archive import ArchivedTrade
from runtime.redis.channel import AsyncChannel, NotConnected, RedisError
from runtime.redis.functions.append import AppendRequest, Urgency
from runtime.redis.functions.register import register

BAND_MAX = 100_000
AUCTION_SECONDS_MAX = 86_400
REASON_LENGTH_MAX = 200
_TEXT = "^[^\\x00-\\x1f\\x7f]*$"

Band = Annotated[
    int,
    Field(ge=0, le=BAND_MAX, description="Hundredths of a percent around the reference price."),
]
Reason = Annotated[
    str, Field(max_length=REASON_LENGTH_MAX, pattern=_TEXT, description="For people.")
]


class StockBody(BaseModel):
    """The rules of an instrument, all of them: what is absent gets its default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=INSTRUMENT_NAME_LENGTH_MAX,
                pattern=_TEXT,
                description="Absent or null: it stays as it is.",
            ),
        ]
        | None
    ) = None
    tick_size: Annotated[int, Field(ge=1, le=PRICE_MAX, description="Cents.")] = 1
    lot_size: Annotated[int, Field(ge=1, le=QUANTITY_MAX, description="Whole shares.")] = 1
    price_band_basis_points: Band = 0
    halt_band_basis_points: Band = 0
    reference_price: (
        Annotated[
            int,
            Field(ge=1, le=PRICE_MAX, description="Cents; absent or null: it stays as it is."),
        ]
        | None
    ) = None
    auction_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=AUCTION_SECONDS_MAX,
            description="How long the auction of a halt lasts; 0: until the operator ends it.",
        ),
    ] = 0

    def command(self) -> SetInstrument:
        return SetInstrument(
            tick_size=self.tick_size,
            lot_size=self.lot_size,
            price_band_basis_points=self.price_band_basis_points,
            reference_price=self.reference_price or 0,
            halt_band_basis_points=self.halt_band_basis_points,
            auction_ms=1000 * self.auction_seconds,
        )


class StatusBody(BaseModel):
    """The status that an instrument is to have."""

    model_config = ConfigDict(extra="forbid")

    status: InstrumentStatus
    reason: Reason = ""


class BustBody(BaseModel):
    """Why a trade is undone."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Reason = ""


class BustedAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The trade counts no more."""

    trade_id: IdField
    symbol: SymbolField
    price: PriceField
    quantity: QuantityField
    buyer_broker: IdField
    seller_broker: IdField


def instruments_router(
    context: Context,
    channel: AsyncChannel,
    appender: Appender,
    decision_seconds: float,
    trail: AuditTrail,
) -> APIRouter:
    """``channel`` writes to the registry, ``appender`` to the logs; a decision is waited for up to
    ``decision_seconds``."""
    router = APIRouter(
        prefix="/admin",
        dependencies=[Depends(context.require_admin)],
        route_class=trail.route_class,
    )
    stocks = Stocks(context)

    async def decided(instrument: Instrument, command: Command) -> Verdict:
        """Append a command and wait for the engine."""
        request = AppendRequest(instrument.symbol, codec.encode(command), Urgency.TICK)
        place = await appender.append(instrument, request).future()
        waiting = context.decisions.wait(instrument, place.sequence, decision_seconds)
        return await waiting.future()

    async def shown(instrument: Instrument, verdict: Verdict, what: str) -> Response:
        if not verdict.is_decided:
            return _json(202, in_the_log(what))
        return _json(200, msgspec.json.encode(await stocks.answer_in_task(instrument)))

    @router.put("/stocks/{symbol}")
    async def set_stock(symbol: str, body: StockBody) -> Response:
        """Set the rules of an instrument (admin key)."""
        instrument = await list_instrument(context, channel, check_symbol(symbol))
        await name_instrument(context, channel, symbol, body.name)
        verdict = await decided(instrument, body.command())
        return await shown(instrument, verdict, "change")

    @router.put("/stocks/{symbol}/status")
    async def set_status(symbol: str, body: StatusBody) -> Response:
        """Set the status of an instrument (admin key). To set the one that it has is no error."""
        instrument = await known_instrument(context, check_symbol(symbol))
        verdict = await decided(instrument, SetStatus(body.status, body.reason))
        return await shown(instrument, verdict, "change")

    @router.post("/trades/{trade_id}/bust")
    async def bust_trade(trade_id: str, body: BustBody) -> Response:
        """Undo a trade (admin key)."""
        instrument, trade = await find_trade(context, trade_id)
        verdict = await decided(instrument, bust_command(trade, body.reason))
        if verdict.reason:
            raise trade_already_busted()
        if not verdict.is_decided:
            return _json(202, in_the_log("bust"))
        return _json(200, busted_answer(trade_id, instrument.symbol, trade))

    return router


async def list_instrument(context: Context, channel: AsyncChannel, symbol: str) -> Instrument:
    """The instrument of a symbol, which the operator lists where it is new."""
    known = context.directory.instruments.get(symbol)
    if known is not None:
        return known
    listed = await place_symbol(context, channel, symbol)
    await context.registry.refresh()
    return listed


async def name_instrument(
    context: Context, channel: AsyncChannel, symbol: str, name: str | None
) -> None:
    """Note a name in the registry, unless it is the one that it has."""
    if name is None or context.directory.names.get(symbol) == name:
        return
    entry = RegistryEntry([InstrumentNamed(symbol, name)])
    try:
        await context.call(channel, lambda genesis: register(genesis.history_id, entry))
    except NotConnected:
        raise
    except RedisError as error:
        raise registration_unknown(error) from error
    await context.registry.refresh()


async def known_instrument(context: Context, symbol: str) -> Instrument:
    """Raises ``symbol_not_found``."""
    if symbol not in context.directory.instruments:
        await context.registry.refresh()
    instrument = context.directory.instruments.get(symbol)
    if instrument is None:
        raise symbol_not_found(symbol)
    return instrument


async def find_trade(context: Context, trade_id: str) -> tuple[Instrument, ArchivedTrade]:
    """A trade that can be busted; raises ``trade_not_found``, ``trade_already_busted``, and
    ``unavailable`` where PostgreSQL does not have the trade yet."""
    place = ids.decode(trade_id, ids.TRADE)
    if place is None:
        raise trade_not_found()
    instrument = context.directory.instruments_by_number.get(place.instrument_number)
    if instrument is None:
        await context.registry.refresh()
        instrument = context.directory.instruments_by_number.get(place.instrument_number)
    if instrument is None:
        raise trade_not_found()
    # Redis first: what it says of the watermark then, PostgreSQL has afterwards.
    is_stored = await _is_stored(context, instrument, place.sequence)
    trade = await context.archive.trade(trade_id)
    if trade is None:
        raise trade_not_found() if is_stored else trade_not_stored()
    if trade.is_busted:
        raise trade_already_busted()
    return instrument, trade


async def _is_stored(context: Context, instrument: Instrument, trade_number: int) -> bool:
    """Whether PostgreSQL must have a trade with this number, if there ever was one."""
    partition = instrument.partition
    position, number, stored = await context.read_in_task(
        ("HGET", keys.positions(partition), instrument.symbol),
        ("HGET", keys.batch(partition), "number"),
        ("GET", keys.stored(partition)),
    )
    if not isinstance(position, bytes) or Position.parse(position).trade_number < trade_number:
        return True  # There never was one.
    return number == stored


def bust_command(trade: ArchivedTrade, reason: str) -> BustTrade:
    return BustTrade(
        trade_number=trade.trade_number,
        price=trade.price,
        quantity=trade.quantity,
        buyer_broker_id=trade.buyer_broker_id,
        seller_broker_id=trade.seller_broker_id,
        maker_sequence=trade.maker_sequence,
        taker_sequence=trade.taker_sequence,
        reason=reason,
        taker_side=trade.taker_side,
        executed_ms=trade.executed_ms,
        maker_created_ms=trade.maker_created_ms,
        taker_created_ms=trade.taker_created_ms,
    )


def busted_answer(trade_id: str, symbol: str, trade: ArchivedTrade) -> bytes:
    return msgspec.json.encode(
        BustedAnswer(
            trade_id=trade_id.lower(),
            symbol=symbol,
            price=trade.price,
            quantity=trade.quantity,
            buyer_broker=trade.buyer_broker_id,
            seller_broker=trade.seller_broker_id,
        )
    )


def trade_not_found() -> Problem:
    return Problem("trade_not_found", "no trade has this id")


def trade_already_busted() -> Problem:
    return Problem("trade_already_busted", "it was undone before; nothing was changed now")


def trade_not_stored() -> Problem:
    return Problem(
        "unavailable", "PostgreSQL does not have this trade yet; try again after Retry-After"
    )


def _json(status: int, body: bytes) -> Response:
    return Response(body, status, media_type=JSON.decode())
