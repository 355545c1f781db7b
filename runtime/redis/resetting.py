"""A new, empty history. One Redis begins it in one Function; a Redis Cluster in steps, during which
no history is written to. For development only."""

from collections.abc import Collection

from protocol import keys
from protocol.partitions import all_partitions
from runtime.redis.channel import AsyncChannel, RedisCommand, raise_errors
from runtime.redis.functions.reset import reset

TOGETHER_MAX = 1000
PATTERNS = ("{p[0-9][0-9]}:*", "{hook:*}:*")


async def begin_anew(
    channel: AsyncChannel,
    history_id: str,
    epoch: int,
    partitions: int,
    endpoint_ids: Collection[str],
) -> None:
    """Forget everything but the registry, and let ``history_id`` begin."""
    if not channel.is_cluster:
        await channel.call(reset(history_id, epoch, partitions, endpoint_ids))
        return
    # From here on no call of the old history finds a place where it could write, and nobody knows
    # the new one yet.
    kept: dict[str, tuple[object, ...]] = {}
    for partition in all_partitions(partitions):
        kept[keys.batch(partition)] = ("history", history_id)
    for endpoint_id in endpoint_ids:
        kept[keys.hook_progress(endpoint_id)] = ("history", history_id, "epoch", epoch)
    entering: list[RedisCommand] = []
    for key, fields in kept.items():
        entering += [("MULTI",), ("DEL", key), ("HSET", key, *fields), ("EXEC",)]
    await channel.all_ok(entering)
    for pattern in PATTERNS:
        found = raise_errors(await channel.each_node("KEYS", pattern))
        names = [name for names in found for name in names if name.decode() not in kept]
        for at in range(0, len(names), TOGETHER_MAX):
            await channel.all_ok([("UNLINK", name) for name in names[at : at + TOGETHER_MAX]])
    await channel.execute("HSET", keys.GENESIS, "history_id", history_id, "epoch", epoch)
