"""The disks of the servers in the hands of a test: slow, failing, or cut off from their power.

A library that is loaded into Valkey and PostgreSQL (shim.c) stands between them and the kernel.
Both are linked with the C library of the machine, so ``LD_PRELOAD`` reaches every ``fsync``,
``fdatasync`` and ``write`` of theirs. :attr:`Disk.syncs` counts what went through it, and the rows
require that it grows.
"""

import random
import shutil
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis

COMPILER = shutil.which("gcc")
_ENV = shutil.which("env") or "/usr/bin/env"
_SOURCE = Path(__file__).with_name("shim.c")
_CONTROL = struct.Struct("<iiq")  # Milliseconds, errno, syncs.
_RECORD = struct.Struct("<5q")
_LIES = -1
_WRITE, _SYNC, _SYNCED, _TRUNCATE, _GONE = range(1, 6)


class _Record(NamedTuple):
    kind: int
    inode: int
    offset: int
    size: int
    old: bytes


class _Write(NamedTuple):
    """``size`` is that of the file before a write that made it longer, and -1 for any other."""

    offset: int
    size: int
    old: bytes


@dataclass
class _File:
    """What is known of a file: writes that are not synced, and its size at the last sync."""

    unsynced: list[_Write] = field(default_factory=list)
    synced: int = 0
    syncing: dict[int, int] = field(default_factory=dict)
    size: int = 0

    def take(self, record: _Record) -> None:
        if record.kind == _WRITE:
            self.unsynced.append(_Write(record.offset, record.size, record.old))
        elif record.kind == _SYNC:
            self.syncing[record.offset] = self.synced + len(self.unsynced)
        elif record.kind == _SYNCED:
            done = max(0, self.syncing.pop(record.offset) - self.synced)
            self.synced += done
            self.size = record.size
            del self.unsynced[:done]
        else:
            length = record.offset
            self.unsynced = [
                _Write(at, min(size, length), old[: max(0, length - at)])
                for at, size, old in self.unsynced
            ]


class Disk:
    """The disk of one server. ``folder`` gets the files by which its library is told and tells."""

    liar: ClassVar[str] = ""
    """The server whose disk says that it has synced and has not (a bug that is planted)."""

    def __init__(self, folder: Path, name: str) -> None:
        assert COMPILER is not None, "the row looks for a compiler first"
        self._library = folder / f"{name}.so"
        self._control = folder / f"{name}.control"
        self._journal = folder / f"{name}.journal"
        self._sizes: dict[int, int] = {}
        self._data = folder / name
        command = [COMPILER, "-O2", "-fPIC", "-shared", "-o", str(self._library), str(_SOURCE)]
        subprocess.run([*command, "-ldl"], check=True)
        self._control.write_bytes(_CONTROL.pack(0, 0, 0))
        self._journal.touch()
        for path in (self._control, self._journal):
            path.chmod(0o666)  # PostgreSQL may run as another user.

    def begin(self) -> list[str]:
        """What to put before the command of the server. What its files hold now is on the disk."""
        self._journal.write_bytes(b"")
        self._sizes = {p.stat().st_ino: p.stat().st_size for p in self._files()}
        return [
            *(_ENV, f"LD_PRELOAD={self._library}"),
            *(f"DISK_SHIM_CONTROL={self._control}", f"DISK_SHIM_JOURNAL={self._journal}"),
        ]

    def set(self, delay_ms: int = 0, error: int = 0) -> None:
        """How long each sync takes from now on, and with which errno it fails; 0 for no failure."""
        with self._control.open("r+b") as file:
            file.write(
                struct.pack("<ii", delay_ms, _LIES if self._data.name == self.liar else error)
            )

    @property
    def syncs(self) -> int:
        """How many syncs the server has asked for."""
        syncs: int = _CONTROL.unpack(self._control.read_bytes())[2]
        return syncs

    def cut_lengths(self, draw: random.Random) -> int:
        """Take from each file the end that was not synced, or a part of it, as is right for files
        that only grow. The server must be dead. Returns how many bytes are gone."""
        gone = 0
        known = self._read()
        for path in self._files():
            status = path.stat()
            synced = self._sizes.get(status.st_ino, 0)
            if status.st_ino in known:
                synced = max(synced, known[status.st_ino].size)
            kept = draw.randint(min(synced, status.st_size), status.st_size)
            with path.open("r+b") as file:
                file.truncate(kept)
            gone += status.st_size - kept
        return gone

    def cut_writes(self, draw: random.Random) -> int:
        """Take back the writes to each file that were not synced, or the later ones of them. The
        server must be dead. Names of files count as synced. Returns how many writes are gone."""
        gone = 0
        known = self._read()
        for path in self._files():
            writes = known[path.stat().st_ino].unsynced if path.stat().st_ino in known else []
            undone = writes[draw.randint(0, len(writes)) :]
            with path.open("r+b") as file:
                for offset, size, old in reversed(undone):
                    file.seek(offset)
                    file.write(old)
                    if size >= 0:
                        file.truncate(size)
            gone += len(undone)
        return gone

    def _read(self) -> dict[int, _File]:
        known: defaultdict[int, _File] = defaultdict(_File)
        for record in _records(self._journal.read_bytes()):
            if record.kind == _GONE:
                known.pop(record.inode, None)
                self._sizes.pop(record.inode, None)
            else:
                known[record.inode].take(record)
        return dict(known)

    def _files(self) -> list[Path]:
        return sorted(p for p in self._data.rglob("*") if p.is_file() and not p.is_symlink())


def _records(content: bytes) -> Iterator[_Record]:
    at = 0
    while at + _RECORD.size <= len(content):
        kind, inode, offset, size, length = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        yield _Record(kind, inode, offset, size, content[at : at + length])
        at += length


class DiskRedis(EmbeddedRedis):
    """Valkey on a :class:`Disk`."""

    def __init__(self, data: Path, binary: Path | None = None) -> None:
        super().__init__(data, binary)
        self.disk = Disk(data, "redis")

    def _spawn(self, arguments: list[str], user: str | None = None) -> None:
        super()._spawn([*self.disk.begin(), *arguments], user)


class DiskPostgres(EmbeddedPostgres):
    """PostgreSQL on a :class:`Disk`. ``initdb`` syncs what it has made and ends before."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.disk = Disk(data, "postgres")

    def _spawn(self, arguments: list[str], user: str | None = None) -> None:
        is_server = Path(arguments[0]).name == "postgres"
        super()._spawn([*(self.disk.begin() if is_server else []), *arguments], user)
