"""Metrics of the HTTP processes."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("exchange_http_requests_total", "Requests answered.", ["endpoint", "status"])
SECONDS = Histogram(
    "exchange_http_request_seconds",
    "From the last byte of the request to the answer.",
    ["endpoint"],
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
