"""How many processes a load needs, from costs that are easy to calculate with."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli import app
from exchange.plan.constants import Constants, Cost, Sizes, read, shipped, write
from exchange.plan.measure import Run, constants_of, cores_by_kind
from exchange.plan.model import SHARE_OF_A_CORE, Answer, Load, plan, rate_of
from protocol.partitions import PARTITIONS_MAX
from runtime.process.errors import ExchangeError
from simulator.load.market import MarketLoad

COMMAND = Cost("command", alone=100.0, busy=10.0, wake=0.1)
PLAIN = Constants(
    measured_on="2026-11-24",
    commit="abc1234",
    machine="two cores",
    costs={
        "http": Cost("request", alone=100.0, busy=20.0, wake=0.2),
        "matcher": COMMAND,
        "persister": COMMAND,
        "notifier": Cost("message", alone=1000.0, busy=1000.0, wake=0.0),
        "redis": COMMAND,
        "postgres": COMMAND,
    },
    sizes=Sizes(100, 10, 20, 500, 600, 700),
    open_orders_per_command=0.5,
    messages_per_command=0.25,
)


def counts(answer: Answer) -> dict[str, int]:
    return {need.kind: need.count for need in answer.needs}


def test_a_unit_costs_most_alone_and_never_more_than_waking_up_for_each() -> None:
    assert COMMAND.cores(100) == pytest.approx(0.01)
    assert COMMAND.cores(10_000) == pytest.approx(0.2)
    assert COMMAND.cores(10_000, processes=2) == pytest.approx(0.3)
    # While few come, it is the same for one process and for four.
    assert COMMAND.cores(500, processes=4) == COMMAND.cores(500) == pytest.approx(0.05)


def test_a_process_takes_as_much_as_its_share_of_a_core() -> None:
    most = COMMAND.most(SHARE_OF_A_CORE)
    assert most == pytest.approx(50_000)
    assert COMMAND.cores(most) == pytest.approx(SHARE_OF_A_CORE)
    # Of a process that wakes up for more than its share, what it costs alone counts.
    assert Cost("command", alone=100, busy=10, wake=0.9).most(0.6) == pytest.approx(6_000)


def test_there_is_one_of_each_where_little_is_to_do() -> None:
    answer = plan(Load(100), PLAIN)
    assert set(counts(answer).values()) == {1}
    assert not answer.reached
    assert {need.kind: round(need.rate) for need in answer.needs} == {
        "http": 1312,
        "matcher": 945,
        "persister": 945,
        "notifier": 236,
        "redis": 945,
        "postgres": 945,
    }


def test_twice_the_load_needs_twice_as_many_and_none_uses_more_than_its_share() -> None:
    for percent in (1_000.0, 20_000.0, 100_000.0):
        one, two = plan(Load(percent), PLAIN), plan(Load(2 * percent), PLAIN)
        for kind, count in counts(one).items():
            if kind != "postgres":
                assert 2 * count - 1 <= counts(two)[kind] <= 2 * count
        for need in two.needs:
            if need.kind != "postgres":
                assert need.cores / need.count <= SHARE_OF_A_CORE + 1e-9
    assert counts(two)["matcher"] == -(-2 * 945_000 // 50_000)


def test_memory_and_disk_follow_the_day() -> None:
    answer = plan(Load(100, hours=10), PLAIN)
    day = 945 * 36_000
    assert answer.open_orders == pytest.approx(day / 2)
    assert answer.matcher_memory == pytest.approx(day / 2 * 500)
    assert answer.postgres_day == pytest.approx(day * 600)
    assert answer.wal_day == pytest.approx(day * 700)
    redis = day / 2 * 100 + 945 * 600 * 10
    assert answer.redis_maxmemory == pytest.approx(redis / 0.8)
    assert answer.redis_memory == pytest.approx(2 * redis)


def test_it_says_where_more_of_the_same_stops_to_help() -> None:
    load = Load(100)
    limits = {limit.what: limit.percent for limit in plan(load, PLAIN).limits}
    assert load.hottest == pytest.approx(0.13, abs=0.005)
    busiest = 100 * 50_000 / (945 * load.hottest)
    assert limits["the busiest symbol fills one matcher"] == pytest.approx(busiest)
    words = f"no more than {PARTITIONS_MAX} notifiers have work, one for each partition"
    assert limits[words] == pytest.approx(100 * PARTITIONS_MAX * 600 / 236.25)
    assert list(limits.values()) == sorted(limits.values())
    beyond = plan(Load(100_000), PLAIN)
    assert {limit.what for limit in beyond.reached} == {
        what for what, percent in limits.items() if percent < 100_000
    }
    assert "the busiest symbol fills one matcher" in {limit.what for limit in beyond.reached}


def test_without_webhooks_there_is_no_limit_of_notifiers() -> None:
    answer = plan(Load(100_000, told=0.0), PLAIN)
    assert counts(answer)["notifier"] == 1
    assert not any("notifier" in limit.what for limit in answer.reached)


def test_what_was_measured_is_explained_by_what_it_becomes() -> None:
    """With one of each, the model gives the cores back that were measured."""
    bench = {
        "ingress": {"cpu_microseconds_per_order": 30.0},
        "matcher": {"cpu_microseconds_per_command": 8.0},
        "store": {
            "commands": 1_000,
            "open_orders": 460,
            "persister_cpu_microseconds_per_command": 14.0,
            "postgres_cpu_microseconds_per_command": 15.0,
            "redis_cpu_microseconds_per_command": 24.0,
            "redis_bytes_per_open_order": 1,
            "redis_bytes_per_recent_command": 2,
            "redis_log_bytes_per_command": 3,
            "matcher_bytes_per_open_order": 4,
            "postgres_bytes_per_command": 5,
            "postgres_wal_bytes_per_command": 6,
        },
    }
    kinds = ("http", "matcher", "persister", "redis", "postgres")
    few = Run(100.0, dict.fromkeys(kinds, 0.2), 0.0)
    many = Run(300.0, dict.fromkeys(kinds, 0.35), 0.0)
    told = Run(100.0, {"notifier": 0.3}, 250.0)
    known = constants_of(bench, few, many, told)
    for kind in kinds:
        for run in (few, many):
            cores = known.costs[kind].cores(rate_of(kind, Load(run.scale), known))
            assert cores == pytest.approx(run.cores[kind], rel=0.01), (kind, run.scale)
    assert known.costs["notifier"] == Cost("message", 1200.0, 1200.0, 0.0)
    assert known.open_orders_per_command == 0.46
    assert known.messages_per_command == pytest.approx(250 / 945, abs=0.001)
    assert known.sizes == Sizes(1, 2, 3, 4, 5, 6)


def test_processes_of_a_kind_are_added_up() -> None:
    server = [
        {"process": "matcher-1", "cores": 0.1},
        {"process": "matcher-2", "cores": 0.2},
        {"process": "valkey-server", "cores": 0.3},
        {"process": "postgres", "cores": 0.4},
    ]
    added = {"matcher": 0.3, "redis": 0.3, "postgres": 0.4}
    assert cores_by_kind(server) == pytest.approx(added)


def test_constants_that_come_along_say_where_they_are_from() -> None:
    known = shipped()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", known.measured_on)
    assert re.fullmatch(r"[0-9a-f]{7,40}", known.commit)
    assert "cores" in known.machine
    assert set(known.costs) == set(PLAIN.costs)
    for cost in known.costs.values():
        assert cost.alone >= cost.busy > 0


def test_constants_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "here.json"
    write(file, PLAIN)
    assert read(file) == PLAIN
    file.write_text("{}")
    with pytest.raises(ExchangeError, match=r"here\.json"):
        read(file)
    with pytest.raises(ExchangeError, match="No such file"):
        read(tmp_path / "nowhere.json")


def test_the_command_tells_it_to_programs_and_to_people(tmp_path: Path) -> None:
    file = tmp_path / "here.json"
    write(file, PLAIN)
    options = ["plan", "--percent", "100000", "--constants", str(file)]
    done = CliRunner().invoke(app, [*options, "--json"])
    told = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (told["passed"], told["possible"]) == (True, False)
    assert told["needs"]["matcher"]["count"] == 19
    assert told["commands_per_second"] == round(MarketLoad(100_000).factor * 945)
    assert told["measured"]["commit"] == "abc1234"
    shown = CliRunner().invoke(app, options)
    assert "100,000 % of B3" in shown.stdout
    assert "reached" in shown.stdout
