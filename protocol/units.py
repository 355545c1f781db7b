"""Units and their bounds.

Prices and cash are integers in cents of BRL, quantities are whole shares, times are integers in
milliseconds since the Unix epoch, UTC: the name of a value says which one it is. There are no
floats anywhere between the HTTP body and PostgreSQL.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

PRICE_MAX = 10**9
QUANTITY_MAX = 10**6
TIME_MS_MAX = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can name.

# In Python `$` also matches before a last newline, and in JSON Schema it does not. The look-ahead
# rules the newline out.
NO_NEWLINE = "(?!\n)"
SYMBOL_LENGTH_MAX = 12
SYMBOL_PATTERN = f"^[A-Z0-9.]{{1,{SYMBOL_LENGTH_MAX}}}${NO_NEWLINE}"
CLIENT_ORDER_ID_LENGTH_MAX = 36
CLIENT_ORDER_ID = f"[A-Za-z0-9._:-]{{1,{CLIENT_ORDER_ID_LENGTH_MAX}}}"
CLIENT_ORDER_ID_PATTERN = f"^{CLIENT_ORDER_ID}${NO_NEWLINE}"
DOCUMENT_NUMBER_LENGTH_MAX = 20
DOCUMENT_NUMBER_PATTERN = (  # No control characters: it is stored as text.
    f"^[^\\x00-\\x1f\\x7f]{{1,{DOCUMENT_NUMBER_LENGTH_MAX}}}${NO_NEWLINE}"
)
MEMO_LENGTH_MAX = 64
PLAIN_TEXT = "^[^\\x00-\\x1f\\x7f]+$"
"""Text for people, in the body of a call of the operator: no control characters."""
MEMO_PATTERN = f"^[^\\x00-\\x1f\\x7f]{{1,{MEMO_LENGTH_MAX}}}${NO_NEWLINE}"
INSTRUMENT_NAME_LENGTH_MAX = 100
PAGE_DEFAULT = 50  # Items of a list that are answered at once.
PAGE_MAX = 500
ICEBERG_SLICES_MAX = 100  # An order shows at least this part of its quantity at a time.
BOOK_DEPTH_MAX = 50
PRICE_WINDOW_MAX = 1000  # Trades kept per symbol for the moving average.
BODY_BYTES_MAX = 16 * 1024  # Of a request to the exchange.

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def format_time(time_ms: int) -> str:
    """RFC 3339 with milliseconds and offset, for example ``2026-11-22T13:00:00.123+00:00``."""
    return f"{_second(time_ms // 1000)}.{time_ms % 1000:03d}+00:00"


@lru_cache(maxsize=4096)  # Times come in runs of the same second, and formatting one is slow.
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def milliseconds(moment: datetime) -> int:
    """The instant of an aware ``moment``, rounded down; exact, without a float on the way."""
    return (moment - _EPOCH) // _MILLISECOND


def timestamp(time_ms: int) -> datetime:
    """The instant as PostgreSQL stores it; exact, without a float on the way."""
    return _EPOCH + timedelta(milliseconds=time_ms)


def document_digits(document_number: str) -> str:
    """What makes two document numbers the same: their digits, or the text where it has none."""
    digits = "".join([character for character in document_number if character in "0123456789"])
    return digits or document_number
