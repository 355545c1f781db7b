"""Candles of a real persister on real servers: always those of the trades that are stored."""

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from exchange.migrate import alembic_config
from persister.settings import PersisterSettings
from persister.worker import PersisterWorker
from protocol import keys
from protocol.candles import MINUTE_MS, Candle, DayFigures, Days, Interval
from protocol.enums import OrderState, OrderType, Side, StateReason
from protocol.events import Trade, TradeBusted
from protocol.records import OrderRecord
from protocol.registry import BrokerRegistered, Instrument, RegistryEntry
from protocol.units import PRICE_MAX, QUANTITY_MAX, milliseconds
from runtime.postgres.archive import Archive
from runtime.postgres.candles import CandleRange, day_figures, stored_candles
from runtime.process.settings import load
from runtime.redis.channel import Channel
from tests.support.builders import ALICE, BOB
from tests.support.candles import Print, around, candles_of
from tests.support.committing import commit, entry
from tests.support.eventually import eventually
from tests.support.feeding import list_symbol, register

SAO_PAULO = "America/Sao_Paulo"
QUIET = datetime(2026, 11, 24, 3, tzinfo=ZoneInfo("UTC"))
MOMENTS = {
    "no change of the clock": (SAO_PAULO, QUIET),
    "no midnight on a day in spring": (SAO_PAULO, datetime(2018, 11, 4, tzinfo=ZoneInfo("UTC"))),
    "midnight twice": ("America/Havana", datetime(2026, 11, 1, 5, tzinfo=ZoneInfo("UTC"))),
    "half an hour beside": ("Asia/Kolkata", QUIET),
    "UTC": ("UTC", QUIET),
}


class Tape:
    """Trades of some symbols, put on the events by hand, and a persister that can be killed."""

    def __init__(self, channel: Channel, redis_url: str, database_url: str, zone: str) -> None:
        self.channel = channel
        self.database_url = database_url
        self.zone = ZoneInfo(zone)
        self.symbols = [list_symbol(channel, symbol) for symbol in ("PETR4", "VALE3", "ITUB4")]
        for broker in (ALICE, BOB):
            register(channel, RegistryEntry([BrokerRegistered(broker, broker[-1], 1)]))
        self._settings = load(
            PersisterSettings,
            {},
            redis_url=redis_url,
            database_url=database_url,
            instance="p",
            pace_ms=0,
            time_zone=zone,
        )
        self._sequences = dict.fromkeys(self.symbols, 0)
        self._trades = dict.fromkeys(self.symbols, 0)
        self.worker = self.start()

    def start(self) -> PersisterWorker:
        worker = PersisterWorker(self._settings)
        worker.open()
        return worker

    def trade(self, instrument: Instrument, time_ms: int, *made: tuple[int, int]) -> None:
        """Commit a batch with an entry whose trades have these prices and quantities."""
        first = self._sequences[instrument] == 0
        records = (order(instrument, 1), order(instrument, 2)) if first else ()
        entries = [entry(instrument, n, time_ms) for n in (1, 2)] if first else []
        self._sequences[instrument] += 3 if first else 1
        sequence = self._sequences[instrument]
        events = []
        for price, quantity in made:
            self._trades[instrument] += 1
            events.append(
                Trade(
                    *(self._trades[instrument], price, quantity, Side.BID, 1, 2, BOB, ALICE),
                    *(1, 1, 0, 0),
                )
            )
        entries.append(entry(instrument, sequence, time_ms, *events))
        commit(self.channel, instrument.partition, *entries, orders=records)

    def bust(self, instrument: Instrument, time_ms: int, number: int) -> None:
        self._sequences[instrument] += 1
        event = TradeBusted(number, 1000, 1, ALICE, BOB, 1, 2, "a wrong price")
        commit(
            self.channel,
            instrument.partition,
            entry(instrument, self._sequences[instrument], time_ms, event),
        )

    def is_stored(self) -> bool:
        for partition in {i.partition for i in self.symbols}:
            stored = self.channel.execute("GET", keys.stored(partition))
            number = self.channel.execute("HGET", keys.batch(partition), "number")
            if int(stored or 0) != int(number or 0):
                return False
        return True

    def store(self) -> None:
        def done() -> bool:
            self.worker.step()
            return self.is_stored()

        eventually(done)

    def prints(self, instrument: Instrument) -> list[Print]:
        """What PostgreSQL says was traded."""
        query = (
            "SELECT trade_number, executed_at, price, quantity FROM trades"
            " WHERE instrument_number = %s"
        )
        with psycopg.connect(self.database_url) as connection:
            rows = connection.execute(query, [instrument.number]).fetchall()
        return [Print(number, milliseconds(at), *traded) for number, at, *traded in rows]

    def ask(self, question: Callable[[Archive], Any]) -> Any:
        async def run() -> Any:
            archive = Archive(self.database_url)
            try:
                return await question(archive)
            finally:
                await archive.close()

        return asyncio.run(run())

    def candles(self, wanted: CandleRange, count: int = 10_000) -> list[Candle]:
        candles: list[Candle] = self.ask(lambda a: stored_candles(a, wanted, count)).rows
        return candles

    def problems(self) -> list[str]:
        """Where the candles are not those of the trades."""
        found = []
        for instrument in self.symbols:
            prints = self.prints(instrument)
            for interval in Interval:
                expected = candles_of(prints, interval, self.zone)
                if self.candles(CandleRange(instrument.number, interval)) != expected:
                    found.append(f"{instrument.symbol} {interval.value}")
        return found


