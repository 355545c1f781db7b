"""Channels, links and feeds on a real Redis Cluster of three nodes."""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import TryAgainError

from exchange.local.cluster import (
    HOST,
    ClusterNode,
    EmbeddedCluster,
    OtherKind,
    refuse_other_kind,
)
from ingress.appender import Appender
from ingress.pressure import Pressure
from protocol import codec, keys
from protocol.commands import Tick
from runtime.http.problems import Problem
from runtime.process.errors import HistoryChanged, ServerRefused
from runtime.process.settings import Settings, load
from runtime.redis import resetting
from runtime.redis.channel import AsyncChannel, Channel, NotConnected, RedisCommand, RedisError
from runtime.redis.cluster import ClusterChannel
from runtime.redis.feed import Feed
from runtime.redis.functions.append import AppendRequest, Limits, LogPlace
from runtime.redis.functions.current import current
from runtime.redis.functions.read_balance import read_balance
from runtime.redis.genesis import found_or_join, read
from runtime.redis.leases import Leases
from runtime.redis.link import Link
from runtime.redis.many import read_streams
from runtime.redis.members import redis_time_ms
from tests.support.builders import ALICE
from tests.support.eventually import eventually
from tests.support.feeding import KnownExchange, history_of, list_symbol
from tests.support.running import EXCHANGE, clean_environment
from tests.support.slots import begin_move, end_move, move, move_at_once, move_keys, owner

PARTITIONS = range(16)
COUNTING = [("INCR", keys.stored(p)) for p in PARTITIONS]
TICK = codec.encode(Tick())


@pytest.fixture(scope="module")
def cluster(short_dir: Path) -> Iterator[EmbeddedCluster]:
    made = EmbeddedCluster(short_dir / "c", 3)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def many(cluster: EmbeddedCluster) -> Iterator[ClusterChannel]:
    """An exchange that was founded on the cluster a moment ago."""
    channel = Channel(cluster.url, "tests")
    assert isinstance(channel, ClusterChannel)
    channel.each_node("FLUSHALL")
    found_or_join(channel, load(Settings, {}))
    yield channel
    channel.close()


def elsewhere(cluster: EmbeddedCluster, partition: int) -> Any:
    """A node that has not this partition."""
    here = owner(cluster, partition)
    return next(node for node in cluster.nodes if node is not here)


def counts(channel: Channel) -> list[int]:
    return [int(channel.execute("GET", keys.stored(p)) or 0) for p in PARTITIONS]


def sync(cluster: EmbeddedCluster, run: Callable[..., None]) -> None:
    channel = Channel(cluster.url, "tests-sync")
    try:
        channel.execute("PING")  # It knows the slots now.
        run(channel.pipeline)
    finally:
        channel.close()


def in_loop(make: Callable[[str, str], Any]) -> Callable[..., None]:
    def over(cluster: EmbeddedCluster, run: Callable[..., None]) -> None:
        with asyncio.Runner() as runner:
            channel = make(cluster.url, "tests-loop")

            async def send(commands: Any) -> Any:
                promised = channel.pipeline(commands)
                return await (promised.future() if isinstance(channel, Link) else promised)

            runner.run(send([("PING",)]))
            run(lambda commands: runner.run(send(commands)))
            runner.run(channel.close())

    return over


FORMS = [
    pytest.param(sync, id="channel"),
    pytest.param(in_loop(AsyncChannel), id="async"),
    pytest.param(in_loop(Link), id="link"),
]
every_form = pytest.mark.parametrize("over", FORMS)


@every_form
def test_replies_come_in_the_order_of_the_commands(
    cluster: EmbeddedCluster, many: ClusterChannel, over: Any
) -> None:
    def run(pipeline: Any) -> None:
        commands: list[RedisCommand] = [("SET", keys.stored(p), p) for p in PARTITIONS]
        commands += [("GET", keys.stored(p)) for p in reversed(PARTITIONS)]
        replies = pipeline(commands)
        assert replies[16:] == [str(p).encode() for p in reversed(PARTITIONS)]

    over(cluster, run)
    assert len({owner(cluster, p).port for p in PARTITIONS}) == 3


