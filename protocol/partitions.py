"""Partitions: the unit of ownership, of commit, of fencing and of scale.

The number of partitions is chosen when an exchange is founded. A symbol gets its partition when it
is listed. Neither ever changes. Every key of a partition carries its hash tag (``protocol.keys``).
"""

PARTITIONS_DEFAULT = 16
PARTITIONS_MAX = 100


def partition_name(partition: int) -> str:
    """``p00`` to ``p99``."""
    return f"p{partition:02d}"


def all_partitions(count: int) -> tuple[int, ...]:
    return tuple(range(count))
