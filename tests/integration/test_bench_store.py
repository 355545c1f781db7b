"""``exchange bench store`` on few commands: what it says is about what was really stored."""

from exchange.bench.store import APPEND_AT_ONCE, bench_store


def test_it_says_what_a_command_costs_and_how_much_room_it_takes() -> None:
    commands = 4 * APPEND_AT_ONCE
    result = bench_store(commands)
    assert result["commands"] == commands
    assert 0 < result["open_orders"] < commands
    for kind in ("persister", "postgres", "redis"):
        assert 0 < result[f"{kind}_cpu_microseconds_per_command"] < 10_000
    # A record of an open order, a batch with its command, a row and its index: none is tiny.
    assert result["redis_bytes_per_open_order"] > 50
    assert result["redis_bytes_per_recent_command"] > 50
    assert result["redis_log_bytes_per_command"] > 50
    assert result["postgres_wal_bytes_per_command"] > 50
