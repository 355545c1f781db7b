"""One browser for all tests, with a page of its own for each."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.chromium import MISSING, chromium, chromium_path
from tests.browser.stage import Stage


@pytest.fixture(scope="module")  # While Playwright runs, no other test can run an event loop.
def browser() -> Iterator[BrowserContext]:
    if chromium_path() is None:
        pytest.skip(MISSING)
    with tempfile.TemporaryDirectory(prefix="xt-") as folder, chromium(Path(folder)) as context:
        context.set_default_timeout(10_000)
        yield context


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    """A page that fails the test when the browser has complained: of a script that failed, or of
    something that the policy forbids."""
    page = browser.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda m: complaints.append(m.text) if "Security Policy" in m.text else None)
    yield page
    page.close()
    assert not complaints


@pytest.fixture
def stage(page: Page) -> Stage:
    return Stage(page)
