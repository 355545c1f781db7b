"""Parameters of the query string of lists, checked. Pure."""

import re
from collections.abc import Collection
from datetime import datetime
from urllib.parse import parse_qsl

from protocol import ids
from protocol.units import PAGE_DEFAULT, PAGE_MAX, TIME_MS_MAX, milliseconds
from runtime.http.problems import Problem
from runtime.http.stocks import check_symbol

_LIMIT = re.compile("[0-9]{1,4}")


class Parameters:
    """The values of a query string by name. A name that is not among ``names``, or is there twice,
    is refused; so is every value that cannot be used, when it is asked for."""

    def __init__(self, query: bytes, names: Collection[str]) -> None:
        self._values: dict[str, str] = {}
        try:
            pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=20)
        except ValueError as error:
            raise Problem("invalid_parameter", "the query string cannot be read") from error
        for name, value in pairs:
            if name not in names:
                known = ", ".join(names) or "none"
                raise Problem(
                    "invalid_parameter", f"{name} is unknown; the parameters are: {known}"
                )
            if name in self._values:
                raise Problem("invalid_parameter", f"{name} is there twice")
            self._values[name] = value

    def text(self, name: str) -> str | None:
        return self._values.get(name)

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        value = self._values.get(name)
        if value is not None and value not in choices:
            raise Problem("invalid_parameter", f"{name} is one of {', '.join(choices)}")
        return value

    def symbol(self) -> str | None:
        value = self._values.get("symbol")
        return None if value is None else check_symbol(value)

    def order_id(self) -> str | None:
        value = self._values.get("order_id")
        if value is not None and ids.decode(value) is None:
            raise Problem("invalid_parameter", "order_id is not the id of an order")
        return None if value is None else value.lower()

    def matching(self, name: str, pattern: str, what: str) -> str | None:
        value = self._values.get(name)
        if value is not None and not re.fullmatch(pattern, value):
            raise Problem("invalid_parameter", f"{name} is {what}")
        return value

    def time_ms(self, name: str) -> int | None:
        """A time in RFC 3339 with an offset, in milliseconds."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            # In a query string a plus that was not escaped is a space.
            moment = datetime.fromisoformat(value.replace(" ", "+"))
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise Problem("invalid_parameter", f"{name} is a time in RFC 3339 with an offset")
        try:
            time_ms = milliseconds(moment)
        except OverflowError:
            time_ms = -1
        if not 0 <= time_ms <= TIME_MS_MAX:
            raise Problem("invalid_parameter", f"{name} is out of range")
        return time_ms

    def limit(self) -> int:
        """How many items the page may have."""
        value = self._values.get("limit")
        if value is None:
            return PAGE_DEFAULT
        if not _LIMIT.fullmatch(value) or not 1 <= int(value) <= PAGE_MAX:
            raise Problem("invalid_parameter", f"limit is an integer from 1 to {PAGE_MAX}")
        return int(value)

    def filters(self) -> dict[str, str]:
        """All that says what is in the list, not how much of it is shown."""
        return {k: v for k, v in self._values.items() if k not in ("limit", "cursor")}
