"""What the simulator expects to go wrong: one tree of errors, each with a text for a person."""


class SimulationFailed(Exception):
    """A run could not be carried out. The text says what was tried and what the exchange answered;
    a command prints it and ends with exit code 1."""


class Unreachable(SimulationFailed):
    """The exchange did not answer a call: no connection, a broken one, or no answer in time."""


class GaveUp(SimulationFailed):
    """Something did not happen in time; the text says what was waited for, and how long."""


class CallFailed(SimulationFailed):
    """The exchange answered a call with a problem. The text holds the status, the code and the
    detail, or the body where there are none; ``status`` is 0 where an answer lacks a field."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class MissingExtra(SimulationFailed):
    """An optional package is not installed. The text names the extra that brings it."""
