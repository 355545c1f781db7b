"""Token buckets against a slow reference, and the headers. Times are milliseconds."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.http.rate_limit import Bucket, CallKind, Policy, RateLimits

ORDERS, CANCELS, READS = CallKind.ORDERS, CallKind.CANCELS, CallKind.READS
ALICE, BOB = "alice", "bob"


def limits(policy: Policy | None = None, kind: CallKind = ORDERS) -> RateLimits:
    made = RateLimits()
    made.set_policy(ALICE, kind, policy, 0)
    return made


def allowed(limits: RateLimits, now_ms: int, calls: int, kind: CallKind = ORDERS) -> int:
    """How many of so many calls are let in."""
    verdicts = [limits.take(ALICE, kind, now_ms) for _ in range(calls)]
    return sum(verdict is None or verdict.is_allowed for verdict in verdicts)


def test_nobody_is_limited_by_default() -> None:
    assert limits().take(ALICE, ORDERS, 0) is None
    assert limits(Policy(1, 1)).take(BOB, ORDERS, 0) is None


def test_a_burst_is_let_in_and_then_the_average_rate() -> None:
    bucket = limits(Policy(10, 2))
    assert allowed(bucket, 0, 20) == 10
    assert allowed(bucket, 199, 5) == 0
    assert allowed(bucket, 200, 5) == 1
    assert allowed(bucket, 1200, 20) == 5
    assert allowed(bucket, 60_000, 20) == 10


def test_orders_cancels_and_reads_are_counted_apart() -> None:
    bucket = limits(Policy(1, 1))
    bucket.set_policy(ALICE, CANCELS, Policy(5, 1), 0)
    assert allowed(bucket, 0, 9) == 1
    assert allowed(bucket, 0, 9, CANCELS) == 5
    assert allowed(bucket, 0, 9, READS) == 9


def test_a_limit_can_be_lifted() -> None:
    bucket = limits(Policy(1, 1))
    bucket.set_policy(ALICE, ORDERS, None, 0)
    assert allowed(bucket, 0, 9) == 9


def test_a_changed_limit_gives_no_second_burst_and_an_unchanged_one_changes_nothing() -> None:
    bucket = limits(Policy(10, 1))
    assert allowed(bucket, 0, 8) == 8
    bucket.set_policy(ALICE, ORDERS, Policy(10, 1), 0)
    bucket.set_policy(ALICE, ORDERS, Policy(100, 1), 0)
    assert allowed(bucket, 0, 9) == 2
    bucket.set_policy(ALICE, ORDERS, Policy(3, 1), 1000)
    assert allowed(bucket, 1000, 9) == 3


def test_a_batch_takes_all_its_tokens_or_none() -> None:
    bucket = Bucket(ORDERS, Policy(10, 1), 0, 10)
    assert bucket.take(0, 6).remaining == 4
    refused = bucket.take(0, 6)
    assert (refused.is_allowed, refused.remaining, refused.retry_seconds) == (False, 4, 1)
    assert bucket.take(200, 6).is_allowed


def test_a_batch_above_the_quota_is_let_in_when_the_bucket_is_full() -> None:
    bucket = Bucket(ORDERS, Policy(10, 10), 0, 10)
    assert bucket.take(0, 50).is_allowed
    assert bucket.take(9_999, 50).retry_seconds == 1
    assert bucket.take(10_000, 50).is_allowed


def test_the_headers_tell_the_policy_and_what_is_left() -> None:
    bucket = Bucket(ORDERS, Policy(2, 60), 0, 2)
    assert bucket.take(0).headers() == (
        (b"ratelimit-policy", b'"orders";q=2;w=60'),
        (b"ratelimit", b'"orders";r=1;t=30'),
    )
    assert bucket.take(0).headers()[1] == (b"ratelimit", b'"orders";r=0;t=30')
    assert bucket.take(1).headers() == (
        (b"ratelimit-policy", b'"orders";q=2;w=60'),
        (b"ratelimit", b'"orders";r=0;t=30'),
        (b"retry-after", b"30"),
    )
    assert bucket.take(1_500).headers()[2] == (b"retry-after", b"29")


def test_a_limit_that_is_set_again_loses_no_part_of_a_token() -> None:
    bucket = limits(Policy(1, 1))
    assert allowed(bucket, 0, 1) == 1
    bucket.set_policy(ALICE, ORDERS, Policy(1, 1), 500)
    assert allowed(bucket, 999, 1) == 0
    assert allowed(bucket, 1_000, 1) == 1


CALLS = st.lists(st.tuples(st.integers(0, 3_000), st.integers(1, 12)), max_size=60)


@given(st.integers(1, 10), st.integers(1, 7), CALLS)
@settings(max_examples=500, deadline=None)
def test_a_bucket_does_what_exact_fractions_do(
    quota: int, window: int, calls: list[tuple[int, int]]
) -> None:
    bucket = Bucket(ORDERS, Policy(quota, window), 0, quota)
    tokens, now_ms = Fraction(quota), 0
    for step_ms, count in calls:
        now_ms += step_ms
        tokens = min(tokens + Fraction(step_ms * quota, window * 1000), Fraction(quota))
        wanted = min(count, quota)
        verdict = bucket.take(now_ms, count)
        assert verdict.is_allowed == (tokens >= wanted)
        if verdict.is_allowed:
            tokens -= wanted
        else:
            waited = tokens + Fraction(verdict.retry_seconds * quota, window)
            assert waited >= wanted > waited - Fraction(quota, window)
        assert verdict.remaining == int(tokens)
        later = tokens + Fraction(verdict.reset_seconds * quota, window)
        assert int(later) > int(tokens) >= int(later - Fraction(quota, window))
