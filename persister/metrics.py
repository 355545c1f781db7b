"""Metrics of the persister."""

from prometheus_client import Counter, Histogram

BATCHES = Counter("exchange_persister_batches_total", "Batches stored.")
ROWS = Counter("exchange_persister_rows_total", "Rows written.", ["table"])
STEP_SECONDS = Histogram(
    "exchange_persister_step_seconds",
    "From reading batches to their committed rows.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
