"""Trades counted in a second place: the exchange's own counter, and its PostgreSQL."""

import time
from collections.abc import Callable

import httpx

from simulator.broker import trade_count
from simulator.errors import SimulationFailed
from simulator.load.checks import Checks

SETTLE_SECONDS_MAX = 30.0
LOOK_AGAIN_SECONDS = 0.1


class TradeCounter:
    """The counter of ``GET /debug/trade-count``, which an exchange may not have. Counts from now
    on."""

    def __init__(self, client: httpx.Client, admin_key: str) -> None:
        self._client = client
        self._admin_key = admin_key
        self._before = 0
        self._missing = ""
        try:
            self._before = self._count()
        except SimulationFailed as error:
            self._missing = f"there is no counter of trades: {error}"

    def check(self, checks: Checks) -> None:
        """The counter has grown by the trades that were seen, or by more: others may trade too."""
        name = "trade_count_has_grown_by_the_trades"
        if self._missing:
            checks.skip(name, self._missing)
            return
        grown = _settled(lambda: self._count() - self._before, checks.trades)
        checks.add(name, grown >= checks.trades, f"{checks.trades} seen, {grown} counted")

    def _count(self) -> int:
        return trade_count(self._client, self._admin_key)


def check_postgresql(url: str, symbols: list[str], checks: Checks, all_known: bool) -> None:
    """PostgreSQL holds as many trades of ``symbols`` as were seen; at least as many unless the
    outcome of every request is known. Skipped without the URL of a database."""
    name = "trades_as_in_postgresql"
    if not url:
        checks.skip(name, "the URL of its PostgreSQL is not known")
        return
    import psycopg  # Only for this check.

    statement = "SELECT count(*) FROM trades WHERE symbol = ANY(%s)"
    try:
        with psycopg.connect(url, autocommit=True) as connection:

            def count() -> int:
                row = connection.execute(statement, [symbols]).fetchone()
                return row[0] if row else 0

            stored = _settled(count, checks.trades)
    except psycopg.Error as error:
        raise SimulationFailed(f"the trades cannot be counted in PostgreSQL: {error}") from error
    agree = stored == checks.trades if all_known else stored >= checks.trades
    checks.add(name, agree, f"{checks.trades} seen, {stored} stored")


def _settled(count: Callable[[], int], expected: int) -> int:
    """The count once it is as expected, or after ``SETTLE_SECONDS_MAX``: it may come a moment
    behind."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while (found := count()) < expected and time.monotonic() < deadline:
        time.sleep(LOOK_AGAIN_SECONDS)
    return found