def order(instrument: Instrument, sequence: int) -> OrderRecord:
    side, broker = ((Side.ASK, BOB), (Side.BID, ALICE))[sequence - 1]
    return OrderRecord(
        symbol=instrument.symbol,
        instrument_number=instrument.number,
        sequence=sequence,
        created_ms=1,
        broker_id=broker,
        document_number="1",
        side=side,
        order_type=OrderType.LIMIT,
        price=1000,
        quantity=100,
        open_quantity=100,
        filled_notional=0,
        state=OrderState.NEW,
        reason=StateReason.NONE,
        valid_until_ms=None,
        updated_ms=1,
        version=1,
    )


@pytest.fixture
def make_tape(
    channel: Channel, redis_url: str, database_url: str
) -> Iterator[Callable[[str], Tape]]:
    tapes: list[Tape] = []

    def make(zone: str = SAO_PAULO) -> Tape:
        tapes.append(Tape(channel, redis_url, database_url, zone))
        return tapes[-1]

    yield make
    for tape in tapes:
        tape.worker._store.close()


@pytest.fixture
def tape(make_tape: Callable[[str], Tape]) -> Tape:
    return make_tape(SAO_PAULO)


def times(draw: random.Random, first: int, last: int, count: int) -> list[int]:
    """In order; many of them in one minute, and some of them at its very ends."""
    minutes = [draw.randrange(first // MINUTE_MS, last // MINUTE_MS) for _ in range(count // 4)]
    ends = (0, 1, MINUTE_MS // 2, MINUTE_MS - 1)
    return sorted(draw.choice(minutes) * MINUTE_MS + draw.choice(ends) for _ in range(count))


@pytest.mark.parametrize("moment", MOMENTS)
def test_candles_of_several_days_are_those_of_the_trades_whatever_is_killed(
    make_tape: Callable[[str], Tape], moment: str
) -> None:
    zone, middle = MOMENTS[moment]
    tape = make_tape(zone)
    draw = random.Random(moment)
    deaths = 0

    def die(_moment: str) -> None:
        nonlocal deaths
        if draw.random() < 0.15:
            deaths += 1
            raise KeyboardInterrupt

    for time_ms in times(draw, *around(middle, 2), 300):
        made = [(draw.randint(995, 1005), draw.randint(1, 20)) for _ in range(draw.randint(1, 3))]
        tape.trade(draw.choice(tape.symbols), time_ms, *made)
        if draw.random() < 0.2:
            tape.worker._store._fail = die
            try:
                tape.worker.step()
            except KeyboardInterrupt:
                tape.worker.abandon()
                tape.worker = tape.start()
    tape.worker._store._fail = lambda _moment: None
    tape.store()
    assert deaths > 3
    assert sum(len(tape.prints(instrument)) for instrument in tape.symbols) >= 300
    assert tape.problems() == []
    days = tape.candles(CandleRange(tape.symbols[0].number, Interval.DAY))
    assert 4 <= len(days) <= 5


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_database_of_an_earlier_version_gets_the_candles_of_its_trades(
    make_tape: Callable[[str], Tape], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone, middle = MOMENTS[moment]
    tape = make_tape(zone)
    draw = random.Random(moment)
    made = times(draw, *around(middle, 2), 60)
    for time_ms in made:
        prices = [(draw.randint(995, 1005), draw.randint(1, 20)) for _ in range(2)]
        tape.trade(draw.choice(tape.symbols[:2]), time_ms, *prices)
    tape.store()
    tape.worker.abandon()
    config = alembic_config(tape.database_url)
    with monkeypatch.context() as patched:
        patched.setenv("EXCHANGE_TIME_ZONE", zone)
        before = ScriptDirectory.from_config(config).get_revision("0007").down_revision
        command.downgrade(config, str(before))
        command.upgrade(config, "head")
    assert tape.problems() == []
    tape.worker = tape.start()
    for instrument in tape.symbols:
        tape.trade(instrument, made[-1], (990, 1), (1010, 2))
    tape.store()
    assert tape.problems() == []


def test_a_range_has_whole_candles_from_its_beginning_or_up_to_its_end(tape: Tape) -> None:
    draw = random.Random(7)
    petr = tape.symbols[0]
    first, last = around(QUIET, 1)
    for time_ms in times(draw, first, last, 200):
        tape.trade(petr, time_ms, (draw.randint(995, 1005), draw.randint(1, 20)))
    tape.store()
    prints = tape.prints(petr)
    for _ in range(60):
        interval = draw.choice(list(Interval))
        from_ms, to_ms = sorted(draw.randrange(first, last) for _ in range(2))
        wanted = CandleRange(
            petr.number,
            interval,
            draw.choice([None, from_ms, from_ms - from_ms % 3_600_000]),
            draw.choice([None, to_ms]),
        )
        count = draw.choice([1, 2, 7, 500])
        expected = [c for c in candles_of(prints, interval, tape.zone) if wanted.has(c.start_ms)]
        expected = expected[-count:] if wanted.from_ms is None else expected[:count]
        assert tape.candles(wanted, count) == expected, (wanted, count)


def test_a_bust_changes_no_candle(tape: Tape) -> None:
    petr = tape.symbols[0]
    noon = milliseconds(QUIET)
    tape.trade(petr, noon, (1000, 1), (1010, 2))
    tape.store()
    before = tape.candles(CandleRange(petr.number, Interval.DAY))
    tape.bust(petr, noon + 1, 1)
    tape.store()
    assert tape.candles(CandleRange(petr.number, Interval.DAY)) == before
    assert tape.problems() == []


def test_a_broker_who_trades_with_himself_cannot_stop_the_persister(tape: Tape) -> None:
    """His cash stays 0, and what he has traded needs more than 64 bits."""
    petr = tape.symbols[0]
    for _ in range(10):
        tape.trade(petr, milliseconds(QUIET), *[(PRICE_MAX, QUANTITY_MAX)] * 1000)
    tape.store()
    (day,) = tape.candles(CandleRange(petr.number, Interval.DAY))
    assert day.notional == 10_000 * PRICE_MAX * QUANTITY_MAX > 2**63
    assert tape.problems() == []


def test_the_figures_of_a_day_are_those_of_its_trades_and_of_the_close_before(tape: Tape) -> None:
    petr, vale, _ = tape.symbols
    noon = milliseconds(QUIET) + 12 * 3_600_000
    day_ms = 86_400_000
    days = Days(tape.zone)
    tape.trade(petr, noon, (1000, 1), (990, 2))
    tape.trade(vale, noon, (6000, 10))
    tape.trade(petr, noon + day_ms, (1010, 3), (980, 1), (1020, 5))
    tape.store()

    def figures(time_ms: int, symbols: list[str] | None = None) -> dict[str, DayFigures]:
        found: dict[str, DayFigures] = tape.ask(
            lambda archive: day_figures(archive, days.begin_ms(time_ms), symbols)
        )
        return found

    traded = DayFigures(1010, 1020, 980, 1020, 9, 3030 + 980 + 5100, 3, 990, 5)
    assert figures(noon + day_ms) == {
        "PETR4": traded,
        "VALE3": DayFigures(last=6000, previous_close=6000, trade_number=1),
        "ITUB4": DayFigures(),
    }
    assert traded.change == 30
    assert figures(noon + 2 * day_ms, ["PETR4", "NONE3"]) == {"PETR4": traded.next_day()}
    assert figures(noon + day_ms, []) == {}
    later = figures(noon + 2 * day_ms, ["PETR4"])["PETR4"]
    tape.trade(petr, noon + 2 * day_ms, (970, 4), (975, 1))
    tape.store()
    expected = figures(noon + 2 * day_ms, ["PETR4"])["PETR4"]
    assert later.plus(970, 4, 6).plus(975, 1, 7) == expected
    assert expected.plus(970, 4, 6) == expected
