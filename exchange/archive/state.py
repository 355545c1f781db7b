"""What was so in a partition after a batch: where a restore or a replay can begin. Pure.

It is put together from what the batches say, and not by the engine. So it costs little, and a
replay that comes to the same state proves it.
"""

import msgspec

from matcher.engine import Engine
from protocol import codec, keys
from protocol.batches import Batch
from protocol.enums import ExecutionPrice
from protocol.events import Trade


class MarketState(msgspec.Struct, array_like=True):
    """``sequence`` and ``trade_number`` are the last ones of a symbol, ``last_price`` is that of
    its last trade, in cents; 0 before the first."""

    instrument_number: int
    sequence: int = 0
    trade_number: int = 0
    last_price: int = 0


class PartitionState(msgspec.Struct, array_like=True):
    """``applied`` counts the commands of all batches, and ``time_ms`` is the latest stamp of them.
    ``orders`` are the encoded records of the open orders, by :func:`protocol.keys.order_field`. The
    rest is as in :class:`protocol.batches.Batch`."""

    applied: int = 0
    time_ms: int = 0
    markets: dict[str, MarketState] = {}
    orders: dict[str, bytes] = {}
    balances: dict[str, int] = {}
    holdings: dict[str, int] = {}
    instruments: dict[str, bytes] = {}

    def add(self, batch: Batch) -> None:
        """The next batch of the partition."""
        self.applied += len(batch.entries)
        for entry in batch.entries:
            self.time_ms = max(self.time_ms, entry.time_ms)
            market = self.markets.get(entry.symbol)
            if market is None:
                market = self.markets[entry.symbol] = MarketState(entry.instrument_number)
            market.sequence = entry.sequence
            for event in entry.events:
                if type(event) is Trade:
                    market.trade_number, market.last_price = event.trade_number, event.price
        for payload in batch.orders:
            record = codec.decode_order(payload)
            if record.state.is_open:
                self.orders[record.field] = payload
            else:
                self.orders.pop(record.field, None)
        self.balances.update(batch.balances)
        self.holdings.update(batch.holdings)
        self.instruments.update(batch.instruments)

    def engine(self, rule: ExecutionPrice) -> Engine:
        """An engine in this state."""
        engine = Engine(rule)
        for symbol, state in self.markets.items():
            market = engine.market(symbol, state.instrument_number)
            market.sequence, market.trade_number = state.sequence, state.trade_number
            market.last_price = state.last_price
        by_number = {market.instrument_number: market for market in engine.markets.values()}
        for field, shares in self.holdings.items():
            number, broker_id = keys.parse_holding_field(field.encode())
            by_number[number].holdings[broker_id] = shares
        for symbol, payload in self.instruments.items():
            engine.markets[symbol].set_instrument(codec.decode_instrument(payload))
        engine.balances.update(self.balances)
        records = [codec.decode_order(payload) for payload in self.orders.values()]
        for record in sorted(records, key=lambda record: record.turn):
            engine.restore(record)
        return engine


_decoder = msgspec.msgpack.Decoder(PartitionState)


def decode_state(payload: bytes) -> PartitionState:
    """Raises :class:`msgspec.MsgspecError` when this is no state."""
    return _decoder.decode(payload)