@every_form
@pytest.mark.parametrize("by", [move, move_at_once])
def test_a_command_that_comes_to_the_wrong_node_is_executed_once(
    cluster: EmbeddedCluster, many: ClusterChannel, over: Any, by: Any
) -> None:
    def run(pipeline: Any) -> None:
        pipeline(COUNTING)
        by(cluster, 3, elsewhere(cluster, 3))
        assert pipeline(COUNTING) == [2] * 16
        assert pipeline(COUNTING) == [3] * 16

    over(cluster, run)
    assert counts(many) == [3] * 16


@every_form
def test_a_key_that_has_gone_before_its_slot_is_asked_for_where_it_is(
    cluster: EmbeddedCluster, many: ClusterChannel, over: Any
) -> None:
    target = elsewhere(cluster, 3)

    def run(pipeline: Any) -> None:
        pipeline(COUNTING)
        move_keys(begin_move(cluster, 3, target), target, keys.stored(3))
        assert pipeline(COUNTING) == [2] * 16
        end_move(cluster, 3, target)
        assert pipeline(COUNTING) == [3] * 16

    over(cluster, run)


@every_form
def test_a_call_that_needs_keys_of_both_nodes_is_refused_and_changes_nothing(
    cluster: EmbeddedCluster, many: ClusterChannel, over: Any
) -> None:
    target = elsewhere(cluster, 3)
    both = ("UNLINK", keys.stored(3), keys.batch(3))

    def run(pipeline: Any) -> None:
        pipeline(COUNTING)
        move_keys(begin_move(cluster, 3, target), target, keys.stored(3))
        refusal, other = pipeline([both, ("INCR", keys.stored(4))])
        assert isinstance(refusal, TryAgainError)
        assert other == 2
        move_keys(owner(cluster, 3), target, keys.batch(3))
        end_move(cluster, 3, target)
        assert pipeline([both]) == [2]

    over(cluster, run)


@pytest.mark.parametrize("over", [FORMS[0], FORMS[2]])
def test_a_node_that_is_away_is_an_error_of_its_own_commands_and_none_is_repeated(
    cluster: EmbeddedCluster, many: ClusterChannel, over: Any
) -> None:
    node = cluster.nodes[1]
    lost = [p for p in PARTITIONS if owner(cluster, p) is node]

    def run(pipeline: Any) -> None:
        pipeline(COUNTING)
        node.kill()
        for _ in range(2):
            replies = pipeline(COUNTING)
            assert [p for p in PARTITIONS if isinstance(replies[p], RedisError)] == lost
        node.start()
        cluster.form()

        def is_back() -> bool:
            return not isinstance(pipeline([("GET", keys.stored(lost[0]))])[0], RedisError)

        eventually(is_back, 20, "the node to be used again")
        assert pipeline(COUNTING) == [2 if p in lost else 4 for p in PARTITIONS]

    over(cluster, run)


def test_a_node_is_tried_again_soon_by_who_asks_all_the_time(
    cluster: EmbeddedCluster, many: ClusterChannel
) -> None:
    lost = next(p for p in PARTITIONS if owner(cluster, p) is cluster.nodes[1])
    question = [("GET", keys.stored(lost))]
    assert many.pipeline(question) == [None]
    killer = Channel(cluster.nodes[1].url, "tests-killer")
    killer.execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    killer.close()
    (reply,) = many.pipeline(question)
    assert isinstance(reply, RedisError)
    eventually(lambda: many.pipeline(question) == [None], 5, "the node to be used again")


def test_calls_of_many_partitions_are_asked_in_parts(many: ClusterChannel) -> None:
    history = history_of(many)
    assert many.call(current(history, PARTITIONS)) == {}
    many.execute("HSET", keys.batch(5), "history", "another")
    with pytest.raises(HistoryChanged):
        many.call(current(history, PARTITIONS))
    for partition in PARTITIONS:
        many.execute("HSET", keys.balances(partition), ALICE, partition)
    assert many.call(read_balance(PARTITIONS, ALICE)).cash == sum(PARTITIONS)


def test_leases_are_shared_as_on_one_redis(many: ClusterChannel) -> None:
    history = history_of(many)
    first, second = (
        Leases(many, "persister", name, history, PARTITIONS) for name in ("one", "two")
    )
    assert first.tend() == (set(PARTITIONS), set())
    for _ in range(4):
        for worker in (second, first):
            worker.tend()
            worker.release(worker.surplus())
    assert len(first.held) == len(second.held) == 8
    lost = min(first.held)
    many.execute("SET", keys.lease(lost, "persister"), "other/1")
    assert first.tend() == (set(), {lost})
    second.leave()
    first.tend()
    assert first.held == {*PARTITIONS} - {lost}


