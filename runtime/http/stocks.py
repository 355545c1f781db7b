"""Instruments as HTTP shows them: their rules, their status, and how they trade."""

import re
import time
from datetime import date
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta

from protocol import codec, keys
from protocol.commands import SetInstrument
from protocol.enums import InstrumentStatus
from protocol.records import InstrumentRecord
from protocol.registry import Instrument
from protocol.trading_days import local_date
from protocol.units import (
    INSTRUMENT_NAME_LENGTH_MAX,
    PRICE_MAX,
    SYMBOL_LENGTH_MAX,
    SYMBOL_PATTERN,
    format_time,
)
from runtime.http import samples
from runtime.http.context import Context
from runtime.http.problems import Problem
from runtime.http.schemas import PriceField, SymbolField, TimeField
from runtime.process.calendars import time_zone, trading_calendar
from runtime.redis.channel import RedisCommand

BASIS_POINTS = 10_000

_SYMBOL = re.compile(SYMBOL_PATTERN)


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


SAMPLE = stock_answer(
    InstrumentRecord(
        samples.SYMBOL,
        1,
        sequence=40,
        updated_ms=samples.TIME_MS,
        status=InstrumentStatus.AUCTION,
        status_reason="opening auction",
        auction_ends_ms=samples.TIME_MS + 300_000,
        rules=SetInstrument(1, 100, 1500, 3148, 1000, 300_000),
        indicative_price=3150,
        indicative_quantity=12_300,
    ),
    "Petrobras PN",
    3148,
    date(2026, 11, 23),
)


def check_symbol(symbol: str) -> str:
    if not _SYMBOL.fullmatch(symbol):
        raise Problem(
            "invalid_symbol", f"a symbol is 1 to {SYMBOL_LENGTH_MAX} of A-Z, 0-9 and the dot"
        )
    return symbol


def symbol_not_found(symbol: str) -> Problem:
    return Problem("symbol_not_found", f"nobody has listed {symbol}; GET /stocks lists all")


class Stocks:
    """Reads instruments as they are now."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._calendar = trading_calendar(context.settings)
        self._zone = time_zone(context.settings.time_zone)

    async def answers(self, instruments: list[Instrument]) -> list[StockAnswer]:
        """One answer for each, in one round trip; for handlers that are driven by hand."""
        replies = await self._context.read(*_commands(instruments))
        return self._read(instruments, replies)

    async def answer_in_task(self, instrument: Instrument) -> StockAnswer:
        """The same of one, for a task."""
        replies = await self._context.read_in_task(*_commands([instrument]))
        return self._read([instrument], replies)[0]

    def _read(self, instruments: list[Instrument], replies: list[object]) -> list[StockAnswer]:
        stored = cast("list[bytes | None]", replies)
        day = self._trading_day(time.time_ns() // 1_000_000)
        names = self._context.directory.names
        return [
            stock_answer(
                _record(instrument, state),
                names.get(instrument.symbol, ""),
                None if price is None else int(price),
                day,
            )
            for instrument, state, price in zip(instruments, stored[::2], stored[1::2], strict=True)
        ]

    def _trading_day(self, time_ms: int) -> date:
        if self._calendar is None:
            return local_date(time_ms, self._zone)
        return self._calendar.trading_day(time_ms)


def _commands(instruments: list[Instrument]) -> list[RedisCommand]:
    commands: list[RedisCommand] = []
    for instrument in instruments:
        partition, symbol = instrument.partition, instrument.symbol
        commands.append(("HGET", keys.instrument_records(partition), symbol))
        commands.append(("LINDEX", keys.prices(partition, symbol), -1))
    return commands


def _record(instrument: Instrument, stored: bytes | None) -> InstrumentRecord:
    if stored is None:
        return InstrumentRecord(instrument.symbol, instrument.number, 0, 0)
    return codec.decode_instrument(stored)
