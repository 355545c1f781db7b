"""Partitions: the unit of ownership, of commit, of fencing and of scale.

An exchange is founded with a fixed number of them; a symbol's partition is set when it is listed
and never changes. Every key of a partition carries its hash tag (see ``protocol.keys``).
"""

PARTITIONS_DEFAULT = 16
PARTITIONS_MAX = 100


def partition_name(partition: int) -> str:
    """``p00`` to ``p99``."""
    return f"p{partition:02d}"


def all_partitions(count: int) -> tuple[int, ...]:
    return tuple(range(count))
