"""What the headers of the calls of orders ask for. Pure."""

from typing import NamedTuple

from runtime.http.endpoints import Headers

WAIT_SECONDS_MAX = 5


class OrderHeaders(NamedTuple):
    """``wait_seconds`` is 0 where the caller does not prefer to wait for the decision."""

    idempotency_key: bytes | None = None
    wait_seconds: int = 0


_NONE = OrderHeaders()


def order_headers(headers: Headers) -> OrderHeaders:
    """``Idempotency-Key`` and ``Prefer`` of a request, the first of each."""
    idempotency_key: bytes | None = None
    prefer: bytes | None = None
    for name, value in headers:
        if name == b"idempotency-key" and idempotency_key is None:
            idempotency_key = value
        elif name == b"prefer":
            prefer = value if prefer is None else prefer + b"," + value
    if idempotency_key is None and prefer is None:
        return _NONE
    return OrderHeaders(idempotency_key, wait_seconds(prefer or b""))


def wait_seconds(prefer: bytes) -> int:
    """The preference ``wait`` of a ``Prefer`` header (RFC 7240), at most ``WAIT_SECONDS_MAX``.
    Preferences that are unknown or make no sense are ignored, as the RFC has it."""
    for preference in prefer.split(b","):
        name, _, value = preference.split(b";")[0].partition(b"=")
        if name.strip().lower() == b"wait":
            number = value.strip().strip(b'"')
            return (
                min(int(number), WAIT_SECONDS_MAX) if number.isdigit() and len(number) < 10 else 0
            )
    return 0


def wants_order(headers: Headers) -> bool:
    """Whether a request has the preference ``return=representation``. Of several ``return`` the
    first one counts."""
    for header, value in headers:
        if header == b"prefer":
            for preference in value.split(b","):
                name, _, wanted = preference.split(b";")[0].partition(b"=")
                if name.strip().lower() == b"return":
                    return wanted.strip().strip(b'"').lower() == b"representation"
    return False
