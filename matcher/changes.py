"""What a batch changed, gathered entry by entry and handed over as one commit. Pure."""

from matcher.engine import Engine
from matcher.market import Market
from matcher.sessions import take_instrument
from protocol import codec, keys
from protocol.batches import Batch, BatchEntry, chain_hash
from protocol.commits import Commit, DeadLetter
from protocol.decisions import Decided
from protocol.enums import OrderState
from protocol.events import CommandRefused, Trade
from protocol.records import FillRecord

# A set of states would be asked for the hash of each, which Enum computes in Python.
_NEW, _PARTIALLY_FILLED = OrderState.NEW, OrderState.PARTIALLY_FILLED


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

    def add(self, market: Market, entries: list[BatchEntry]) -> None:
        """Take in entries of a market's log with the events that they caused."""
        self._markets[market.symbol] = market
        self._entries += entries
        for entry in entries:
            for event in entry.events:
                if type(event) is Trade:
                    self._add_trade(entry, event)
                elif type(event) is CommandRefused:
                    self._refused.append((entry.symbol, entry.sequence, event.reason))

    def add_dead(self, entry: BatchEntry, reason: str) -> None:
        """Take in that an entry could not be read; :meth:`add` takes in the entry itself."""
        self._dead.append(DeadLetter(entry.symbol, entry.sequence, reason, entry.command))

    def _add_trade(self, entry: BatchEntry, trade: Trade) -> None:
        number, fills, time_ms = entry.instrument_number, self._fills, entry.time_ms
        for sequence, counterparty in (
            (trade.maker_sequence, trade.taker_broker_id),
            (trade.taker_sequence, trade.maker_broker_id),
        ):
            fill = FillRecord(
                trade.trade_number, trade.price, trade.quantity, counterparty, time_ms
            )
            field = keys.order_field(number, sequence)
            fills.setdefault(field, []).append(codec.encode(fill))
        self._prices.setdefault(entry.symbol, []).append(trade.price)

    def take(self, last_number: int, last_hash: str, bell: int) -> Commit:
        """The commit that follows batch ``last_number`` and has applied everything up to ``bell``.

        It takes what has changed out of the engine, which begins to gather anew: call it once.
        """
        commit = Commit(
            partition=self._partition,
            number=last_number + 1,
            bell=bell,
            commands=len(self._entries),
            balances=self._engine.take_balances(),
            fills=self._fills,
            prices=self._prices,
            dead_letters=self._dead,
        )
        records: list[bytes] = []
        for symbol, market in self._markets.items():
            sequence = market.sequence
            commit.positions[symbol] = f"{sequence}:{market.trade_number}"
            _take_orders(commit, market, records)
            take_market(commit, market)
            book = market.view.take(sequence)
            if book is not None:
                (commit.snapshots if book.is_snapshot else commit.book_changes)[symbol] = book.text
        batch = Batch(
            commit.number,
            self._partition,
            self._entries,
            records,
            commit.balances,
            commit.holdings,
            commit.instruments,
        )
        commit.payload = codec.encode(batch)
        commit.hash = chain_hash(last_hash, commit.payload)
        commit.decided = codec.encode(Decided(bell, self._applied(), self._refused))
        return commit

    def _applied(self) -> dict[str, tuple[int, int]]:
        firsts = {entry.symbol: entry.sequence for entry in reversed(self._entries)}
        return {
            symbol: (firsts[symbol], market.sequence) for symbol, market in self._markets.items()
        }


def _take_orders(commit: Commit, market: Market, records: list[bytes]) -> None:
    """The records of the orders of a market that have changed."""
    symbol, number = market.symbol, market.instrument_number
    for order in market.take_changed():
        record = order.encoded(symbol, number)
        records.append(record)
        is_open = order.state is _NEW or order.state is _PARTIALLY_FILLED
        orders = commit.open_orders if is_open else commit.closed_orders
        orders[keys.order_field(number, order.sequence)] = record


def take_market(commit: Commit, market: Market) -> None:
    """The holdings of a market and its rules, where they have changed."""
    if market.holdings_changed:
        number = market.instrument_number
        for broker_id, shares in market.take_holdings().items():
            commit.holdings[keys.holding_field(number, broker_id)] = shares
    if market.instrument is not None:
        instrument = take_instrument(market)
        if instrument is not None:
            commit.instruments[market.symbol] = codec.encode(instrument)


def told(partition: int, number: int, bell: int) -> Commit:
    """A commit that only tells that everything up to ``bell`` is applied, with batch ``number`` or
    before."""
    return Commit(partition, number, bell, codec.encode(Decided(bell, {}, [])))
