"""``exchange bench share`` on few commands, with real matchers."""

from exchange.bench.share import APPEND_AT_ONCE, MATCHERS, bench_share


def test_every_number_of_matchers_does_the_same_work() -> None:
    result = bench_share(2 * APPEND_AT_ONCE, runs=1)
    for count in MATCHERS:
        for kind in ("cpu", "redis_cpu"):
            assert result[f"{count}_matchers_{kind}_microseconds_per_command"] > 0
            assert len(result[f"{count}_matchers_{kind}_runs"]) == 1