def test_news_in_any_slot_ends_the_waiting(cluster: EmbeddedCluster, many: ClusterChannel) -> None:
    other = Channel(cluster.url, "tests-other")
    streams = dict.fromkeys([keys.REGISTRY, *map(keys.events, PARTITIONS)], 0)
    assert many.all_ok([read_streams(streams, 5, 1)]) == [[]]
    for name in streams:
        other.execute("XADD", name, f"{streams[name] + 1}-0", "h", "x")
        began = redis_time_ms(many)
        (found,) = many.all_ok([read_streams(streams, 5, 10_000)])
        assert [stream for stream, _ in found] == [name.encode()]
        assert redis_time_ms(many) - began < 5_000
        streams[name] += 1
    other.close()


def test_a_stream_is_waited_for_where_its_slot_is(
    cluster: EmbeddedCluster, many: ClusterChannel
) -> None:
    streams = {keys.events(p): 0 for p in (3, 4)}
    assert many.all_ok([read_streams(streams, 5, 1)]) == [[]]
    move(cluster, 3, elsewhere(cluster, 3))
    Channel(cluster.url, "tests-other").execute("XADD", keys.events(3), "1-0", "h", "x")
    (found,) = many.all_ok([read_streams(streams, 5, 10_000)])
    assert [stream for stream, _ in found] == [keys.events(3).encode()]


def test_the_feed_goes_with_the_slots(cluster: EmbeddedCluster, many: ClusterChannel) -> None:
    heard: list[tuple[bytes, bytes]] = []

    async def run() -> None:
        channels = [keys.decided(p) for p in PARTITIONS]
        feed = Feed(cluster.url, "tests-feed", channels, lambda *message: heard.append(message))
        task = asyncio.create_task(feed.follow())
        publishing = AsyncChannel(cluster.url, "tests-publisher")

        async def told(partition: int, word: str) -> None:
            message = (keys.decided(partition).encode(), word.encode())
            async with asyncio.timeout(20):
                while message not in heard:
                    await publishing.execute("SPUBLISH", keys.decided(partition), word)
                    await asyncio.sleep(0.01)

        for partition in PARTITIONS:
            await told(partition, "first")
        await asyncio.to_thread(move, cluster, 3, elsewhere(cluster, 3))
        for partition in PARTITIONS:
            await told(partition, "second")
        task.cancel()
        await asyncio.wait([task])
        await publishing.close()

    asyncio.run(run())


def test_orders_of_the_other_nodes_are_taken_while_one_is_away(
    cluster: EmbeddedCluster, many: ClusterChannel
) -> None:
    node = cluster.nodes[1]
    listed = [list_symbol(many, f"S{n}") for n in PARTITIONS]
    lost = {i.symbol for i in listed if owner(cluster, i.partition) is node}

    async def run() -> None:
        appender = Appender(
            cluster.url, "tests", 1000, KnownExchange(cluster.url, *listed), Limits()
        )

        async def outcomes() -> dict[str, LogPlace | BaseException]:
            promises = [
                appender.append(one, AppendRequest(one.symbol, TICK)).future() for one in listed
            ]
            found = await asyncio.gather(*promises, return_exceptions=True)
            return {one.symbol: each for one, each in zip(listed, found, strict=True)}

        assert all(isinstance(each, LogPlace) for each in (await outcomes()).values())
        await asyncio.to_thread(node.kill)
        found = await outcomes()
        assert {s for s, each in found.items() if isinstance(each, Problem)} == lost
        assert {each.code for each in found.values() if isinstance(each, Problem)} <= {
            *("unavailable", "outcome_unknown")
        }
        again = await outcomes()  # Nothing could be sent.
        assert {e.code for e in again.values() if isinstance(e, Problem)} == {"unavailable"}
        await appender.close()

    assert 0 < len(lost) < len(listed)
    asyncio.run(run())
    node.start()
    cluster.form()


