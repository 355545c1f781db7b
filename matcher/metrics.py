"""Metrics of the matcher."""

from prometheus_client import Counter, Gauge, Histogram

COMMANDS = Counter("exchange_matcher_commands_total", "Log entries applied and committed.")
TRADES = Counter("exchange_matcher_trades_total", "Trades committed.")
DEAD = Counter("exchange_matcher_dead_letters_total", "Log entries that could not be read.")
PARTITIONS = Gauge("exchange_matcher_partitions", "Partitions owned.")
BATCH_SECONDS = Histogram(
    "exchange_matcher_batch_seconds",
    "From the news of entries to their committed result.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
