"""The bugs of `python -m tests.faults --planted` can still be planted in the source as it is."""

import pytest

from tests.faults.planted import BUGS, ROOT, Bug


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug.file], ids=lambda bug: bug.name)
def test_the_line_that_a_bug_changes_is_there_once(bug: Bug) -> None:
    assert (ROOT / bug.file).read_text().count(bug.old) == 1
    assert bug.new != bug.old


def test_at_least_five_bugs_are_planted() -> None:
    assert len(BUGS) >= 5
