"""PostgreSQL on a disk that fails and is well again, under the supervisor of `exchange up`."""

import errno
from pathlib import Path

import psycopg
import pytest

from exchange.local.supervisor import Supervisor
from tests.faults.disk import COMPILER, DiskPostgres
from tests.support.eventually import eventually


@pytest.mark.skipif(COMPILER is None, reason="there is no gcc to make a disk that fails")
def test_postgresql_comes_back_after_a_sync_failed_in_its_recovery(short_dir: Path) -> None:
    server = DiskPostgres(short_dir)
    server.start()
    supervisor = Supervisor([server])
    try:
        server.disk.set(error=errno.EIO)
        with pytest.raises(psycopg.Error), psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE t (n int)")
        eventually(lambda: _recovery_failed(server.log_path), 20, "a recovery to fail")
        server.disk.set()

        def answers() -> bool:
            supervisor.watch()
            try:
                psycopg.connect(server.url, connect_timeout=2).close()
            except psycopg.OperationalError:
                return False
            return True

        eventually(answers, 20, "PostgreSQL to answer again")
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
    finally:
        server.stop()


def _recovery_failed(log: Path) -> bool:
    _, recovers, rest = log.read_text().partition("recovery in progress")
    return bool(recovers) and "PANIC" in rest
