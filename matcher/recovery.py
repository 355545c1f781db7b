"""Taking a partition over: read back what the last commit left. Nothing is replayed.

The lease must already be ours, so that no other commit can slip in between the reads.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from matcher.engine import Engine
from matcher.market import Market
from matcher.partition import Partition
from protocol import codec, keys
from protocol.batches import GENESIS_HASH
from protocol.commits import Position
from protocol.enums import ExecutionPrice
from protocol.records import OrderRecord
from protocol.registry import Directory
from runtime.redis.channel import Channel, RedisCommand, pairs
from runtime.redis.order_log import read_heads

PAGE = 2000

Hash = dict[bytes, bytes]
Scanned = tuple[bytes, list[bytes]]
"""The cursor of the next page, and the fields and values of this one."""


class Stored(NamedTuple):
    """What the keys of a partition hold, and the first page of its open orders."""

    batch: list[bytes | None]
    positions: Hash
    instruments: Hash
    holdings: Hash
    balances: Hash
    orders: Scanned


def recover(
    channel: Channel,
    partition: int,
    rule: ExecutionPrice,
    directory: Directory,
    keep_alive: Callable[[], None],
) -> Partition:
    """Rebuild the engine of ``partition``; ``keep_alive`` is called once per page of orders."""
    stored = _read(channel, partition)
    number, batch_hash, bell = stored.batch
    engine = Engine(rule)
    for symbol, text in stored.positions.items():
        instrument = directory.instruments[symbol.decode()]
        engine.markets[instrument.symbol] = Market(
            instrument.symbol, instrument.number, *Position.parse(text)
        )
    _restore_last_prices(channel, partition, engine)
    _restore_markets(stored, engine, directory)
    for broker, cash in stored.balances.items():
        engine.balances[broker.decode()] = int(cash)
    _restore_orders(channel, partition, stored.orders, engine, keep_alive)
    engine.check_invariants()
    recovered = Partition(
        number=partition,
        engine=engine,
        batch_number=int(number or 0),
        batch_hash=(batch_hash or GENESIS_HASH.encode()).decode(),
        told_bell=int(bell or 0),
    )
    for market in engine.markets.values():
        recovered.agenda.plan(market.symbol, market.next_ms())
        market.view.forget_changes()
    catch_up_with_heads(channel, recovered)
    return recovered


def catch_up_with_heads(channel: Channel, partition: Partition) -> None:
    """Find out from the heads what has news, and where the bell stands."""
    heads = read_heads(channel, partition.number)
    partition.bell = heads.bell
    partition.carried.clear()
    for symbol, sequence in heads.sequences.items():
        if sequence > partition.position(symbol):
            partition.news.add(symbol)


def _restore_last_prices(channel: Channel, partition: int, engine: Engine) -> None:
    """A commit adds the prices of its trades to the list that the read API shows."""
    markets = list(engine.markets.values())
    names = [keys.prices(partition, market.symbol) for market in markets]
    prices = channel.all_ok([("LINDEX", name, -1) for name in names]) if names else []
    for market, price in zip(markets, prices, strict=True):
        market.last_price = int(price or 0)


def _restore_markets(stored: Stored, engine: Engine, directory: Directory) -> None:
    """The rules and the status of the markets, and who holds what."""
    for symbol, payload in stored.instruments.items():
        engine.markets[symbol.decode()].set_instrument(codec.decode_instrument(payload))
    for field, shares in stored.holdings.items():
        number, broker_id = keys.parse_holding_field(field)
        symbol_of_number = directory.instruments_by_number[number].symbol
        engine.markets[symbol_of_number].holdings[broker_id] = int(shares)


def _restore_orders(
    channel: Channel,
    partition: int,
    scanned: Scanned,
    engine: Engine,
    keep_alive: Callable[[], None],
) -> None:
    """The open orders: those of the first page, which was ``scanned``, and all others."""
    by_symbol: defaultdict[str, dict[int, OrderRecord]] = defaultdict(dict)
    while True:
        cursor, flat = scanned
        for _, value in pairs(flat):
            record = codec.decode_order(value)
            by_symbol[record.symbol][record.sequence] = record  # HSCAN may repeat a field.
        keep_alive()
        if int(cursor) == 0:
            break
        scanned = channel.execute(*_scan(partition, cursor))
    for symbol in list(by_symbol):
        records = by_symbol.pop(symbol)
        for record in sorted(records.values(), key=lambda r: r.turn):
            engine.restore(record)


def _scan(partition: int, cursor: bytes | int) -> RedisCommand:
    return ("HSCAN", keys.open_orders(partition), cursor, "COUNT", PAGE)


def _read(channel: Channel, partition: int) -> Stored:
    """All that is not too much for one journey: a partition that moves is missed meanwhile."""
    batch, positions, instruments, holdings, balances, orders = channel.all_ok(
        [
            ("HMGET", keys.batch(partition), "number", "hash", "bell"),
            ("HGETALL", keys.positions(partition)),
            ("HGETALL", keys.instrument_records(partition)),
            ("HGETALL", keys.holdings(partition)),
            ("HGETALL", keys.balances(partition)),
            _scan(partition, 0),
        ]
    )
    return Stored(
        batch=batch,
        positions=dict(pairs(positions)),
        instruments=dict(pairs(instruments)),
        holdings=dict(pairs(holdings)),
        balances=dict(pairs(balances)),
        orders=orders,
    )
