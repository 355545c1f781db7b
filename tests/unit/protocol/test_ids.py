"""Order ids: a place in the log as a UUIDv8."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import ids

TIMES = st.integers(0, 2**48 - 1)
NUMBERS = st.integers(0, ids.INSTRUMENT_NUMBER_MAX)
SEQUENCES = st.integers(0, ids.SEQUENCE_MAX)


@given(TIMES, NUMBERS, SEQUENCES, st.sampled_from([ids.ORDER, ids.TRADE]))
def test_an_id_decodes_to_the_place_it_was_made_of(
    time_ms: int, number: int, sequence: int, kind: int
) -> None:
    text = ids.encode(time_ms, number, sequence, kind)
    assert ids.decode(text, kind) == (time_ms, number, sequence)
    assert ids.decode(text.upper(), kind) == (time_ms, number, sequence)


@given(TIMES, NUMBERS, SEQUENCES)
def test_an_id_is_a_uuid_of_version_8_and_the_rfc_variant(
    time_ms: int, number: int, sequence: int
) -> None:
    parsed = uuid.UUID(ids.encode(time_ms, number, sequence))
    assert str(parsed) == ids.encode(time_ms, number, sequence)
    assert parsed.version == 8
    assert parsed.variant == uuid.RFC_4122


def test_ids_sort_by_time() -> None:
    assert ids.encode(1, 9, 9) < ids.encode(2, 0, 0)


def test_a_trade_id_is_no_order_id() -> None:
    assert ids.decode(ids.encode(1, 2, 3, ids.TRADE)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "123e4567-e89b-42d3-a456-426614174000",  # version 4
        "00000000-0000-8000-0000-000000000400",  # not the RFC's variant
        "00000000-0000-8000-8000-000000000401",  # an unknown kind
        "00000000000080008000000000000400",
        "{0000000-0000-8000-8000-000000000400",
        "+0000000-0000-8000-8000-000000000400",
        "0_000000-0000-8000-8000-000000000400",
        "\u06600000000-0000-8000-8000-000000000400",  # a digit, but not of ours
        "00000000-0000-8000-8000-00000000040g",
        "00000000-0000-8000-8000-0000000004000",
    ],
)
def test_what_is_no_canonical_id_does_not_decode(text: str) -> None:
    assert ids.decode(text) is None
