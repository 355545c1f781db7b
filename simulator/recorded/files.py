"""Reading the files of a recording, whether they are plain, gzip or zip."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from simulator.errors import SimulationFailed

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """The text of a file; what it is packed with is read off its first bytes, not off its name.

    Raises :class:`SimulationFailed` when a file cannot be read, or a zip does not hold one file.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
        if start.startswith(_GZIP):
            with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
                yield text
        elif start == _ZIP:
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/")]
                if len(names) != 1:
                    raise SimulationFailed(f"{path} holds {len(names)} files; give one of them")
                with archive.open(names[0]) as inner:
                    yield io.TextIOWrapper(inner, encoding="utf-8", newline="")
        else:
            with path.open(encoding="utf-8", newline="") as text:
                yield text
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise SimulationFailed(f"{path} cannot be read: {error}") from error
