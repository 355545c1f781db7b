"""Run one of the earlier versions: ``python -m simulator.baselines v1 --port 9000 …``."""

import argparse
import gc
from collections.abc import Callable

import uvicorn

from simulator.baselines.contract import Exchange, create_app
from simulator.baselines.v1 import Version1
from simulator.baselines.v2 import Version2
from simulator.baselines.v3 import Version3

VERSIONS: dict[str, Callable[[str], Exchange]] = {"v1": Version1, "v2": Version2, "v3": Version3}


def main() -> None:
    """Serve one version until it is told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("version", choices=VERSIONS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--admin-key", required=True)
    given = parser.parse_args()
    gc.set_threshold(100_000, 20, 100)  # As this exchange does; a full collection costs them more.
    exchange = VERSIONS[given.version](given.database_url)
    uvicorn.run(
        create_app(exchange, given.admin_key),
        host="127.0.0.1",
        port=given.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
