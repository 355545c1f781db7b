"""Writing rows to CSV and Parquet, in pieces, so that a file may be larger than the memory."""

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from exchange.export.columns import Column, Kind, Row, Value
from exchange.export.formats import FileFormat
from protocol.units import format_time, milliseconds
from runtime.process.errors import ExchangeError


class MissingExtra(ExchangeError):
    """The package for a format is not installed. The text says how to install it."""


class RowWriter(Protocol):
    """Takes rows in pieces."""

    def write(self, rows: Sequence[Row]) -> None: ...


class CsvWriter:
    """A line of names, then a line for each row. Times are as the API writes them; nothing stands
    where there is no value."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._times = [at for at, column in enumerate(columns) if column.kind is Kind.TIME]
        self._writer.writerow([column.name for column in columns])

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows(map(self._line, rows))

    def _line(self, row: Row) -> list[Any]:
        line = list(row)
        for at in self._times:
            time_ms = line[at]
            line[at] = format_time(time_ms) if isinstance(time_ms, int) else None
        return line

    def close(self) -> None:
        self._file.close()


class ParquetWriter:
    """One row group for each piece. Times have milliseconds and are UTC."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {
            Kind.TEXT: pa.string(),
            Kind.INTEGER: pa.int64(),
            Kind.TIME: pa.timestamp("ms", tz="UTC"),
        }
        self._arrow: Any = pa
        self._schema = pa.schema([(column.name, types[column.kind]) for column in columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")

    def write(self, rows: Sequence[Row]) -> None:
        arrays = [
            self._arrow.array(values, field.type)
            for field, values in zip(self._schema, zip(*rows, strict=True), strict=True)
        ]
        self._writer.write_table(self._arrow.table(arrays, schema=self._schema))

    def close(self) -> None:
        self._writer.close()


_WRITERS: dict[FileFormat, type[CsvWriter] | type[ParquetWriter]] = {
    FileFormat.CSV: CsvWriter,
    FileFormat.PARQUET: ParquetWriter,
}


def require(file_format: FileFormat) -> None:
    """Raises :class:`MissingExtra` when files of this format cannot be written."""
    if file_format is FileFormat.PARQUET and find_spec("pyarrow") is None:
        raise MissingExtra(
            "Parquet needs pyarrow, which is not installed. Install the extra `export`:"
            ' pip install "mini-exchange[export]". With --format csv nothing else is needed.'
        )


def write_file(
    path: Path, file_format: FileFormat, columns: Sequence[Column], pieces: Iterable[Sequence[Row]]
) -> tuple[int, str]:
    """Write a file and ``NAME.sha256`` beside it; return the number of rows and the SHA-256.

    The file takes its name only when it is whole and on disk. An older one is replaced, and until
    the new checksum is there it has none. The checksum file is what ``sha256sum --check`` reads.
    """
    checksum_path = path.with_name(f"{path.name}.sha256")
    partial = path.with_name(f"{path.name}.partial")
    try:
        rows = 0
        with _closing(_WRITERS[file_format](partial, columns)) as writer:
            for piece in pieces:
                writer.write(piece)
                rows += len(piece)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        checksum_path.unlink(missing_ok=True)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    checksum_path.write_text(f"{checksum}  {path.name}\n")
    return rows, checksum


def read_csv(path: Path, columns: Sequence[Column], rows_max: int) -> Iterator[list[Row]]:
    """The rows of a file that :func:`write_file` wrote, in pieces. Raises :class:`OSError` and
    :class:`ValueError` where it is not one."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        if next(reader, None) != [column.name for column in columns]:
            raise ValueError(f"{path} has other columns")
        while piece := list(islice(reader, rows_max)):
            yield [_row(line, columns) for line in piece]


def _row(line: list[str], columns: Sequence[Column]) -> Row:
    return tuple([_value(text, column.kind) for text, column in zip(line, columns, strict=True)])


def _value(text: str, kind: Kind) -> Value:
    if not text:
        return None
    if kind is Kind.INTEGER:
        return int(text)
    return milliseconds(datetime.fromisoformat(text)) if kind is Kind.TIME else text


@contextmanager
def _closing(writer: CsvWriter | ParquetWriter) -> Iterator[RowWriter]:
    try:
        yield writer
    finally:
        writer.close()
