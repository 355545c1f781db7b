"""The pictures of the README: ``python -m tests.browser.picture DIRECTORY``.

It starts an exchange in a directory of its own, lets a small market run until there is something to
see, and takes the page in both schemes.
"""

import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import chromium
from tests.support.running import RunningExchange

SCHEMES = ("dark", "light")
WIDTH, HEIGHT = 1440, 966
MARKET_SECONDS = 100
SETTLE_SECONDS = 4


def main(directory: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="xt-") as folder:
        exchange = RunningExchange(Path(folder) / "x")
        exchange.start()
        try:
            with chromium(Path(folder) / "profile") as context:
                page = context.new_page()
                page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                page.goto(exchange.url)
                page.click("#street-button")
                page.wait_for_timeout(MARKET_SECONDS * 1000)
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    page.wait_for_timeout(SETTLE_SECONDS * 1000)
                    page.screenshot(path=directory / f"page-{scheme}.png")
        finally:
            exchange.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
