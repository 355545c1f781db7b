"""Partitions: the unit of ownership, of commit, of fencing and of scale.

The number of partitions is chosen when an exchange is founded. A symbol gets its partition when it
is listed. Neither ever changes. Every key of a partition carries its hash tag (``protocol.keys``).
"""

from collections.abc import Sequence
from itertools import groupby

PARTITIONS_DEFAULT = 16
PARTITIONS_MAX = 100


def partition_name(partition: int) -> str:
    """``p00`` to ``p99``."""
    return f"p{partition:02d}"


def all_partitions(count: int) -> tuple[int, ...]:
    return tuple(range(count))


def partition_ranges(numbers: Sequence[int]) -> str:
    """Sorted partition numbers in short: ``p00-p03 p07``."""
    spelled = []
    # In a run without gaps the difference to the place in the list is the same.
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        names = [partition_name(number) for _, number in run]
        spelled.append(names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}")
    return " ".join(spelled)
