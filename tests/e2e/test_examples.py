"""The examples, run as a reader runs them."""

import subprocess
import sys
from pathlib import Path

from tests.support.running import RunningExchange, clean_environment

ROOT = Path(__file__).parents[2]
BROKER = ROOT / "examples" / "broker.py"


def run(directory: Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, str(BROKER)],
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
        exchange.data,
        EXCHANGE_URL=exchange.url,
        EXCHANGE_ADMIN_KEY=exchange.addresses["admin_key"],
    )
    assert printed == "bought 100 VALE3 at 61.50\n"


def test_the_broker_finds_the_admin_key_beside_it(
    exchange: RunningExchange, tmp_path: Path
) -> None:
    """As after `make up`: the key is in `.data`, nothing but the port is told."""
    (tmp_path / ".data").symlink_to(exchange.data)
    assert run(tmp_path, EXCHANGE_URL=exchange.url) == "bought 100 VALE3 at 61.50\n"
