"""``python -m simulator.street URL PERCENT SECONDS``: the process of the small market.

It ends after its time, or when its input ends: whoever has started it is gone then.
"""

import os
import sys
import threading

from simulator.street.street import Street
from simulator.target import Target


def main() -> None:
    url, percent, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
    threading.Thread(target=_end_with_input, daemon=True).start()
    Street(Target(url, os.environ.get("EXCHANGE_ADMIN_KEY", "")), percent).run(seconds)


def _end_with_input() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # In the middle of whatever it does: it holds nothing that must be put away.


if __name__ == "__main__":
    main()
