"""``exchange verify-journal``: the journal through a fresh engine, every event compared."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from msgspec import structs
from rich.console import Console
from sqlalchemy import Connection, select
from sqlalchemy import Engine as SqlEngine

from exchange.archive.files import ArchiveFailed, DayFiles
from exchange.archive.kept import archived_batches, archived_files, archived_up_to
from exchange.archive.state import MarketState, PartitionState
from exchange.audit.check import holdings_problem
from exchange.audit.findings import Finding, audit
from exchange.audit.reports import counts_problem
from exchange.local.installation import Addresses
from matcher.changes import take_market
from matcher.engine import Engine
from matcher.worker import UNREADABLE
from protocol import codec
from protocol.batches import Batch, BatchEntry
from protocol.commits import Commit
from protocol.enums import OPEN_STATES, ExecutionPrice
from protocol.events import Event, OrderAmended
from protocol.partitions import all_partitions, partition_name
from protocol.records import OrderRecord
from runtime.postgres import tables
from runtime.postgres.order_rows import order_record

ROWS_MAX = 500


class Replayed(NamedTuple):
    """``problem`` is empty when everything agreed."""

    partition: int
    batches: int
    commands: int
    events: int
    state_hash: str
    problem: str = ""


def verify_journal(console: Console, addresses: Addresses) -> dict[str, Any]:
    """Print and return the findings. Passed means that the journal gives every event, order and
    balance and the final state again."""
    return audit(console, addresses, _look)


def _look(engine: SqlEngine) -> Iterator[Finding]:
    commands = events = 0
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield from _archive_findings(archived_files(connection))
        for result in replay_all(connection):
            commands += result.commands
            events += result.events
            yield Finding(
                f"{partition_name(result.partition)}: {result.batches} batches,"
                f" {result.commands} commands, state {result.state_hash[:16]}",
                result.problem,
            )
    yield Finding(f"{commands:,} commands, {events:,} events compared")


def replay_all(connection: Connection) -> Iterator[Replayed]:
    """Partition by partition; each stops at its first difference. Archived days are read from
    their files, where these are here; else the replay begins after them."""
    files = archived_files(connection)
    from_files = all(of_day.directory.exists() for of_day in files)
    genesis = connection.execute(select(tables.genesis)).one()
    rule = ExecutionPrice(genesis.execution_price)
    for partition in all_partitions(genesis.partitions):
        yield PartitionReplay(connection, partition, rule, files if from_files else []).run()


def _archive_findings(files: list[DayFiles]) -> Iterator[Finding]:
    """Whether the files of the archived days are here, and are what they were."""
    gone = [str(of_day.directory) for of_day in files if not of_day.directory.exists()]
    if gone:
        yield Finding(f"{gone[0]} is not here: the replay begins after the archived days")
        return
    for of_day in files:
        try:
            of_day.verify()
            problem = ""
        except ArchiveFailed as error:
            problem = str(error)
        yield Finding(f"the files of {of_day.directory.name} are whole", problem)


class PartitionReplay:
    """``files`` are all archived days; with none of them the replay begins with what PostgreSQL
    keeps of them."""

    def __init__(
        self,
        connection: Connection,
        partition: int,
        rule: ExecutionPrice,
        files: Sequence[DayFiles] = (),
    ) -> None:
        self._files = list(files)
        self._connection = connection
        self._partition = partition
        self._rule = rule
        self._engine = Engine(rule)
        self._holdings: dict[str, int] = {}
        self._instruments: dict[str, bytes] = {}
        self._batches = self._commands = self._events = 0

    def run(self) -> Replayed:
        problem = self._past() or self._journal()
        state = self._engine.state_hash()
        if not problem:
            self._engine.check_invariants()
            stored = self._stored_state()
            problem = self._tables_problem()
            if stored != state:
                problem = f"the state is {state}, the tables hold {stored}"
        return Replayed(
            self._partition, self._batches, self._commands, self._events, state, problem
        )

    def _past(self) -> str:
        """Replay the archived days, or begin after them."""
        archived = archived_up_to(self._connection, self._partition)
        if not self._files:
            self._batches = archived.number
            self._engine = archived.state.engine(self._rule)
            self._holdings = dict(archived.state.holdings)
            self._instruments = dict(archived.state.instruments)
            return ""
        for row in archived_batches(self._files, self._partition):
            batch = codec.decode_batch(row.batch)
            problem = self.batch(row.number, batch) or counts_problem(batch, row.reports)
            if problem:
                return problem
        kept = archived.state.engine(self._rule).state_hash()
        if self._batches != archived.number or self._engine.state_hash() != kept:
            return f"PostgreSQL keeps another state of batch {archived.number} than the files give"
        return ""

    def _journal(self) -> str:
        table = tables.journal
        query = select(table.c.number, table.c.batch, table.c.reports).where(
            table.c.partition == self._partition
        )
        rows = self._connection.execution_options(yield_per=ROWS_MAX).execute(
            query.order_by(table.c.number)
        )
        with closing(rows):
            for number, payload, reports in rows:
                batch = codec.decode_batch(payload)
                problem = self.batch(number, batch) or counts_problem(batch, reports)
                if problem:
                    return problem
        return ""

    def batch(self, number: int, batch: Batch) -> str:
        """What is wrong with the next batch of the journal; empty when nothing is."""
        self._batches += 1
        if number != self._batches or batch.number != number:
            return f"batch {self._batches} is missing, {number} follows"
        engine = self._engine
        records: list[bytes] = []
        touched = {}
        for entry in batch.entries:
            market = engine.market(entry.symbol, entry.instrument_number)
            if entry.sequence != market.sequence + 1:
                return f"{entry.symbol} jumps from {market.sequence} to {entry.sequence}"
            touched[entry.symbol] = market
            events = self._apply(entry)
            if events != entry.events and _without_previous(events) != entry.events:
                return (
                    f"batch {number}: {entry.symbol} {entry.sequence} gives {events},"
                    f" the journal says {entry.events}"
                )
            self._commands += 1
            self._events += len(events)
        for symbol, market in touched.items():
            number_of_symbol = market.instrument_number
            records += [
                codec.encode(order.record(symbol, number_of_symbol))
                for order in market.take_changed()
            ]
        balances = engine.take_balances()
        commit = Commit(self._partition, number, 0)
        for market in touched.values():
            take_market(commit, market)
        if not batch.holdings and not self._holdings:
            # An earlier version kept none, and the matcher that came after it began with none.
            commit.holdings.clear()
            for market in touched.values():
                market.holdings.clear()
        self._holdings.update(batch.holdings)
        self._instruments.update(batch.instruments)
        if records != batch.orders and _orders(records) != _orders(batch.orders):
            return f"batch {number}: the orders are not those of the journal"
        if balances != batch.balances:
            return f"batch {number}: the balances are not those of the journal"
        if commit.holdings != batch.holdings or commit.instruments != batch.instruments:
            return f"batch {number}: holdings or rules are not those of the journal"
        return ""

    def _apply(self, entry: BatchEntry) -> list[Event]:
        market = self._engine.market(entry.symbol, entry.instrument_number)
        try:
            command = codec.decode_command(entry.command)
        except codec.DecodeError:
            return self._engine.refuse(market, entry.sequence, UNREADABLE)
        return self._engine.apply(market, entry.sequence, entry.time_ms, command)

    def _tables_problem(self) -> str:
        """What the tables say of holdings and of rules, against the trades and the journal."""
        symbols = list(self._engine.markets)
        states = tables.instrument_states
        rows = self._connection.execute(
            select(states.c.symbol, states.c.record).where(states.c.symbol.in_(symbols))
        )
        if {row.symbol: bytes(row.record) for row in rows} != self._instruments:
            return "the rules of instruments are not those of the journal"
        return holdings_problem(self._connection, symbols)

    def _stored_state(self) -> str:
        """The state hash of an engine that is put together from the tables."""
        balances, orders = tables.balances, tables.orders
        cash = self._connection.execute(
            select(balances).where(balances.c.partition == self._partition)
        )
        rows = self._connection.execute(
            select(orders).where(
                orders.c.symbol.in_(list(self._engine.markets)),
                orders.c.state.in_([state.value for state in OPEN_STATES]),
            )
        )
        records = [order_record(row) for row in rows]
        state = PartitionState(
            markets={
                symbol: MarketState(m.instrument_number, m.sequence, m.trade_number, m.last_price)
                for symbol, m in self._engine.markets.items()
            },
            orders={record.field: codec.encode(record) for record in records},
            balances={str(row.broker_id): row.cash for row in cash},
            holdings=self._holdings,
            instruments=self._instruments,
        )
        return state.engine(self._rule).state_hash()


def _without_previous(events: list[Event]) -> list[Event]:
    """Events as an earlier version has told them: without what an amended order was before."""
    return [
        structs.replace(event, previous_price=0, previous_quantity=0)
        if isinstance(event, OrderAmended)
        else event
        for event in events
    ]


def _orders(records: list[bytes]) -> list[OrderRecord]:
    """What records say; those of an earlier version have fewer fields."""
    return [codec.decode_order(record) for record in records]
