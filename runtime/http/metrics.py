"""Metrics of the HTTP processes."""

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("exchange_http_requests_total", "Requests answered.", ["endpoint", "status"])
SECONDS = Histogram(
    "exchange_http_request_seconds",
    "From the last byte of the request to the answer.",
    ["endpoint"],
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)

# The state of the whole exchange, as Redis has it. Every HTTP process shows the same.
REDIS_UP = Gauge("exchange_redis_up", "1 when Redis answers, else 0.")
REDIS_MEMORY = Gauge("exchange_redis_memory_bytes", "Memory that Redis uses.")
REDIS_MEMORY_MAX = Gauge(
    "exchange_redis_memory_max_bytes", "Memory that Redis may use; 0 is no limit."
)
BACKLOG = Gauge(
    "exchange_partition_backlog", "Commands in the log that are not committed.", ["partition"]
)
TO_STORE = Gauge(
    "exchange_partition_to_store", "Batches that PostgreSQL does not have yet.", ["partition"]
)
TO_NOTIFY = Gauge(
    "exchange_partition_to_notify", "Batches whose webhooks are not queued yet.", ["partition"]
)
OWNED = Gauge(
    "exchange_partition_owned",
    "1 when a worker of this kind owns the partition, else 0.",
    ["partition", "kind"],
)
