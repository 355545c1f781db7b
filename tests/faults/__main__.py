"""``make faults``: every row of the matrix, a line each, and totals; or bugs that are planted."""

import argparse
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

from tests.faults import planted, sometimes
from tests.faults.matrix import ROWS
from tests.faults.row import SHORT, Budget


def main() -> int:
    options = parse([*sys.argv[1:]])
    budget = budget_of(options)
    if options.planted:
        missed = planted.run(options.seed, budget, [n for n in options.only.split(",") if n])
        print(f"total: {missed} planted bugs not caught")
        return 1 if missed else 0
    wanted = [name for name in options.only.split(",") if name]
    started = time.monotonic()
    acknowledged = lost = duplicated = faults = failed = 0
    ran: list[str] = []
    for row in ROWS:
        name = row.__name__
        if wanted and name not in wanted:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        ran.append(name)
        try:
            result = row(options.seed, budget)
        except Exception:  # noqa: BLE001 - the other rows are wanted all the same.
            failed += 1
            print(f"{name}: FAILED\n{traceback.format_exc()}", flush=True)
            _print_repeat(name, options)
            continue
        print(result.line(), flush=True)
        acknowledged += result.verdict.acknowledged
        lost += result.verdict.lost
        duplicated += result.verdict.duplicated
        faults += result.faults
        if not result.passed:
            failed += 1
            _print_repeat(name, options)
    print("sometimes (C13): what was reached how often", *sometimes.table(ran), sep="\n")
    unreached = sometimes.unreached(ran)
    if unreached:
        failed += 1
        print(f"C13: never reached: {', '.join(unreached)}")
        _print_repeat(options.only, options)
    minutes = (time.monotonic() - started) / 60
    print(
        f"total: {faults} faults, {acknowledged} acknowledged, {lost} lost,"
        f" {duplicated} duplicated, {failed} rows failed, {minutes:.1f} min"
    )
    return 1 if failed else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=None, help="random kills; 200, short: 15")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="rows (or numbers of bugs), commas between")
    parser.add_argument("--planted", action="store_true", help="plant bugs; each must be caught")
    parser.add_argument("--redis", type=Path, default=None, help="another redis-server")
    parser.add_argument("--short", action="store_true", help="short outages, for a first look")
    return parser.parse_args(arguments)


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
