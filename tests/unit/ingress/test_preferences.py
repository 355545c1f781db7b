"""The header Prefer (RFC 7240)."""

import pytest

from ingress.preferences import OrderHeaders, order_headers, wait_seconds, wants_order


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (b"wait=2", 2),
        (b"Wait = 3", 3),
        (b'wait="4"; x=y', 4),
        (b"return=minimal, wait=1", 1),
        (b"wait=1, wait=3", 1),
        (b"wait=99", 5),
        (b"wait=0", 0),
        (b"wait=-1", 0),
        (b"wait=soon", 0),
        (b"wait=" + b"9" * 5000, 0),
        (b"", 0),
        (b"respond-async", 0),
    ],
)
def test_a_preference_that_makes_no_sense_is_ignored(prefer: bytes, seconds: int) -> None:
    assert wait_seconds(prefer) == seconds


def test_both_headers_are_found_and_several_of_one_are_joined() -> None:
    headers = [
        (b"prefer", b"return=minimal"),
        (b"idempotency-key", b"k"),
        (b"prefer", b"wait=2"),
        (b"idempotency-key", b"other"),
    ]
    assert order_headers(headers) == OrderHeaders(b"k", 2)
    assert order_headers([(b"host", b"x")]) == OrderHeaders(None, 0)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([b"return=representation"], True),
        ([b'Return = "representation"; x=y'], True),
        ([b"wait=1, return=representation"], True),
        ([b"wait=1", b"return=representation"], True),
        ([b"return=minimal, return=representation"], False),
        ([b"return=minimal"], False),
        ([b"return"], False),
        ([b"representation"], False),
        ([], False),
    ],
)
def test_the_representation_is_wanted_where_the_first_return_says_so(
    values: list[bytes], wanted: bool
) -> None:
    assert wants_order([(b"host", b"x"), *[(b"prefer", value) for value in values]]) is wanted
