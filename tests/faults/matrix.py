"""The fault matrix of reliability.md: one function per row, each with a seed.

A row starts an exchange of its own, lets brokers trade, does its harm, and asks the oracles.
"""

from collections.abc import Callable

from tests.faults import (
    client_rows,
    cluster_rows,
    disk_rows,
    engine_rows,
    feed_rows,
    gone_rows,
    link_rows,
    log_rows,
    postgres_rows,
    redis_rows,
    rot_rows,
    storm_rows,
    worker_rows,
)
from tests.faults.row import Budget, Row

ROWS: tuple[Callable[[int, Budget], Row], ...] = (
    worker_rows.kills,
    worker_rows.failpoints,
    worker_rows.frozen_workers,
    worker_rows.two_owners,
    worker_rows.read_elsewhere,
    redis_rows.redis_killed,
    redis_rows.redis_away,
    worker_rows.lost_replies,
    log_rows.torn_log,
    log_rows.cut_log,
    log_rows.emptied,
    log_rows.back_with_less,
    log_rows.flipped_digit,
    postgres_rows.postgres_away,
    postgres_rows.postgres_disk_full,
    postgres_rows.older_postgres,
    redis_rows.full_memory,
    log_rows.poison,
    log_rows.clock_jump,
    client_rows.bad_receivers,
    client_rows.hostile_clients,
    redis_rows.redis_disk_full,
    gone_rows.worker_gone,
    gone_rows.postgres_gone,
    link_rows.one_way_partition,
    link_rows.half_open,
    rot_rows.rotten_base,
    rot_rows.rotten_page,
    disk_rows.slow_disk,
    disk_rows.failing_disk,
    disk_rows.power_cut,
    disk_rows.killed_in_rewrite,
    client_rows.overload,
    storm_rows.retry_storm,
    feed_rows.readapi_killed,
    feed_rows.cut_readers,
    feed_rows.decisions_lost,
    feed_rows.hostile_subscribers,
    engine_rows.reference,
    cluster_rows.node_killed,
    cluster_rows.registry_node_killed,
    cluster_rows.node_emptied,
    cluster_rows.slot_moved,
)
