"""Bugs that are planted on purpose: an oracle that does not see them is no oracle.

``python -m tests.faults --planted`` copies the source for each bug, changes one line of the copy,
and runs a row of the matrix with workers from there. The oracles are those of the source itself.
No switch is in the code that is shipped.
"""

import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults import disk_rows, gone_rows, redis_rows, worker_rows
from tests.faults.disk import Disk
from tests.faults.fleet import Fleet
from tests.faults.row import Budget, Row

NO_CHANGE = ("", "", "")
ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("exchange", "ingress", "matcher", "notifier", "persister", "protocol", "readapi"),
    *("runtime", "simulator", "client"),
)


@dataclass(frozen=True)
class Bug:
    """``old`` stands once in ``file`` and becomes ``new``; without a file it is the disk that lies.
    ``caught_by`` is a piece of what the oracle says that must see it while ``row`` runs; any of
    several will do."""

    name: str
    file: str
    old: str
    new: str
    row: Callable[[int, Budget], Row]
    caught_by: tuple[str, ...]


BUGS = (
    Bug(
        "the commit skips its fences",
        "runtime/redis/functions/commit.lua",
        "  if refusal then return refusal end\n",
        "  if refusal == 'DUP' then return refusal end\n",
        worker_rows.two_owners,
        ("C3",),
    ),
    Bug(
        "a record of a client order id is dropped",
        "runtime/redis/functions/append.lua",
        "redis.call('HSET', new_records, client,",
        "redis.call('HSET', new_records, client .. '?',",
        worker_rows.lost_replies,
        ("duplicated",),
    ),
    Bug(
        "one too many is trimmed",
        "runtime/redis/functions/trim.lua",
        "int(last + 1) .. '-0'",
        "int(last + 2) .. '-0'",
        gone_rows.worker_gone,
        ("jumps",),
    ),
    Bug(
        "an order is acknowledged although the log did not answer",
        "ingress/appender.py",
        "            problem = outcome_unknown(error)\n        else:",
        "            problem = LogPlace(10**12, 10**6)\n        else:",
        redis_rows.redis_killed,
        ("lost",),
    ),
    Bug(
        "the disk of Redis says that it has synced, and has not",
        *NO_CHANGE,
        disk_rows.power_cut,
        ("lost",),
    ),
    Bug(
        "the persister forgets a trade",
        "persister/rows.py",
        "        self.trades.append(trade_row(entry, trade))\n",
        "        if trade.trade_number % 20:\n"
        "            self.trades.append(trade_row(entry, trade))\n",
        worker_rows.two_owners,
        ("check:", "C3", "C6"),
    ),
    Bug(
        "a matcher that starts turns the queue round",
        "matcher/recovery.py",
        "key=lambda r: r.turn)",
        "key=lambda r: -r.turn)",
        worker_rows.kills,
        ("not drained",),  # The matcher itself finds it and does not run.
    ),
    Bug(
        "a process remembers books for ever",
        "readapi/routes.py",
        "            stored = read.stored\n",
        "            stored = vars(self).setdefault(symbol, read.stored)\n",
        worker_rows.read_elsewhere,
        ("C10",),
    ),
    Bug(
        "a commit leaves out what brokers hold",
        "runtime/redis/functions/commit.lua",
        "  many('HSET', keys[key + 7], counts[6])\n",
        "  at = at + counts[6]\n",
        worker_rows.two_owners,
        ("C11",),
    ),
    Bug(
        "balances come in the order of a set",
        "matcher/engine.py",
        "for broker in sorted(self.cash_changed)}",
        "for broker in self.cash_changed}",
        worker_rows.two_owners,
        ("C12",),
    ),
)


def run(seed: int, budget: Budget, only: list[str]) -> int:
    """Plant each bug; print which oracle has caught it. Returns how many were not caught."""
    missed = 0
    for number, bug in enumerate(BUGS, 1):
        if only and str(number) not in only:
            continue
        said = _said(bug, seed, budget)
        seen = [words for words in said if any(piece in words for piece in bug.caught_by)]
        missed += not seen
        verdict = f"caught: {seen[0][:160]}" if seen else f"NOT CAUGHT, only {said}"
        print(f"{number}. {bug.name} ({bug.row.__name__}): {verdict}", flush=True)
        if not seen:
            print(f"  repeat with: python -m tests.faults --planted --only {number} --seed {seed}")
    return missed


def _said(bug: Bug, seed: int, budget: Budget) -> list[str]:
    """What the oracles say of a run with the bug; a row that cannot go on says why."""
    Fleet.refusals.clear()
    with planted(bug):
        try:
            verdict = bug.row(seed, budget).verdict
        except Exception:  # noqa: BLE001 - it may have ended anything.
            return [*Fleet.refusals, traceback.format_exc()[-600:]]
    said = [f"{verdict.lost} acknowledged orders are lost"] * bool(verdict.lost)
    said += [f"{verdict.duplicated} orders are duplicated"] * bool(verdict.duplicated)
    return [*said, *verdict.problems, *Fleet.refusals]


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Workers of the fleets that start meanwhile run a copy of the source with the bug."""
    if not bug.file:
        Disk.liar = "redis"
        try:
            yield
        finally:
            Disk.liar = ""
        return
    with tempfile.TemporaryDirectory(prefix="xp-") as folder:
        copy = Path(folder)
        for package in PACKAGES:
            shutil.copytree(
                ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
            )
        path = copy / bug.file
        text = path.read_text()
        assert text.count(bug.old) == 1, f"{bug.file} has changed: plant {bug.name!r} anew"
        path.write_text(text.replace(bug.old, bug.new))
        Fleet.source = copy
        try:
            yield
        finally:
            Fleet.source = None
