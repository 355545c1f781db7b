"""What a batch changed, as the arguments of one ``commit`` Function. Pure mapping.

The order of the sections is the contract with ``runtime/redis/functions/exchange.lua``.
"""

from typing import Any

from matcher.engine import Engine
from matcher.market import Market
from protocol import codec, keys
from protocol.batches import Batch, BatchEntry, chain_hash
from protocol.enums import OPEN_STATES
from protocol.events import Trade
from protocol.records import FillRecord
from protocol.units import PRICE_WINDOW_MAX


class Changes:
    """Collects the entries of one batch of one partition, then renders the commit."""

    def __init__(self, partition: int, engine: Engine) -> None:
        self._partition = partition
        self._engine = engine
        self._entries: list[BatchEntry] = []
        self._markets: dict[str, Market] = {}
        self._fills: dict[str, list[bytes]] = {}
        self._prices: dict[str, list[int]] = {}
        self._dead: list[Any] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def trades(self) -> int:
        return sum(len(prices) for prices in self._prices.values())

    def add(self, market: Market, entry: BatchEntry) -> None:
        self._markets[market.symbol] = market
        self._entries.append(entry)
        for event in entry.events:
            if type(event) is Trade:
                self._add_trade(entry, event)

    def add_dead(self, market: Market, entry: BatchEntry, reason: str) -> None:
        self.add(market, entry)
        self._dead += (entry.symbol, entry.sequence, reason, entry.command)

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

    def render(
        self, token: str, last_number: int, last_hash: str, commit_id: str
    ) -> tuple[list[str], list[Any], str]:
        """Keys and arguments of the commit after batch ``last_number``, and the new chain hash.

        Empties the engine's collections of what changed, so call it once.
        """
        partition = self._partition
        positions: list[Any] = []
        snapshots: list[Any] = []
        records: list[bytes] = []
        resting: list[Any] = []
        ended: list[str] = []
        ended_records: list[bytes] = []
        for symbol, market in self._markets.items():
            positions += (symbol, f"{market.sequence}:{market.trade_number}")
            snapshot = market.view.refresh(market.sequence)
            if snapshot is not None:
                snapshots += (symbol, snapshot)
            number = market.instrument_number
            for order in market.changed.values():
                record = codec.encode(order.record(symbol, number))
                records.append(record)
                field = keys.order_field(number, order.sequence)
                if order.state in OPEN_STATES:
                    resting += (field, record)
                else:
                    ended.append(field)
                    ended_records.append(record)
            market.changed.clear()
        engine = self._engine
        balances = {broker: engine.balances[broker] for broker in engine.cash_changed}
        engine.cash_changed.clear()
        payload = codec.encode(Batch(last_number + 1, partition, self._entries, records, balances))
        new_hash = chain_hash(last_hash, payload)
        commit_keys = [
            keys.lease(partition, "matcher"),
            keys.batch(partition),
            keys.open_orders(partition),
            keys.positions(partition),
            keys.books(partition),
            keys.balances(partition),
            keys.events(partition),
            keys.dead(partition),
            *[keys.closed_order(partition, field) for field in ended],
            *[keys.fills(partition, field) for field in self._fills],
            *[keys.prices(partition, symbol) for symbol in self._prices],
        ]
        arguments = [token, last_number, commit_id, new_hash, payload]
        arguments += (PRICE_WINDOW_MAX, len(self._entries))
        cash = [item for pair in balances.items() for item in pair]
        for values in (positions, snapshots, cash, resting, ended, ended_records):
            arguments += (len(values), *values)
        for lists in (self._fills, self._prices):
            arguments.append(len(lists))
            for values in lists.values():
                arguments += (len(values), *values)
        arguments += (len(self._dead) // 4, *self._dead)
        return commit_keys, arguments, new_hash
