"""Debian's Chromium, driven by Playwright, which brings no browser itself."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import BrowserContext, sync_playwright

NAMES = ("chromium", "chromium-browser")
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = "there is no chromium here; as root, `make browser` installs it"


def chromium_path() -> str | None:
    """Where Chromium is, ``None`` where it is not installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium(profile: Path) -> Iterator[BrowserContext]:
    """A browser with a fresh ``profile`` directory."""
    path = chromium_path()
    assert path is not None, MISSING
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=path, args=list(ARGUMENTS), headless=True
        )
        yield context
        context.close()
