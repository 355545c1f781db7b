"""What was measured, and where: everything that a plan is calculated from."""

from importlib import resources
from pathlib import Path

import msgspec

from runtime.process.errors import ExchangeError

SHIPPED = "measured.json"


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The processor time of one kind of process, for each unit of its work.

    ``alone`` is what a unit costs when few come (µs): most of it is waking up for it. A busy
    process pays ``wake`` (cores) for waking up as often as it can, and ``busy`` (µs) for a unit.
    """

    unit: str
    alone: float
    busy: float
    wake: float

    def cores(self, rate: float, processes: int = 1) -> float:
        """What ``processes`` of this kind use together for ``rate`` units a second."""
        return min(self.alone * rate / 1e6, processes * self.wake + self.busy * rate / 1e6)

    def most(self, share: float) -> float:
        """Units a second that use ``share`` of a core of one process."""
        return max(share / self.alone, (share - self.wake) / self.busy) * 1e6


class Sizes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes. A command is recent until PostgreSQL has it and ``EXCHANGE_PERSISTER_CLOSED_SECONDS``
    are over."""

    redis_open_order: int
    redis_recent_command: int
    redis_log_command: int
    matcher_open_order: int
    postgres_command: int
    postgres_wal_command: int


class Constants(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``costs`` is by kind of process. The two ratios are those of B3's flow as the simulation
    makes it: orders that stay open, and messages if every trade is told to both its sides."""

    measured_on: str
    commit: str
    machine: str
    costs: dict[str, Cost]
    sizes: Sizes
    open_orders_per_command: float
    messages_per_command: float


def shipped() -> Constants:
    """Those that come with the program."""
    return _read((resources.files("exchange.plan") / SHIPPED).read_bytes(), SHIPPED)


def read(path: Path) -> Constants:
    """Raises :class:`ExchangeError` when the file cannot be used."""
    try:
        return _read(path.read_bytes(), str(path))
    except OSError as error:
        raise ExchangeError(f"{path}: {error.strerror}") from error


def write(path: Path, constants: Constants) -> None:
    """Raises :class:`ExchangeError` when the file cannot be written."""
    text = msgspec.json.format(msgspec.json.encode(constants), indent=2)
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise ExchangeError(f"{path}: {error.strerror}") from error


def _read(text: bytes, name: str) -> Constants:
    try:
        return msgspec.json.decode(text, type=Constants)
    except msgspec.MsgspecError as error:
        raise ExchangeError(f"{name}: {error}") from error
