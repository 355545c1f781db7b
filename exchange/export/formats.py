"""The formats of the files."""

from enum import Enum


class FileFormat(str, Enum):
    """A format; the value is also the end of the names of its files."""

    CSV = "csv"
    PARQUET = "parquet"
