"""One owned partition: its engine, where its commits stand, and what has news."""

from dataclasses import dataclass, field

from matcher.agenda import Agenda
from matcher.engine import Engine
from runtime.redis.order_log import RawEntry

Logs = list[tuple[str, list[RawEntry]]]
"""New entries of the logs of one partition, by symbol."""


@dataclass(slots=True)
class Partition:
    """``news`` holds the symbols whose log may have more than ``engine`` has applied, and
    ``carried`` the new entries that the bells have brought of other symbols. ``bell`` is the last
    bell that was heard, ``told_bell`` the last one that a commit has named. ``applied`` counts the
    entries that this worker has applied."""

    number: int
    engine: Engine
    batch_number: int
    batch_hash: str
    bell: int = 0
    told_bell: int = 0
    applied: int = 0
    agenda: Agenda = field(default_factory=Agenda)
    news: set[str] = field(default_factory=set)
    carried: dict[str, list[RawEntry]] = field(default_factory=dict)

    def position(self, symbol: str) -> int:
        market = self.engine.markets.get(symbol)
        return market.sequence if market is not None else 0

    def hear(self, fields: list[bytes]) -> None:
        """Take in the fields of a bell, which either carries the new entries or names their logs
        only (``append.lua``)."""
        if len(fields) == 2:
            for symbol in fields[1].decode().split(" "):
                self.news.add(symbol)
                self.carried.pop(symbol, None)
            return
        stamp = fields[3]
        for at in range(4, len(fields), 2):
            name, _, entry_id = fields[at].partition(b" ")
            symbol = name.decode()
            if symbol not in self.news:
                entry = (entry_id, [b"t", stamp, b"c", fields[at + 1]])
                self.carried.setdefault(symbol, []).append(entry)

    def take_carried(self) -> Logs:
        """What the bells have brought. A log whose entries do not follow what is applied gets into
        ``news``, unless all of them are applied."""
        logs = []
        for symbol, entries in self.carried.items():
            position = self.position(symbol)
            if int(entries[0][0][:-2]) == position + 1:
                logs.append((symbol, entries))
            elif int(entries[-1][0][:-2]) > position:
                self.news.add(symbol)
        self.carried.clear()
        return logs
