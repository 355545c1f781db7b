"""What is known of instruments: their rules, their status, and how they trade."""

import time
from datetime import date
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from protocol import codec, keys
from protocol.enums import InstrumentStatus
from protocol.records import InstrumentRecord
from protocol.registry import Instrument
from protocol.trading_days import TradingCalendar, local_date
from protocol.units import INSTRUMENT_NAME_LENGTH_MAX, PRICE_MAX, format_time
from readapi import cursors
from readapi.answers import check_symbol
from readapi.parameters import Parameters
from runtime.http.context import Context
from runtime.http.endpoints import Answer, Call
from runtime.http.problems import Problem
from runtime.http.schemas import PriceField, SymbolField, TimeField
from runtime.process.calendars import time_zone, trading_calendar
from runtime.process.promise import in_task
from runtime.redis.channel import RedisCommand

BASIS_POINTS = 10_000
PARAMETERS = ("limit", "cursor")


class TimeAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """The clock of the process that answers."""

    server_time: TimeField


class BandAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """How far a price may be from the reference price."""

    basis_points: Annotated[int, Meta(ge=1, description="Hundredths of a percent.")]
    reference_price: PriceField
    lowest: Annotated[int, Meta(ge=0, description="Cents; the lowest price that is allowed.")]
    highest: Annotated[int, Meta(ge=1, description="Cents; the highest price that is allowed.")]


class StockAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """An instrument with its rules, as they are now."""

    symbol: SymbolField
    name: Annotated[
        str,
        Meta(
            max_length=INSTRUMENT_NAME_LENGTH_MAX,
            description="For people; the symbol itself where the exchange has given no name.",
        ),
    ]
    status: InstrumentStatus
    status_reason: (
        Annotated[str, Meta(description="Why it has this status; null where nobody has said.")]
        | None
    )
    tick_size: Annotated[int, Meta(ge=1, description="Cents; prices are multiples of it.")]
    lot_size: Annotated[int, Meta(ge=1, description="Shares; quantities are multiples of it.")]
    price_band: BandAnswer | None
    halt_band: BandAnswer | None
    currency: Literal["BRL"]
    trading_day: Annotated[
        str,
        Meta(
            description="The day to which a trade of now belongs.",
            extra_json_schema={"format": "date"},
        ),
    ]
    last_price: PriceField | None
    auction_ends_at: TimeField | None
    indicative_price: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=PRICE_MAX,
                description="The price at which the auction would end now; null outside an auction"
                " and where nothing would be traded.",
            ),
        ]
        | None
    )
    indicative_quantity: (
        Annotated[int, Meta(ge=1, description="The shares that would be traded at that price.")]
        | None
    )


class StocksAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """A page of instruments, by symbol."""

    data: list[StockAnswer]
    next_cursor: str | None
    has_more: bool


def band(reference_price: int, basis_points: int) -> BandAnswer | None:
    """``None`` where there is no rule, or nothing from which to measure."""
    if not basis_points or not reference_price:
        return None
    room = reference_price * basis_points
    return BandAnswer(
        basis_points=basis_points,
        reference_price=reference_price,
        lowest=max(0, -((room - reference_price * BASIS_POINTS) // BASIS_POINTS)),
        highest=(reference_price * BASIS_POINTS + room) // BASIS_POINTS,
    )


def stock_answer(
    record: InstrumentRecord, name: str, last_price: int | None, trading_day: date
) -> StockAnswer:
    rules = record.rules
    halt = rules.halt_band_basis_points or rules.price_band_basis_points
    is_auction = record.status is InstrumentStatus.AUCTION
    return StockAnswer(
        symbol=record.symbol,
        name=name or record.symbol,
        status=record.status,
        status_reason=record.status_reason or None,
        tick_size=rules.tick_size,
        lot_size=rules.lot_size,
        price_band=band(rules.reference_price, rules.price_band_basis_points),
        halt_band=band(rules.reference_price, halt),
        currency="BRL",
        trading_day=trading_day.isoformat(),
        last_price=last_price,
        auction_ends_at=format_time(record.auction_ends_ms) if record.auction_ends_ms else None,
        indicative_price=(record.indicative_price or None) if is_auction else None,
        indicative_quantity=(record.indicative_quantity or None) if is_auction else None,
    )


def time_answer(time_ms: int) -> bytes:
    return msgspec.json.encode(TimeAnswer(format_time(time_ms)))


def symbol_not_found(symbol: str) -> Problem:
    return Problem("symbol_not_found", f"nobody has listed {symbol}; GET /stocks lists all")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class StockRoutes:
    """Handlers of the reads of instruments."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._calendar: TradingCalendar | None = trading_calendar(context.settings)
        self._zone = time_zone(context.settings.time_zone)

    async def server_time(self, call: Call) -> Answer:
        """200 with the time, without a key: a client with a wrong clock asks this first."""
        return Answer(200, time_answer(_now_ms()))

    async def stock(self, call: Call) -> Answer:
        """200 with one instrument, 404 where nobody has listed it."""
        await self._context.authenticate(call.authorization)
        symbol = check_symbol(call.parameters[0])
        instruments = self._context.directory.instruments
        if symbol not in instruments:
            await in_task(self._context.registry.refresh())
        if symbol not in instruments:
            raise symbol_not_found(symbol)
        (answer,) = await self._answers([instruments[symbol]])
        return Answer(200, msgspec.json.encode(answer))

    async def stocks(self, call: Call) -> Answer:
        """200 with a page of instruments."""
        context = self._context
        await context.authenticate(call.authorization)
        parameters = Parameters(call.query_string, PARAMETERS)
        limit, cursor = parameters.limit(), parameters.text("cursor")
        scope = cursors.scope("", "stocks", "", {})  # The registry outlives a history.
        after = cursors.unseal(scope, cursor).decode("utf-8", "replace") if cursor else ""
        await in_task(context.registry.refresh())
        listed = sorted(s for s in context.directory.instruments if s > after)
        page = listed[:limit]
        data = await self._answers([context.directory.instruments[s] for s in page])
        has_more = len(listed) > limit
        following = cursors.seal(scope, page[-1].encode()) if has_more else None
        return Answer(200, msgspec.json.encode(StocksAnswer(data, following, has_more)))

    async def _answers(self, instruments: list[Instrument]) -> list[StockAnswer]:
        commands: list[RedisCommand] = []
        for instrument in instruments:
            partition, symbol = instrument.partition, instrument.symbol
            commands.append(("HGET", keys.instrument_records(partition), symbol))
            commands.append(("LINDEX", keys.prices(partition, symbol), -1))
        replies = cast("list[bytes | None]", await self._context.read(*commands))
        day = self._trading_day(_now_ms())
        names = self._context.directory.names
        return [
            stock_answer(
                _record(instrument, state),
                names.get(instrument.symbol, ""),
                None if price is None else int(price),
                day,
            )
            for instrument, state, price in zip(
                instruments, replies[::2], replies[1::2], strict=True
            )
        ]

    def _trading_day(self, time_ms: int) -> date:
        if self._calendar is None:
            return local_date(time_ms, self._zone)
        return self._calendar.trading_day(time_ms)


def _record(instrument: Instrument, stored: bytes | None) -> InstrumentRecord:
    if stored is None:
        return InstrumentRecord(instrument.symbol, instrument.number, 0, 0)
    return codec.decode_instrument(stored)
