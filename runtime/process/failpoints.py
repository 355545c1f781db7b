"""Failpoints: places where a test lets a process die, as ``kill -9`` would have it.

``EXCHANGE_FAILPOINTS`` is ``name:probability:seed`` or several of them with commas between. Names
are ``<channel>.send`` (before a pipeline goes to Redis), ``.sent`` (after), ``.received`` (after
its replies), for the channels ``matcher``, ``persister``, ``notifier``, ``courier``, ``log`` and
``reads``; ``store.begin``, ``store.commit`` and ``store.committed`` around a transaction of the
persister; and ``archive.written``, ``.verified``, ``.dropping`` and ``.dropped`` of ``exchange
archive``. Unset, they cost a look at ``None``.
"""

import os
import random
import signal
from collections.abc import Callable

Failpoint = Callable[[str], None]

VARIABLE = "EXCHANGE_FAILPOINTS"


def failpoint(prefix: str) -> Failpoint | None:
    """What to call with ``"send"`` and the like, or ``None`` when no failpoint has this prefix.

    Raises :class:`ValueError` for a variable that cannot be read.
    """
    chances: dict[str, tuple[float, random.Random]] = {}
    for spelled in filter(None, os.environ.get(VARIABLE, "").split(",")):
        name, probability, seed = spelled.split(":")
        if name.split(".")[0] == prefix:
            chances[name] = float(probability), random.Random(seed)  # noqa: S311 - no secret.
    if not chances:
        return None

    def hit(moment: str) -> None:
        probability, draw = chances.get(f"{prefix}.{moment}", (0.0, None))
        if draw is not None and draw.random() < probability:
            os.kill(os.getpid(), signal.SIGKILL)

    return hit
