"""Taking a partition over: read back what the last commit left. Nothing is replayed.

The lease must already be ours, so that no other commit can slip in between the reads.
"""

from collections import defaultdict
from collections.abc import Callable

from matcher.engine import Engine
from matcher.market import Market
from matcher.partition import Partition
from protocol import codec, keys
from protocol.batches import GENESIS_HASH
from protocol.commits import Position
from protocol.enums import ExecutionPrice
from protocol.records import OrderRecord
from protocol.registry import Directory
from runtime.redis.channel import Channel, pairs
from runtime.redis.order_log import read_heads

PAGE = 2000


def recover(
    channel: Channel,
    partition: int,
    rule: ExecutionPrice,
    directory: Directory,
    keep_alive: Callable[[], None],
) -> Partition:
    """Rebuild the engine of ``partition``; ``keep_alive`` is called once per page of orders."""
    number, batch_hash, bell = channel.execute(
        "HMGET", keys.batch(partition), "number", "hash", "bell"
    )
    engine = Engine(rule)
    for symbol, text in channel.hash(keys.positions(partition)).items():
        instrument = directory.instruments[symbol.decode()]
        engine.markets[instrument.symbol] = Market(
            instrument.symbol, instrument.number, *Position.parse(text)
        )
    _restore_last_prices(channel, partition, engine)
    _restore_markets(channel, partition, engine, directory)
    for broker, cash in channel.hash(keys.balances(partition)).items():
        engine.balances[broker.decode()] = int(cash)
    _restore_orders(channel, partition, engine, keep_alive)
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


def _restore_markets(
    channel: Channel, partition: int, engine: Engine, directory: Directory
) -> None:
    """The rules and the status of the markets, and who holds what."""
    for symbol, payload in channel.hash(keys.instrument_records(partition)).items():
        engine.markets[symbol.decode()].set_instrument(codec.decode_instrument(payload))
    for field, shares in channel.hash(keys.holdings(partition)).items():
        number, broker_id = keys.parse_holding_field(field)
        symbol_of_number = directory.instruments_by_number[number].symbol
        engine.markets[symbol_of_number].holdings[broker_id] = int(shares)


def _restore_orders(
    channel: Channel, partition: int, engine: Engine, keep_alive: Callable[[], None]
) -> None:
    by_symbol: defaultdict[str, dict[int, OrderRecord]] = defaultdict(dict)
    cursor: bytes | int = 0
    while True:
        cursor, flat = channel.execute("HSCAN", keys.open_orders(partition), cursor, "COUNT", PAGE)
        for _, value in pairs(flat):
            record = codec.decode_order(value)
            by_symbol[record.symbol][record.sequence] = record  # HSCAN may repeat a field.
        keep_alive()
        if int(cursor) == 0:
            break
    for symbol in list(by_symbol):
        records = by_symbol.pop(symbol)
        for record in sorted(records.values(), key=lambda r: r.turn):
            engine.restore(record)
