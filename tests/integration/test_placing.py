"""On which partition a new symbol is listed."""

from protocol import keys
from protocol.registry import Instrument
from runtime.redis.channel import Channel
from runtime.redis.functions.register_instrument import register_instrument
from tests.support.feeding import history_of

PARTITIONS = 4
LOADS = {0: 100.0, 1: 120.0, 2: 140.0, 3: 160.0}


def place(channel: Channel, symbol: str, loads: dict[int, float]) -> Instrument:
    return channel.call(register_instrument(history_of(channel), symbol, PARTITIONS, loads))


def test_without_any_load_the_partition_with_the_fewest_symbols_gets_it(channel: Channel) -> None:
    placed = [place(channel, f"S{n}", {}).partition for n in range(8)]
    assert placed == [0, 1, 2, 3] * 2


def test_many_new_symbols_do_not_all_go_to_the_same_partition(channel: Channel) -> None:
    """The figures of the first ones are not there yet when the last ones come."""
    for n in range(4):
        place(channel, f"OLD{n}", {})
    placed = [place(channel, f"S{n}", LOADS).partition for n in range(16)]
    assert placed[0] == 0
    assert {placed.count(partition) for partition in range(PARTITIONS)} <= {3, 4, 5}


def test_what_a_new_symbol_is_expected_to_add_is_forgotten(channel: Channel) -> None:
    place(channel, "OLD", {})
    assert place(channel, "FIRST", LOADS).partition == 0
    expected, _, since = channel.execute("HGET", keys.LISTED, "0:expected").partition(b":")
    assert float(expected) == 260.0  # Half of 520: what a symbol has in the mean.
    assert place(channel, "SECOND", LOADS).partition == 1
    long_ago = f"{float(expected)}:{int(since) - 600_000}"
    channel.execute("HSET", keys.LISTED, "0:expected", long_ago)
    assert place(channel, "THIRD", LOADS).partition == 0
