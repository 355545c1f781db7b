"""What is wrong with the exchange, in plain sentences for a person. Pure."""

from collections.abc import Iterator

from protocol.partitions import partition_ranges
from runtime.redis.lags import OWNER_KINDS
from runtime.redis.state import ExchangeState, WorkerState

BACKLOG_MAX = 2_000  # Commands of all partitions: a second of a busy exchange.
TO_STORE_MAX = 500  # Batches of one partition; the persister stores ten times a second.
TO_NOTIFY_MAX = 500
SILENT_MS_MAX = 60_000  # A worker that is silent for longer was probably taken away on purpose.
MEMORY_SHARE_MAX = 0.7

NO_REDIS = (
    "Redis does not answer. No order can be taken until it is back; what was acknowledged is on"
    " its disk."
)
NO_POSTGRESQL = (
    "PostgreSQL does not answer. Orders are taken and matched, and they are stored as soon as it is"
    " back."
)
_MISSING = {
    "matcher": "Orders for these partitions are taken, and wait to be matched.",
    "persister": "What is matched there waits to be stored in PostgreSQL.",
    "notifier": "Brokers are told of their trades there later.",
}


def complaints(state: ExchangeState) -> list[str]:
    """One sentence or two for each thing that is wrong, the worst first; empty when all is well."""
    return [*_owners(state), *_silent(state.workers), *_lags(state), *_memory(state)]


def _owners(state: ExchangeState) -> Iterator[str]:
    for kind in OWNER_KINDS:
        missing = [
            number
            for number, partition in enumerate(state.partitions)
            if getattr(partition.owners, kind) is None
        ]
        if missing:
            yield f"No {kind} works for {partition_ranges(missing)}. {_MISSING[kind]}"


def _silent(workers: list[WorkerState]) -> Iterator[str]:
    for worker in workers:
        if not worker.alive and worker.seen_ms_ago <= SILENT_MS_MAX:
            yield f"{worker.instance} has been silent for {worker.seen_ms_ago / 1000:.0f} s."
        elif worker.alive and worker.health == "not ready":
            yield f"{worker.instance} runs, but says that it is not ready."
        elif worker.alive and worker.health == "no answer":
            yield f"{worker.instance} does not answer when it is asked for its health."


def _lags(state: ExchangeState) -> Iterator[str]:
    backlog = sum(partition.backlog for partition in state.partitions)
    if backlog > BACKLOG_MAX:
        yield f"{backlog:,} commands wait to be matched: the matchers are behind."
    to_store = max((partition.to_store for partition in state.partitions), default=0)
    if to_store > TO_STORE_MAX:
        yield f"A partition has {to_store:,} batches that PostgreSQL does not have yet."
    to_notify = max((partition.to_notify for partition in state.partitions), default=0)
    if to_notify > TO_NOTIFY_MAX:
        yield f"A partition has {to_notify:,} batches of which the brokers are not told yet."


def _memory(state: ExchangeState) -> Iterator[str]:
    if state.redis_memory_bytes_max is None:
        return
    share = state.redis_memory_bytes / state.redis_memory_bytes_max
    if share > MEMORY_SHARE_MAX:
        yield f"Redis has used {share:.0%} of its memory. Orders are refused at 80%."
