"""What the commands that verify an exchange share: findings, printed and counted."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rich.console import Console
from rich.markup import escape
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from exchange.local.installation import Addresses
from runtime.postgres.tables import sqlalchemy_url
from runtime.process.errors import ExchangeError
from runtime.redis.channel import RedisError


class Finding(NamedTuple):
    """One thing that was looked at. ``problem`` is empty when it is as it should be."""

    what: str
    problem: str = ""


def audit(
    console: Console, addresses: Addresses, look: Callable[[Engine], Iterator[Finding]]
) -> dict[str, Any]:
    """Print what ``look`` finds in the database, and return it all. It has passed when there was
    no problem."""
    engine = create_engine(sqlalchemy_url(addresses.database_url))
    found: list[Finding] = []
    try:
        for finding in look(engine):
            found.append(finding)
            _print(console, finding)
    except (RedisError, SQLAlchemyError, ExchangeError) as error:
        found.append(Finding("the whole exchange was looked at", f"stopped, {error}"))
        _print(console, found[-1])
    finally:
        engine.dispose()
    return {
        "passed": not any(finding.problem for finding in found),
        "findings": [finding._asdict() for finding in found],
    }


def _print(console: Console, finding: Finding) -> None:
    if finding.problem:
        text = f"✗ {finding.what}: {finding.problem}"
        console.print(text, style="red", markup=False, highlight=False)
    else:
        console.print(f"[green]✓[/green] {escape(finding.what)}", highlight=False)
