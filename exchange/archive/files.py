"""The files of an archived day.

``journal-pNN.gz`` has the batches of a partition in their order, ``states.gz`` what was so after
the last batch of each, and ``trades.csv`` is the file that ``exchange export`` writes. Each entry
of the compressed files is MessagePack behind its length in four bytes, the most significant first.
``manifest.json`` says what there must be; it is written last.
"""

import gzip
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

import msgspec

from protocol.batches import chain_hash
from protocol.partitions import partition_name
from runtime.process.errors import ExchangeError

STATES, TRADES, MANIFEST = "states.gz", "trades.csv", "manifest.json"
LEVEL = 3  # Of gzip: a batch is half ids, which no level makes smaller.
_LENGTH_BYTES = 4


T = TypeVar("T")


class ArchiveFailed(ExchangeError):
    """A day cannot be archived, or its files are not what they must be."""


class ArchivedBatch(msgspec.Struct, array_like=True):
    """A row of the journal."""

    partition: int
    number: int
    hash: str
    batch: bytes
    reports: bytes | None


class ArchivedState(msgspec.Struct, array_like=True):
    """``state`` is an encoded :class:`~exchange.archive.state.PartitionState`, as it is after the
    batch ``number``."""

    partition: int
    number: int
    hash: str
    state: bytes


class Span(msgspec.Struct):
    """The batches of one partition: from the one that follows the hash ``previous`` to the one that
    has the hash ``hash``."""

    first: int
    last: int
    previous: str
    hash: str


class Manifest(msgspec.Struct):
    """What a day has. ``part`` is above 1 where a batch of the day came after it was archived;
    ``files`` are SHA-256 by name."""

    day: str
    part: int
    batches: dict[int, Span]
    trades: int
    files: dict[str, str] = {}
    format: int = 1


def journal_name(partition: int) -> str:
    """The file with the batches of a partition."""
    return f"journal-{partition_name(partition)}.gz"


class FrameWriter:
    """Writes entries to a compressed file."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.GzipFile(path, "wb", compresslevel=LEVEL, mtime=0)

    def write(self, entry: msgspec.Struct) -> None:
        payload = msgspec.msgpack.encode(entry)
        self._file.write(len(payload).to_bytes(_LENGTH_BYTES))
        self._file.write(payload)

    def close(self) -> None:
        self._file.close()


def _frames(path: Path) -> Iterator[bytes]:
    with gzip.open(path) as file:
        while head := file.read(_LENGTH_BYTES):
            payload = file.read(int.from_bytes(head))
            if len(head) < _LENGTH_BYTES or len(payload) < int.from_bytes(head):
                raise EOFError(f"{path} ends within an entry")
            yield payload


class DayFiles(NamedTuple):
    """The directory of a day. Every reader raises :class:`ArchiveFailed` where a file is missing
    or cannot be read."""

    directory: Path

    def manifest(self) -> Manifest:
        path = self.directory / MANIFEST
        try:
            return msgspec.json.decode(path.read_bytes(), type=Manifest)
        except (OSError, msgspec.MsgspecError) as error:
            raise ArchiveFailed(f"{path} cannot be read: {error}") from error

    def batches(self, partition: int) -> Iterator[ArchivedBatch]:
        """The batches of a partition that has some."""
        decoder = msgspec.msgpack.Decoder(ArchivedBatch)
        return self._read(journal_name(partition), decoder)

    def states(self) -> Iterator[ArchivedState]:
        decoder = msgspec.msgpack.Decoder(ArchivedState)
        return self._read(STATES, decoder)

    def _read(self, name: str, decoder: msgspec.msgpack.Decoder[T]) -> Iterator[T]:
        path = self.directory / name
        try:
            for payload in _frames(path):
                yield decoder.decode(payload)
        except (OSError, EOFError, ValueError) as error:
            raise ArchiveFailed(f"{path} cannot be read: {error}") from error

    def finish(self, manifest: Manifest) -> None:
        """Bring the files to disk and write the manifest."""
        for name in [*map(journal_name, manifest.batches), STATES, TRADES]:
            with (self.directory / name).open("rb") as file:
                os.fsync(file.fileno())
                manifest.files[name] = hashlib.file_digest(file, "sha256").hexdigest()
        encoded = msgspec.json.format(msgspec.json.encode(manifest))
        with (self.directory / MANIFEST).open("wb") as file:
            file.write(encoded + b"\n")
            _sync(file)
        sync_directory(self.directory)

    def verify(self) -> Manifest:
        """Read everything back: checksums, and that the batches continue their hash chains."""
        manifest = self.manifest()
        for name, expected in manifest.files.items():
            path = self.directory / name
            try:
                with path.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise ArchiveFailed(f"{path} cannot be read: {error}") from error
            if found != expected:
                raise ArchiveFailed(f"{path} was changed: its SHA-256 is not that of the manifest")
        ends = {p: self._follow_chain(p, span) for p, span in manifest.batches.items()}
        states = {state.partition: (state.number, state.hash) for state in self.states()}
        expected_ends = {p: (span.last, span.hash) for p, span in manifest.batches.items()}
        if ends != expected_ends or states != expected_ends:
            raise ArchiveFailed(f"{self.directory} does not have the batches of its manifest")
        return manifest

    def _follow_chain(self, partition: int, span: Span) -> tuple[int, str]:
        number, last_hash = span.first - 1, span.previous
        for row in self.batches(partition):
            continues = (row.partition, row.number) == (partition, number + 1)
            if not continues or chain_hash(last_hash, row.batch) != row.hash:
                raise ArchiveFailed(
                    f"batch {row.number} of partition {partition} in {self.directory} does not"
                    " continue the hash chain"
                )
            number, last_hash = row.number, row.hash
        return number, last_hash


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Bring the names of files to disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
