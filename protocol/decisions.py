"""What a matcher tells of a commit to whoever waits for it.

The commit publishes one message per partition. Nothing depends on a message: what was decided is
stored, and a waiter who misses one looks there.
"""

import msgspec


class Decided(msgspec.Struct, array_like=True, gc=False):
    """``bell``: the number of the bell up to which everything of the partition is applied.
    ``applied``: symbol → the first and the last sequence of its log that this commit has applied.
    ``refused``: symbol, sequence and reason of each command that changed
    nothing."""

    bell: int
    applied: dict[str, tuple[int, int]]
    refused: list[tuple[str, int, str]]
