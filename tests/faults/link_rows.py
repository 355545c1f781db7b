"""Rows of the fault matrix: each link between a worker and a server loses one direction, or dies
without a word."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.fleet import KINDS, Fleet, pause
from tests.faults.link_proxy import Direction, LinkProxy
from tests.faults.oracles import judge
from tests.faults.row import Budget, Row, seconds_to_recover, trading
from tests.support.eventually import eventually

REDIS, POSTGRES = "EXCHANGE_REDIS_URL", "EXCHANGE_DATABASE_URL"
LINKS = (
    ("http-1", REDIS),
    ("matcher-1", REDIS),
    ("persister-1", REDIS),
    ("notifier-1", REDIS),
    ("persister-1", POSTGRES),
    ("http-1", POSTGRES),
)
HELD_SECONDS = 7.0
"""Longer than a lease lives and than anybody waits for a reply of Redis."""
GOES_ON_SECONDS_MAX = 20.0
"""Of them the supervisor waits 10 before it ends a worker that hangs."""


def one_way_partition(seed: int, budget: Budget) -> Row:
    """What one direction of a link carries arrives 7 s late: requests, then replies. Another worker
    may have done it meanwhile; nothing is done twice."""
    return _each_link("one-way partition of each link", seed, ("requests", "replies"))


def half_open(seed: int, budget: Budget) -> Row:
    """The server has lost the connections of a link, and the worker is not told."""
    return _each_link("half-open connections of each link", seed, (None,))


def _each_link(fault: str, seed: int, directions: tuple[Direction | None, ...]) -> Row:
    recovered: list[float] = []
    faults = 0
    kinds = {**KINDS, "matcher": 2}
    # Closed orders leave Redis soon, so that the HTTP process reads them in PostgreSQL.
    own = {"persister-1": {"EXCHANGE_PERSISTER_CLOSED_SECONDS": "1"}}
    with Fleet(kinds, own, with_health=True) as fleet, trading(fleet, seed) as load:
        for name, variable in LINKS:
            with _through(fleet, name, variable) as proxy:
                for direction in directions:
                    what = f"{name}, {variable}, {direction or 'half-open'}"
                    eventually(lambda p=proxy: p.connections, 20, f"connections: {what}")  # type: ignore[misc]
                    at = _harm(proxy, direction, what)
                    recovered.append(seconds_to_recover(load, at))
                    stored = fleet.batches().stored
                    eventually(
                        lambda s=stored: fleet.batches().stored > s,  # type: ignore[misc]
                        GOES_ON_SECONDS_MAX,
                        f"batches to be stored after {what}",
                    )
                    faults += 1
        verdict = judge(load)
        verdict.problems += [f"{name}: {words}" for name, words in fleet.refused.items()]
        return Row(fault, seed, verdict, faults, recovered)


def _harm(proxy: LinkProxy, direction: Direction | None, what: str) -> float:
    """Returns when the link was well again, on the monotonic clock."""
    if direction is None:
        connections = proxy.connections
        at = time.monotonic()
        proxy.forget()
        eventually(
            lambda: proxy.connections > connections,
            GOES_ON_SECONDS_MAX,
            f"a new connection: {what}",
        )
        return at
    proxy.hold(direction)
    pause(HELD_SECONDS)
    assert proxy.held, f"C13: nothing was on its way: {what}"
    proxy.held = 0
    at = time.monotonic()
    proxy.heal()
    return at


@contextmanager
def _through(fleet: Fleet, name: str, variable: str) -> Iterator[LinkProxy]:
    """A worker that reaches one of its servers through a proxy only; directly again afterwards."""
    target = fleet.redis.url.removeprefix("unix://")
    if variable == POSTGRES:
        target = str(Path(fleet.postgres.url.split("host=")[1]) / ".s.PGSQL.5432")
    with LinkProxy(target) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        if variable == POSTGRES:
            url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{fleet.postgres.database}"
        fleet.start(name, **{variable: url})
        fleet.wait_ready()
        pause(1)
        yield proxy
        fleet.start(name)
        fleet.wait_ready()
