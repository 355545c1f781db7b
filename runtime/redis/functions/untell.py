"""``untell``: forget reports that were told beyond what PostgreSQL has."""

from protocol import keys
from runtime.redis.channel import FunctionCall
from runtime.redis.functions.library import function_call


def untell(history_id: str, partition: int, token: str, number: int) -> FunctionCall[int]:
    """PostgreSQL has the batches of a partition up to ``number``. When reports of later ones were
    told, it is an older copy, and the numbers will be given again: what was told is forgotten.
    The reply is 1 then, else 0. ``token`` is that of the persister that owns the partition."""
    return function_call(
        "untell",
        [keys.batch(partition), keys.lease(partition, "persister"), keys.reports(partition)],
        [history_id, token, number],
        int,
    )
