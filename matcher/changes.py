"""What a batch changed, gathered entry by entry and handed over as one commit. Pure."""

from matcher.engine import Engine
from matcher.market import Market
from protocol import codec, keys
from protocol.batches import Batch, BatchEntry, chain_hash
from protocol.commits import Commit, DeadLetter, Position
from protocol.decisions import Decided
from protocol.enums import OPEN_STATES
from protocol.events import CommandRefused, Trade
from protocol.records import FillRecord


class Changes:
    """Gathers the entries of one batch of one partition."""

    def __init__(self, partition: int, engine: Engine) -> None:
        self._partition = partition
        self._engine = engine
        self._entries: list[BatchEntry] = []
        self._markets: dict[str, Market] = {}
        self._fills: dict[str, list[bytes]] = {}
        self._prices: dict[str, list[int]] = {}
        self._refused: list[tuple[str, int, str]] = []
        self._dead: list[DeadLetter] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def trades(self) -> int:
        return sum(len(prices) for prices in self._prices.values())

    def add(self, market: Market, entry: BatchEntry) -> None:
        """Take in an entry of the log with the events that it caused."""
        self._markets[market.symbol] = market
        self._entries.append(entry)
        for event in entry.events:
            kind = type(event)
            if kind is Trade:
                self._add_trade(entry, event)  # type: ignore[arg-type]
            elif kind is CommandRefused:
                self._refused.append((entry.symbol, entry.sequence, event.reason))  # type: ignore[union-attr]

    def add_dead(self, market: Market, entry: BatchEntry, reason: str) -> None:
        """Take in an entry that could not be read."""
        self.add(market, entry)
        self._dead.append(DeadLetter(entry.symbol, entry.sequence, reason, entry.command))

    def _add_trade(self, entry: BatchEntry, trade: Trade) -> None:
        number = entry.instrument_number
        for sequence, counterparty in (
            (trade.maker_sequence, trade.taker_broker_id),
            (trade.taker_sequence, trade.maker_broker_id),
        ):
            fill = FillRecord(
                trade.trade_number, trade.price, trade.quantity, counterparty, entry.time_ms
            )
            field = keys.order_field(number, sequence)
            self._fills.setdefault(field, []).append(codec.encode(fill))
        self._prices.setdefault(entry.symbol, []).append(trade.price)

    def take(self, last_number: int, last_hash: str, bell: int) -> Commit:
        """The commit that follows batch ``last_number`` and has applied everything up to ``bell``.

        It takes what has changed out of the engine, which begins to gather anew: call it once.
        """
        records: list[bytes] = []
        open_orders: dict[str, bytes] = {}
        closed_orders: dict[str, bytes] = {}
        for symbol, market in self._markets.items():
            number = market.instrument_number
            for order in market.take_changed():
                record = codec.encode(order.record(symbol, number))
                records.append(record)
                field = keys.order_field(number, order.sequence)
                (open_orders if order.state in OPEN_STATES else closed_orders)[field] = record
        balances = self._engine.take_balances()
        batch = Batch(last_number + 1, self._partition, self._entries, records, balances)
        payload = codec.encode(batch)
        snapshots, book_changes = self._books()
        return Commit(
            partition=self._partition,
            number=batch.number,
            bell=bell,
            decided=codec.encode(Decided(bell, self._applied(), self._refused)),
            hash=chain_hash(last_hash, payload),
            payload=payload,
            commands=len(self._entries),
            positions=self._positions(),
            snapshots=snapshots,
            book_changes=book_changes,
            balances=balances,
            open_orders=open_orders,
            closed_orders=closed_orders,
            fills=self._fills,
            prices=self._prices,
            dead_letters=self._dead,
        )

    def _positions(self) -> dict[str, str]:
        return {
            symbol: str(Position(market.sequence, market.trade_number))
            for symbol, market in self._markets.items()
        }

    def _applied(self) -> dict[str, tuple[int, int]]:
        firsts = {entry.symbol: entry.sequence for entry in reversed(self._entries)}
        return {
            symbol: (firsts[symbol], market.sequence) for symbol, market in self._markets.items()
        }

    def _books(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """New snapshots and changes of the books that look different to a reader now."""
        snapshots: dict[str, bytes] = {}
        changes: dict[str, bytes] = {}
        for symbol, market in self._markets.items():
            write = market.view.take(market.sequence)
            if write is not None:
                (snapshots if write.is_snapshot else changes)[symbol] = write.text
        return snapshots, changes


def told(partition: int, number: int, bell: int) -> Commit:
    """A commit that only tells that everything up to ``bell`` is applied, with batch ``number`` or
    before."""
    return Commit(partition, number, bell, codec.encode(Decided(bell, {}, [])))
