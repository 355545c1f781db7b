"""``make faults``: every row of the matrix, a line each, and totals; or bugs that are planted."""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.faults import planted, sometimes
from tests.faults.matrix import ROWS
from tests.faults.row import SHORT, Budget, Row


@dataclass
class _Totals:
    """What the rows of a run showed together."""

    ran: list[str] = field(default_factory=list)
    faults: int = 0
    acknowledged: int = 0
    lost: int = 0
    duplicated: int = 0
    failed: int = 0

    def add(self, result: Row) -> None:
        self.acknowledged += result.verdict.acknowledged
        self.lost += result.verdict.lost
        self.duplicated += result.verdict.duplicated
        self.faults += result.faults
        self.failed += not result.passed


ROW_NAMES = {row.__name__ for row in ROWS}


def main() -> int:
    options = parse([*sys.argv[1:]])
    budget = budget_of(options)
    wanted = [name for name in options.only.split(",") if name]
    if options.planted:
        missed = planted.run(options.seed, budget, wanted)
        print(f"total: {missed} planted bugs not caught")
        return 1 if missed else 0
    started = time.monotonic()
    totals = _Totals()
    for row in ROWS:
        if not wanted or row.__name__ in wanted:
            _run(row, options, budget, totals)
    print("sometimes (C13): what was reached how often", *sometimes.table(totals.ran), sep="\n")
    unreached = [] if options.short else sometimes.unreached(totals.ran)
    if unreached:
        totals.failed += 1
        print(f"C13: never reached: {', '.join(unreached)}")
        _print_repeat(options.only, options)
    minutes = (time.monotonic() - started) / 60
    print(
        f"total: {totals.faults} faults, {totals.acknowledged} acknowledged, {totals.lost} lost,"
        f" {totals.duplicated} duplicated, {totals.failed} rows failed, {minutes:.1f} min"
    )
    return 1 if totals.failed else 0


def _run(
    row: Callable[[int, Budget], Row],
    options: argparse.Namespace,
    budget: Budget,
    totals: _Totals,
) -> None:
    name = row.__name__
    print(f"{name} …", file=sys.stderr, flush=True)
    totals.ran.append(name)
    try:
        result = row(options.seed, budget)
    except Exception:  # noqa: BLE001 - the other rows are wanted all the same.
        totals.failed += 1
        print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
        _print_repeat(name, options)
        return
    print(result.line(), flush=True)
    totals.add(result)
    if not result.passed:
        _print_repeat(name, options)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=None, help="random kills; 200, short: 15")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="rows (or numbers of bugs), commas between")
    parser.add_argument("--planted", action="store_true", help="plant bugs; each must be caught")
    parser.add_argument("--redis", type=Path, default=None, help="another redis-server")
    parser.add_argument("--short", action="store_true", help="short outages, for a first look")
    options = parser.parse_args(arguments)
    names = {str(n) for n in range(1, len(planted.BUGS) + 1)} if options.planted else ROW_NAMES
    unknown = {name for name in options.only.split(",") if name} - names
    if unknown:
        parser.error(f"--only {', '.join(sorted(unknown))}: there are {', '.join(sorted(names))}")
    return options


def budget_of(options: argparse.Namespace) -> Budget:
    """``--short`` shortens everything; ``--kills``, where it is given, has the last word."""
    budget = replace(SHORT if options.short else Budget(), redis_binary=options.redis)
    return budget if options.kills is None else replace(budget, kills=options.kills)


def _print_repeat(name: str, options: argparse.Namespace) -> None:
    command = f"python -m tests.faults --seed {options.seed}"
    if name:
        command += f" --only {name}"
    if options.kills is not None:
        command += f" --kills {options.kills}"
    if options.short:
        command += " --short"
    print(f"  repeat with: {command}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
