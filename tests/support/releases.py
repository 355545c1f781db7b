"""An earlier release of the exchange beside this one: its source, and workers that run it.

Both use the packages of others that are installed here; only the path to our own differs.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.redis.members import members
from tests.faults.fleet import Fleet
from tests.support.eventually import eventually
from tests.support.running import clean_environment

ROOT = Path(__file__).parents[2]
EARLIER = "5c6f22c6a2a7c9b8fd1b2352c8728e52c05cb455"
"""The release before this one, as a commit of this repository. A new release puts itself here."""


def unpack_earlier(folder: Path) -> Path:
    """The source of :data:`EARLIER` in ``folder``. Where the repository does not have it, as in a
    clone without history or without git, the test skips and says so."""
    archived = subprocess.run(
        ["git", "-C", str(ROOT), "archive", EARLIER], capture_output=True, check=False
    )
    if archived.returncode:
        pytest.skip(
            f"the earlier release {EARLIER[:7]} is not in this clone; this test needs the whole"
            f" history (git fetch --unshallow): {archived.stderr.decode()}"
        )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archived.stdout, check=True)
    return folder


def environment_of(source: Path) -> dict[str, str]:
    """What makes ``python -m exchange`` run the code in ``source``, wherever it is called."""
    return {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1"}


def run_of(source: Path, *arguments: str, **variables: str) -> str:
    """The output of Python with ``arguments`` and the code in ``source``."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=clean_environment(**environment_of(source), **variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class MixedFleet(Fleet):
    """Begins with the release in ``source``; each worker can be replaced by one of another."""

    def __init__(self, source: Path, kinds: dict[str, int]) -> None:
        super().__init__(kinds)
        self._variables = environment_of(source)
        self._source = source

    def __enter__(self) -> "MixedFleet":
        try:
            self.redis.start()
            self.postgres.start()
            self.migrate(self._source)
            self.start_workers()
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def migrate(self, source: Path) -> None:
        run_of(source, "-m", "exchange", "migrate", EXCHANGE_DATABASE_URL=self.postgres.url)

    def stop_one(self, name: str) -> None:
        """SIGTERM; it finishes its batch and does not come back until it is replaced."""
        with self._lock:
            child = self._children.pop(name)
            child.ask_to_stop()
            child.wait()

    def replace(self, name: str, source: Path) -> None:
        """SIGTERM, and then one of the same name with the code in ``source``, until it is heard."""
        self.start(name, **environment_of(source))
        pid = self.pid(name)
        kind = name.split("-")[0]
        channel = self.channel()
        try:
            eventually(
                lambda: any(member.pid == pid for member in members(channel, kind)),
                30,
                f"the first heartbeat of {name}",
            )
        finally:
            channel.close()
