"""Every test and every row of the fault matrix that the page of promises names is there."""

import re
from pathlib import Path

from tests.faults.matrix import ROWS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "explanation" / "promises.md").read_text()
PROMISES = [line for line in PAGE.splitlines() if re.match(r"\| \d+ \|", line)]


def test_every_promise_names_what_would_notice_its_breach() -> None:
    assert len(PROMISES) == 12
    for promise in PROMISES:
        noticed_by = promise.split("|")[4]
        assert re.search(r"`tests/\S+\.py|rows? `", noticed_by), promise


def test_the_tests_that_the_page_names_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)
    assert len(named) > 10
    for path, test in named:
        text = (ROOT / path).read_text()
        assert not test or f"def {test}(" in text, f"{path} has no {test}"


def test_the_rows_that_the_page_names_exist() -> None:
    rows = {row.__name__ for row in ROWS}
    named = {
        name
        for promise in PROMISES
        for listed in re.findall(r"rows? ((?:`\w+`(?:, )?)+)", promise)
        for name in re.findall(r"`(\w+)`", listed)
    }
    assert len(named) > 10
    assert named <= rows, named - rows
