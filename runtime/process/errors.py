"""Operational errors of the shared plumbing.

ExchangeError
├── SettingsError         the environment is not usable
├── ServerRefused         a server is not fit to hold the log (exit code 78)
├── HistoryMismatch       Redis, PostgreSQL and this process disagree about the past
├── HistoryChanged        a reset or a restore has begun a new history
└── Fenced                another worker owns the partition now
"""


class ExchangeError(Exception):
    """Base of all operational errors; its text tells an operator what to do."""


class SettingsError(ExchangeError):
    """A variable is missing, unknown or wrong."""


class ServerRefused(ExchangeError):
    """Redis or PostgreSQL is set up so that something could be lost, or for another release."""


class HistoryMismatch(ExchangeError):
    """Going on would mix two histories, or skip a part of one."""


class HistoryChanged(ExchangeError):
    """Redis or PostgreSQL holds another history than the one that this process has in memory.

    Nothing of the call that was refused has been done. The process must forget what it knows and
    read it again.
    """


class Fenced(ExchangeError):
    """A commit was refused because the lease is another's, or the batch number has moved."""
