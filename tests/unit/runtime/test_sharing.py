"""Sharing partitions by load: everyone has one owner, busy ones are spread, and few are moved."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.process.sharing import BASE_LOAD, TRIGGER, LoadMeter, plan

SYMBOLS = 450
ZIPF_EXPONENT = 0.95

loads = st.floats(0, 5000)
workers_of_ten = st.lists(st.integers(0, 5), min_size=10, max_size=10)


def zipf_loads(partitions: int, per_second: float, seed: int) -> dict[int, float]:
    """Symbols of a market, listed in any order, each on the partition that has the fewest."""
    weights = [1 / rank**ZIPF_EXPONENT for rank in range(1, SYMBOLS + 1)]
    random.Random(seed).shuffle(weights)
    of_partition = dict.fromkeys(range(partitions), 0.0)
    for number, weight in enumerate(weights):
        of_partition[number % partitions] += per_second * weight / sum(weights)
    return of_partition


def told(owned: dict[str, set[int]], now: dict[int, float]) -> dict[str, dict[int, float]]:
    return {worker: {p: now[p] for p in held} for worker, held in owned.items()}


def busiest_to_mean(owned: dict[str, set[int]], now: dict[int, float]) -> float:
    totals = [sum(now[p] for p in held) for held in owned.values()]
    return max(totals) * len(totals) / sum(totals)


@pytest.mark.parametrize("per_second", [1000, 20_000])
@pytest.mark.parametrize("seed", range(10))
def test_four_workers_share_a_market_of_few_busy_symbols(seed: int, per_second: float) -> None:
    now = zipf_loads(16, per_second, seed)
    idle = plan({w: {} for w in "abcd"}, now, {})
    assert [len(held) for held in idle.values()] == [4, 4, 4, 4]
    busy = plan(told(idle, now), now, {})
    assert busiest_to_mean(busy, now) <= 1.3


def test_what_is_idle_is_shared_by_number_as_workers_come_and_go() -> None:
    now = dict.fromkeys(range(16), 0.0)
    one = plan({"a": {}}, now, {})
    two = plan({**told(one, now), "b": {}}, now, {})
    five = plan({**told(two, now), "c": {}, "d": {}, "e": {}}, now, {})
    assert one == {"a": set(range(16))}
    assert sorted(map(len, two.values())) == [8, 8]
    assert sorted(map(len, five.values())) == [3, 3, 3, 3, 4]
    dead = five.pop("c")
    four = plan(told(five, now), now, {})
    assert sorted(map(len, four.values())) == [4, 4, 4, 4]
    assert sum(len(four[w] - five[w]) for w in five) == len(dead)


def test_what_a_dead_worker_had_goes_where_there_is_room_for_it() -> None:
    known = {0: 900.0, 1: 10.0, 2: 10.0, 3: 10.0}
    assert plan({"a": {4: 800.0}, "b": {5: 10.0}}, range(6), known) == {
        "a": {4, 1, 2, 3},
        "b": {5, 0},
    }


@given(st.lists(loads, min_size=10, max_size=10), workers_of_ten)
def test_each_partition_has_one_owner_and_a_plan_that_is_carried_out_stays(
    of_partition: list[float], owners: list[int]
) -> None:
    now = dict(enumerate(of_partition))
    before: dict[str, set[int]] = {worker: set() for worker in "abcde"}
    for partition, owner in enumerate(owners):
        if owner < 5:  # The others are free.
            before["abcde"[owner]].add(partition)
    after = plan(told(before, now), now, now)
    assert sorted(p for held in after.values() for p in held) == list(range(10))
    assert plan(told(after, now), now, now) == after


@given(st.lists(loads, min_size=10, max_size=10), workers_of_ten)
def test_nothing_is_moved_while_workers_differ_little_and_a_move_helps(
    of_partition: list[float], owners: list[int]
) -> None:
    now = dict(enumerate(of_partition))
    before: dict[str, set[int]] = {worker: set() for worker in "abcdef"}
    for partition, owner in enumerate(owners):
        before["abcdef"[owner]].add(partition)
    totals = {w: sum(BASE_LOAD + now[p] for p in held) for w, held in before.items()}
    after = plan(told(before, now), now, now)
    gap = max(totals.values()) - min(totals.values())
    if gap <= TRIGGER * sum(totals.values()) / len(totals):
        assert after == before
    if after != before:
        busiest = max(sum(BASE_LOAD + now[p] for p in held) for held in after.values())
        assert busiest <= max(totals.values())


def test_a_load_is_smoothed_and_begins_with_what_the_former_owner_has_told() -> None:
    meter = LoadMeter(now=100.0, half_life_seconds=20.0)
    meter.begin(3, 5000, 400.0)
    assert meter.read({3: 5000}, 120.0) == {3: 200.0}
    assert meter.read({3: 5000 + 20 * 600}, 140.0) == {3: 400.0}
    assert meter.read({}, 141.0) == {}