def test_the_fullest_node_counts(cluster: EmbeddedCluster, many: ClusterChannel) -> None:
    async def run() -> float:
        channel = AsyncChannel(cluster.url, "tests-gauge")
        pressure = Pressure(channel)
        await pressure.look()
        await channel.close()
        return pressure.share

    for node in cluster.nodes:
        node.ask("CONFIG", "SET", "maxmemory", 10**12)
    assert asyncio.run(run()) < 0.01
    used = int(many.each_node("INFO", "memory")[2].split(b"used_memory:")[1].split(b"\r")[0])
    cluster.nodes[2].ask("CONFIG", "SET", "maxmemory", 4 * used)
    assert asyncio.run(run()) > 0.1


def test_a_reset_leaves_nothing_of_the_old_history(
    cluster: EmbeddedCluster, many: ClusterChannel
) -> None:
    before = history_of(many)
    many.all_ok(COUNTING)
    many.execute("SADD", keys.hook_queue("h1"), "x")

    async def run() -> None:
        channel = AsyncChannel(cluster.url, "tests-reset")
        await resetting.begin_anew(channel, "new", 2, 16, ["h1"])
        await channel.close()

    asyncio.run(run())
    assert counts(many) == [0] * 16
    assert not many.execute("EXISTS", keys.hook_queue("h1"))
    with pytest.raises(HistoryChanged):
        many.call(current(before, [7]))
    assert found_or_join(many, load(Settings, {})) == read(many)
    assert read(many).history_id == "new"


def test_a_node_of_a_cluster_is_refused_as_one_redis(cluster: EmbeddedCluster) -> None:
    channel = Channel(cluster.nodes[0].url, "tests")
    with pytest.raises(ServerRefused, match=r"redis\+cluster://"):
        found_or_join(channel, load(Settings, {}))
    channel.close()


def test_nothing_was_sent_where_no_node_answers() -> None:
    with pytest.raises(NotConnected):
        Channel("redis+cluster://127.0.0.1:1", "tests").execute("PING")


def test_a_directory_keeps_its_number_of_nodes(tmp_path: Path) -> None:
    refuse_other_kind(tmp_path, 3)
    (tmp_path / "redis").mkdir()
    refuse_other_kind(tmp_path, 1)
    with pytest.raises(OtherKind, match="founded on one Redis"):
        refuse_other_kind(tmp_path, 3)
    (tmp_path / "redis").rename(tmp_path / "redis-1")
    (tmp_path / "redis-2").mkdir()
    for wanted in (1, 3):
        with pytest.raises(OtherKind, match="a Redis Cluster of 2 nodes"):
            refuse_other_kind(tmp_path, wanted)


@pytest.fixture(scope="module")
def formed(short_dir: Path) -> Iterator[EmbeddedCluster]:
    """Two nodes that the command has formed."""
    pair = EmbeddedCluster(short_dir / "f", 2)
    try:
        for node in pair.nodes:
            node.start()
        done = form_cluster(pair.url)
        assert (done.returncode, done.stdout) == (0, "2 nodes form a cluster\n"), done.stderr
        yield pair
    finally:
        pair.stop()


def form_cluster(url: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*EXCHANGE, "form-cluster"],
        env=clean_environment(EXCHANGE_REDIS_URL=url),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nodes_that_run_are_formed_by_the_command(formed: EmbeddedCluster) -> None:
    channel = Channel(formed.url, "tests")
    assert channel.pipeline([("SET", keys.stored(p), 1) for p in PARTITIONS]) == [b"OK"] * 16
    channel.close()
    refused = form_cluster("redis://127.0.0.1:1")
    assert refused.returncode == 1
    assert "redis+cluster://" in refused.stderr


def test_a_replica_that_may_take_over_is_refused(formed: EmbeddedCluster, short_dir: Path) -> None:
    master = formed.nodes[0]
    replica = ClusterNode(short_dir / "f", 3, 2, master.options()["requirepass"])
    channel = Channel(formed.url, "tests")
    try:
        replica.start()
        replica.ask("CLUSTER", "MEET", HOST, master.port)
        eventually(lambda: replica.node.info()["cluster_state"] == "ok", 20, "it to have met them")
        replica.ask("CLUSTER", "REPLICATE", master.ask("CLUSTER", "MYID"))
        eventually(lambda: channel.each_replica("PING") == [b"PONG"], 20, "it to be known")
        with pytest.raises(ServerRefused, match="cluster-replica-no-failover yes"):
            found_or_join(channel, load(Settings, {}))
        replica.ask("CONFIG", "SET", "cluster-replica-no-failover", "yes")
        found_or_join(channel, load(Settings, {}))
    finally:
        channel.close()
        replica.stop()
