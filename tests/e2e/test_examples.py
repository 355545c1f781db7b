"""The examples, run as a reader runs them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.running import RunningExchange, clean_environment

ROOT = Path(__file__).parents[2]
BROKER = ROOT / "examples" / "broker.py"
MARKET_DAY = ROOT / "examples" / "market_day.py"
PAGE = ROOT / "docs" / "tutorial" / "a-market-day.md"
EXPORT = re.compile(r"^ *\.venv/bin/exchange (export .*)$", re.MULTILINE)


def run(example: Path, directory: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, str(example)],
        cwd=directory,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_broker_of_the_readme_trades(exchange: RunningExchange) -> None:
    printed = run(
        *(BROKER, exchange.data),
        EXCHANGE_URL=exchange.url,
        EXCHANGE_ADMIN_KEY=exchange.addresses["admin_key"],
    )
    assert printed == "bought 100 VALE3 at 61.50\n"


def test_the_broker_finds_the_admin_key_beside_it(
    exchange: RunningExchange, tmp_path: Path
) -> None:
    """As after `make up`: the key is in `.data`, nothing but the port is told."""
    (tmp_path / ".data").symlink_to(exchange.data)
    assert run(BROKER, tmp_path, EXCHANGE_URL=exchange.url) == "bought 100 VALE3 at 61.50\n"


def without_the_day(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d", "<day>", text)


def test_the_market_day_prints_what_the_tutorial_shows_and_can_be_exported(
    exchange: RunningExchange, tmp_path: Path
) -> None:
    """It runs twice, because what is left of one day must not change the next."""
    (tmp_path / ".data").symlink_to(exchange.data)
    shown = re.findall(r"^```text\n(.*?)^```\n", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    for day in (1, 2):
        printed = run(MARKET_DAY, tmp_path, EXCHANGE_URL=exchange.url)
        assert without_the_day(printed) == without_the_day("".join(shown))
        (command,) = EXPORT.findall(printed)
        (fills,) = set(re.findall(r"(\d+) fills", printed))
        expect_in_the_files(exchange, command, tmp_path, day * int(fills))


def expect_in_the_files(
    exchange: RunningExchange, command: str, directory: Path, trades: int
) -> None:
    """The command that was printed writes so many trades, once PostgreSQL has them."""
    *arguments, output = shlex.split(command)
    assert output == "files"

    def is_written() -> bool:
        done = exchange.run(*arguments, str(directory))
        assert done.returncode == 0, done.stdout + done.stderr
        (file,) = directory.glob("trades-*.csv")
        return sum(",EMBR3," in row for row in file.read_text().splitlines()) == trades

    eventually(is_written, 20, "the trades of the day in PostgreSQL")
