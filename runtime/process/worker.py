"""The one loop that every worker without HTTP of its own runs in.

A worker recovers in ``open``, handles one bounded batch in ``step`` (read, decode, decide, one
atomic commit that carries the progress), and gives up what it holds in ``close``. Whatever leaves
``step`` as an exception ends the process: a restart is the recovery, and the only one. Only a new
history is met without leaving the process: the worker is thrown away with all that it knows, and a
new one takes its place. SIGTERM and SIGINT let the worker finish its batch; a second signal kills.
"""

import gc
import logging
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeVar

from runtime.process import logs
from runtime.process.errors import (
    ExchangeError,
    Fenced,
    HistoryChanged,
    HistoryMismatch,
    ServerRefused,
    SettingsError,
)
from runtime.process.health import Health, serve_health
from runtime.process.settings import Settings, load
from runtime.redis.channel import RedisError

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Settings)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_SETTINGS = 64  # EX_USAGE: a restart does not help.
EXIT_FENCED = 75  # EX_TEMPFAIL: another worker owns what we thought was ours; start again.
EXIT_REFUSED = 78  # EX_CONFIG: a server is set up wrongly, or histories differ.

FINAL_EXITS = frozenset({EXIT_SETTINGS, EXIT_REFUSED})


class Worker(ABC):
    """What :func:`run` drives."""

    beat: Callable[[], None] = staticmethod(lambda: None)
    """Say that this worker is alive; for recoveries that take longer than a step does."""

    @abstractmethod
    def open(self) -> None:
        """Recover what is known. Called once, before the first step."""

    @abstractmethod
    def step(self) -> None:
        """One batch; returns within a second or so even when there is nothing to do."""

    @abstractmethod
    def close(self) -> None:
        """Give up what is held, so that others take over at once, and close all connections."""

    @abstractmethod
    def abandon(self) -> None:
        """Close all connections and write nothing more."""


def tune_garbage_collection() -> None:
    """Collect seldom: nearly nothing here is cyclic, and a book of a million orders is walked in
    vain at every full collection (measured: 15 to 25 % of the matcher's time)."""
    gc.unfreeze()  # What a worker of an earlier history has left is to be collected too.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def run(create: Callable[[], Worker], settings: Settings) -> int:
    """Run a worker until it is told to stop; returns the exit code."""
    stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    health = Health()
    try:
        with serve_health(settings, health):
            while not stopping:
                worker = create()
                worker.beat = health.beat
                try:
                    worker.open()
                    tune_garbage_collection()
                    health.ready = True
                    log.info("worker started", extra={"instance": settings.instance})
                    while not stopping:
                        worker.step()
                        health.beat()
                    health.ready = False
                    worker.close()
                except HistoryChanged as error:
                    log.warning("a new history has begun", extra={"error": str(error)})
                    worker.abandon()
    except Exception as error:  # noqa: BLE001 - the process boundary: it becomes an exit code.
        return exit_code(error)
    log.info("worker stopped", extra={"instance": settings.instance})
    return EXIT_OK


def exit_code(error: Exception) -> int:
    """Log what ended a process, with a stack only for an error that is not expected."""
    match error:
        case SettingsError():
            log.error("settings refused", extra={"error": str(error)})
            return EXIT_SETTINGS
        case ServerRefused() | HistoryMismatch():
            log.error("start refused", extra={"error": str(error)})
            return EXIT_REFUSED
        case Fenced():
            log.warning("fenced", extra={"error": str(error)})
            return EXIT_FENCED
        case RedisError() | ExchangeError():
            log.error("worker failed", extra={"error": str(error)})
            return EXIT_FAILED
        case _:
            log.critical("worker crashed", exc_info=error)
            return EXIT_FAILED


def main(settings_type: type[S], create: Callable[[S], Worker]) -> NoReturn:
    """The whole ``__main__`` of a worker: settings, logs, loop, exit code."""
    try:
        settings = load(settings_type)
    except SettingsError as error:
        logs.configure("INFO", settings_type.process)
        sys.exit(exit_code(error))
    logs.configure(settings.log_level, settings.process)
    sys.exit(run(lambda: create(settings), settings))
