"""The files themselves: both formats, checksums, and what happens when it is interrupted."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchange.export import files
from exchange.export.columns import ORDER_COLUMNS, Column, Kind, Row
from exchange.export.files import MissingExtra, require, write_file
from exchange.export.formats import FileFormat
from runtime.http.schemas import OrderAnswer

COLUMNS = (
    Column("symbol", Kind.TEXT, lambda row: row.symbol),
    Column("price", Kind.INTEGER, lambda row: row.price),
    Column("at", Kind.TIME, lambda row: row.at),
)
PIECES: list[list[Row]] = [
    [("PETR4", 1000, 1_795_438_800_250), ('A,"B"', None, None)],
    [("Ação", 2**40, 0)],
]


def test_csv_has_a_line_for_each_row_with_times_as_in_the_api(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    assert write_file(path, FileFormat.CSV, COLUMNS, PIECES)[0] == 3
    assert path.read_text() == (
        "symbol,price,at\n"
        "PETR4,1000,2026-11-23T13:00:00.250+00:00\n"
        '"A,""B""",,\n'
        "Ação,1099511627776,1970-01-01T00:00:00.000+00:00\n"
    )
    with path.open(newline="") as file:
        assert [row["symbol"] for row in csv.DictReader(file)] == ["PETR4", 'A,"B"', "Ação"]


def test_parquet_has_types_and_a_row_group_for_each_piece(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    assert write_file(path, FileFormat.PARQUET, COLUMNS, PIECES)[0] == 3
    read = pq.ParquetFile(path)
    assert read.num_row_groups == 2
    assert read.schema_arrow.types == [pa.string(), pa.int64(), pa.timestamp("ms", tz="UTC")]
    assert read.read().to_pylist() == [
        {"symbol": "PETR4", "price": 1000, "at": datetime(2026, 11, 23, 13, 0, 0, 250_000, UTC)},
        {"symbol": 'A,"B"', "price": None, "at": None},
        {"symbol": "Ação", "price": 2**40, "at": datetime(1970, 1, 1, tzinfo=UTC)},
    ]


@pytest.mark.parametrize("file_format", FileFormat)
def test_a_day_without_rows_is_a_file_with_its_columns(
    tmp_path: Path, file_format: FileFormat
) -> None:
    path = tmp_path / "rows"
    assert write_file(path, file_format, COLUMNS, [])[0] == 0
    if file_format is FileFormat.CSV:
        assert path.read_text() == "symbol,price,at\n"
    else:
        assert pq.read_table(path).column_names == ["symbol", "price", "at"]


@pytest.mark.parametrize("file_format", FileFormat)
def test_the_checksum_is_that_of_the_file(tmp_path: Path, file_format: FileFormat) -> None:
    path = tmp_path / f"rows.{file_format.value}"
    _, checksum = write_file(path, file_format, COLUMNS, PIECES)
    assert checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (tmp_path / f"{path.name}.sha256").read_text() == f"{checksum}  {path.name}\n"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("file_format", FileFormat)
def test_an_interrupted_file_leaves_the_old_one_and_nothing_half(
    tmp_path: Path, file_format: FileFormat
) -> None:
    path = tmp_path / "rows"
    write_file(path, file_format, COLUMNS, PIECES)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def interrupted() -> Iterator[Sequence[Row]]:
        yield PIECES[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, file_format, COLUMNS, interrupted())
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_parquet_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(files, "find_spec", nothing)
    with pytest.raises(MissingExtra, match=r"mini-exchange\[export\]"):
        require(FileFormat.PARQUET)
    require(FileFormat.CSV)


def test_an_order_has_the_columns_of_the_api_and_its_broker() -> None:
    answer = [field.name for field in msgspec.structs.fields(OrderAnswer)]
    columns = [column.name for column in ORDER_COLUMNS]
    # `id` is `order_id` again, and trades have a file of their own.
    assert sorted(columns) == sorted({*answer, "broker_id"} - {"id", "trades"})
