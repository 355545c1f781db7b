"""Times: milliseconds inside, ISO 8601 outside."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from protocol.units import TIME_MS_MAX, document_digits, format_time, milliseconds


@given(st.integers(0, TIME_MS_MAX))
def test_a_time_is_written_so_that_it_can_be_read_back(time_ms: int) -> None:
    written = format_time(time_ms)
    assert milliseconds(datetime.fromisoformat(written)) == time_ms
    assert written.endswith("+00:00")


def test_milliseconds_round_down_and_mind_the_offset() -> None:
    zone = timezone(timedelta(hours=-3))
    moment = datetime(1970, 1, 1, 0, 0, 0, 1_999, tzinfo=zone)
    assert milliseconds(moment) == 3 * 3_600_000 + 1
    assert milliseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0


def test_a_document_number_is_known_by_its_digits() -> None:
    assert document_digits("123.456.789-01") == document_digits("12345678901") == "12345678901"
    assert document_digits("A-B") == "A-B" != document_digits("A-C")
