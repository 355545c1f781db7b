"""One owned partition: its engine, where its commits stand, and what has news."""

from dataclasses import dataclass, field

from matcher.agenda import Agenda
from matcher.engine import Engine


@dataclass(slots=True)
class Partition:
    """``news`` holds the symbols whose log may have more than ``engine`` has applied. ``bell`` is
    the last bell that was heard, ``told_bell`` the last one that a commit has named."""

    number: int
    engine: Engine
    batch_number: int
    batch_hash: str
    bell: int = 0
    told_bell: int = 0
    agenda: Agenda = field(default_factory=Agenda)
    news: set[str] = field(default_factory=set)

    def position(self, symbol: str) -> int:
        market = self.engine.markets.get(symbol)
        return market.sequence if market is not None else 0
