"""When a failed message is sent again. Pure.

The schedule is the one that Standard Webhooks recommends: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h,
20 h and 24 h after the attempt before, with jitter. After the last attempt the message is given up.
"""

_MINUTE = 60.0
_HOUR = 3600.0

DELAYS_SECONDS = (
    0.0,
    5.0,
    5 * _MINUTE,
    30 * _MINUTE,
    2 * _HOUR,
    5 * _HOUR,
    10 * _HOUR,
    14 * _HOUR,
    20 * _HOUR,
    24 * _HOUR,
)
JITTER = 0.2
RETRY_AFTER_SECONDS_MAX = 24 * _HOUR


def next_delay_seconds(
    attempts: int, jitter: float, retry_after_seconds: float | None = None
) -> float | None:
    """Seconds until the next attempt after ``attempts`` failed ones; ``None`` means give up.

    ``jitter`` is a random number from 0 to 1. It changes the delay by up to ± ``JITTER``. A
    receiver that asks for more time gets it, up to ``RETRY_AFTER_SECONDS_MAX``. Less time is never
    given.
    """
    if attempts >= len(DELAYS_SECONDS):
        return None
    delay = DELAYS_SECONDS[attempts] * (1 + JITTER * (2 * jitter - 1))
    if retry_after_seconds is not None:
        delay = max(delay, min(retry_after_seconds, RETRY_AFTER_SECONDS_MAX))
    return delay
