"""What is wrong, in sentences."""

import msgspec
import pytest

from readapi.page.documentation import EXAMPLE
from readapi.page.health import health_answer
from runtime.process.complaints import NO_POSTGRESQL, NO_REDIS, complaints
from runtime.redis.state import ExchangeState

WELL = EXAMPLE


def changed(path: str, value: object) -> ExchangeState:
    """The healthy state with one field changed; ``path`` names it with dots."""
    content = msgspec.to_builtins(WELL)
    *parents, last = path.split(".")
    at = content
    for name in parents:
        at = at[int(name)] if name.isdigit() else at[name]
    at[last] = value
    return msgspec.convert(content, ExchangeState)


def test_nothing_is_said_of_an_exchange_that_is_well() -> None:
    assert complaints(WELL) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("partitions.0.owners.matcher", None, "No matcher works for p00. Orders"),
        ("partitions.0.owners.persister", None, "No persister works for p00. What"),
        ("partitions.0.owners.notifier", None, "No notifier works for p00. Brokers"),
        ("partitions.0.backlog", 30_000, "30,000 commands wait to be matched"),
        ("partitions.0.to_store", 30_000, "30,000 batches that PostgreSQL does not have"),
        ("partitions.0.to_notify", 30_000, "30,000 batches of which the brokers"),
        ("workers.0.health", "not ready", "http-1 runs, but says that it is not ready"),
        ("workers.0.health", "no answer", "http-1 does not answer"),
        ("redis_memory_bytes_max", 60_000_000, "Redis has used 80% of its memory"),
    ],
)
def test_each_thing_that_is_wrong_has_its_sentence(path: str, value: object, said: str) -> None:
    (sentence,) = complaints(changed(path, value))
    assert said in sentence


def test_a_worker_that_has_just_fallen_silent_is_named_and_one_of_long_ago_is_not() -> None:
    silent = changed("workers.0.alive", False)
    silent.workers[0].seen_ms_ago = 4_000
    assert complaints(silent) == ["http-1 has been silent for 4 s."]
    silent.workers[0].seen_ms_ago = 400_000
    assert complaints(silent) == []


def test_servers_that_do_not_answer_come_first() -> None:
    assert health_answer(None, False, 0).complaints == [NO_REDIS, NO_POSTGRESQL]
    orphan = changed("partitions.0.owners.matcher", None)
    assert health_answer(orphan, False, 0).complaints[0] == NO_POSTGRESQL
    assert health_answer(WELL, None, 0).complaints == []
