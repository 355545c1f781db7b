"""An instrument as it is shown, and the band around its reference price."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from protocol.commands import SetInstrument
from protocol.enums import InstrumentStatus
from protocol.records import InstrumentRecord
from runtime.http.stocks import band, stock_answer

DAY = date(2026, 11, 23)


@given(reference=st.integers(1, 10**9), basis_points=st.integers(1, 20_000))
def test_the_band_holds_exactly_the_prices_that_are_near_enough(
    reference: int, basis_points: int
) -> None:
    found = band(reference, basis_points)
    assert found is not None

    def is_near(price: int) -> bool:
        return abs(price - reference) * 10_000 <= reference * basis_points

    assert is_near(found.highest)
    assert not is_near(found.highest + 1)
    assert is_near(found.lowest)
    assert found.lowest == 0 or not is_near(found.lowest - 1)


def test_without_a_rule_or_a_reference_there_is_no_band() -> None:
    assert band(1000, 0) is None
    assert band(0, 100) is None


def test_a_symbol_without_a_record_is_open_and_has_no_rules() -> None:
    shown = stock_answer(InstrumentRecord("PETR4", 1, 0, 0), "", None, DAY)
    assert (shown.symbol, shown.name, shown.status) == ("PETR4", "PETR4", InstrumentStatus.OPEN)
    assert (shown.tick_size, shown.lot_size, shown.price_band, shown.halt_band) == (
        1,
        1,
        None,
        None,
    )
    assert (shown.last_price, shown.indicative_price, shown.auction_ends_at) == (None, None, None)
    assert shown.trading_day == "2026-11-23"


def test_only_an_auction_has_an_indicative_price_and_the_price_band_halts_too() -> None:
    def record(status: InstrumentStatus) -> InstrumentRecord:
        rules = SetInstrument(price_band_basis_points=1000, reference_price=1000)
        return InstrumentRecord(
            *("PETR4", 1, 5, 0),
            status=status,
            rules=rules,
            indicative_price=990,
            indicative_quantity=40,
        )

    auction = stock_answer(record(InstrumentStatus.AUCTION), "Petrobras PN", 995, DAY)
    assert (auction.indicative_price, auction.indicative_quantity) == (990, 40)
    assert (auction.name, auction.last_price) == ("Petrobras PN", 995)
    assert auction.price_band == auction.halt_band == band(1000, 1000)
    trading = stock_answer(record(InstrumentStatus.OPEN), "", 995, DAY)
    assert (trading.indicative_price, trading.indicative_quantity) == (None, None)
