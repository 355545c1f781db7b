"""``claim_timers``: the dead-man switches that are due, for one process to fire."""

from typing import Any, NamedTuple

from protocol import keys
from runtime.redis.channel import FunctionCall, pairs
from runtime.redis.functions.library import function_call


class DueTimer(NamedTuple):
    """A switch that is due, and the id of the mass cancel that it makes."""

    member: str
    mass_cancel_id: str

    @property
    def broker_id(self) -> str:
        """Whose orders are to be canceled."""
        return self.member.partition("/")[0]


def claim_timers(history_id: str, lease_ms: int, most: int) -> FunctionCall[list[DueTimer]]:
    """Claim up to ``most`` switches that are due. Who does not finish one within ``lease_ms``
    leaves it to the next that claims."""

    def read(reply: list[Any]) -> list[DueTimer]:
        return [
            DueTimer(member.decode(), mass_cancel_id.decode())
            for member, mass_cancel_id in pairs(reply)
        ]

    return function_call(
        "claim_timers",
        [keys.TIMERS, keys.ARMED, keys.GENESIS],
        [history_id, lease_ms, most],
        read,
    )
