"""A market without Redis: an engine whose batches the persister's own code stores."""

from zoneinfo import ZoneInfo

from matcher.changes import Changes
from matcher.engine import Engine
from persister.rows import Rows, StoredBatch, day_of
from persister.store import CursorMove, Store
from protocol import codec
from protocol.batches import BatchEntry, CommittedBatch
from protocol.candles import Days
from protocol.commands import Command
from protocol.enums import ExecutionPrice
from protocol.registry import BrokerRegistered, InstrumentListed, RegistryEntry
from runtime.redis.genesis import Genesis
from tests.support.builders import ALICE, BOB, SYMBOL

SAO_PAULO = ZoneInfo("America/Sao_Paulo")
GENESIS = Genesis("history", 1, 16, ExecutionPrice.MAKER, 1)


class Market:
    """One symbol whose batches the persister's store has taken."""

    def __init__(self, database_url: str) -> None:
        self.engine = Engine()
        self.market = self.engine.market(SYMBOL, 1)
        self.store = Store(database_url, SAO_PAULO)
        self.store.open(GENESIS)
        number, last_hash, self.day = self.store.cursor("p03")
        self.last = (number, last_hash)
        self._unstored: CommittedBatch
        registered = [BrokerRegistered(broker, broker[-1], 1) for broker in (ALICE, BOB)]
        entry = RegistryEntry([*registered, InstrumentListed(SYMBOL, 1, 3)])
        self.store.store_registry(GENESIS.history_id, [(1, entry)])

    def at(self, time_ms: int, *commands: Command) -> None:
        """Apply commands at one instant, and store them as one batch."""
        self.across(*[(time_ms, command) for command in commands])

    def across(self, *commands: tuple[int, Command]) -> None:
        """Apply commands, each at its time, and store them as one batch."""
        changes = Changes(3, self.engine)
        for time_ms, command in commands:
            sequence = self.market.sequence + 1
            events = self.engine.apply(self.market, sequence, time_ms, command)
            payload = codec.encode(command)
            changes.add(self.market, [BatchEntry(SYMBOL, 1, sequence, time_ms, payload, events)])
        commit = changes.take(*self.last, bell=0)
        self._unstored = CommittedBatch(commit.number, commit.hash, commit.payload)
        self.again()

    def again(self) -> None:
        """Store the last batch, which was not stored."""
        committed = self._unstored
        batch = codec.decode_batch(committed.payload)
        day = day_of(batch, self.day, Days(SAO_PAULO))
        rows = Rows()
        rows.add(StoredBatch(batch, committed, day))
        move = CursorMove("p03", self.last[0], committed.number, committed.hash, day)
        self.store.store(GENESIS.history_id, rows, [move])
        self.last, self.day = (committed.number, committed.hash), day
