"""Rows of the fault matrix: the engine against the naive reference, with far more commands than the
unit tests have time for."""

from tests.faults.oracles import Verdict
from tests.faults.row import Budget, Row
from tests.support.flows import long_flow
from tests.support.side_by_side import check_same, run_both

FLOWS = 4


def reference(seed: int, budget: Budget) -> Row:
    """Every kind of order and every order of an operator: both give the same events, the same
    book, cash and shares."""
    verdict = Verdict()
    commands = budget.reference_commands
    for number in range(FLOWS):
        flow = long_flow(seed * FLOWS + number, commands, is_ruled=number % 2 == 1)
        try:
            check_same(*run_both(flow))
        except AssertionError as error:
            verdict.problems.append(f"flow {seed * FLOWS + number}: {error}")
        verdict.acknowledged += len(flow)
    return Row("the engine beside the naive reference", seed, verdict, faults=0)
