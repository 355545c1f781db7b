"""The disk of the fault matrix, and PostgreSQL on one that fails and is well again."""

import errno
import random
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from exchange.local.supervisor import Supervisor
from tests.faults.disk import COMPILER, Disk, DiskPostgres
from tests.support.eventually import eventually

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no gcc to make a disk")

_WRITER = """
import os, sys
file = os.open(sys.argv[1] + "/log", os.O_RDWR | os.O_CREAT | os.O_APPEND)
os.write(file, b"synced,")
os.fdatasync(file)
os.write(file, b"lost")
pages = os.open(sys.argv[1] + "/pages", os.O_RDWR | os.O_CREAT)
os.pwrite(pages, b"AAAABBBB", 0)
os.fsync(pages)
os.pwrite(pages, b"xxyyzz", 6)
os.pwrite(pages, b"w", 0)
os.kill(os.getpid(), 9)
"""


class _AllIsLost(random.Random):
    """Nothing of what was not synced has reached the disk."""

    def randint(self, a: int, b: int) -> int:
        return a


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "data").mkdir()
    return Disk(tmp_path, "data")


def _write(disk: Disk, folder: Path) -> None:
    command = [*disk.begin(), sys.executable, "-c", _WRITER, str(folder)]
    assert subprocess.run(command, check=False).returncode == -9
    assert disk.syncs == 2
    assert (folder / "log").read_bytes() == b"synced,lost"
    assert (folder / "pages").read_bytes() == b"wAAABBxxyyzz"


def test_a_power_cut_leaves_what_was_synced_of_files_that_grow(disk: Disk, tmp_path: Path) -> None:
    _write(disk, tmp_path / "data")
    disk.cut_lengths(_AllIsLost())
    assert (tmp_path / "data" / "log").read_bytes() == b"synced,"


def test_a_power_cut_takes_back_writes_that_were_not_synced(disk: Disk, tmp_path: Path) -> None:
    _write(disk, tmp_path / "data")
    assert disk.cut_writes(_AllIsLost()) == 3
    assert (tmp_path / "data" / "log").read_bytes() == b"synced,"
    assert (tmp_path / "data" / "pages").read_bytes() == b"AAAABBBB"


def test_a_disk_that_lies_keeps_nothing(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Disk, "liar", "data")
    disk.set()
    _write(disk, tmp_path / "data")
    disk.cut_lengths(_AllIsLost())
    assert (tmp_path / "data" / "log").read_bytes() == b""


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
