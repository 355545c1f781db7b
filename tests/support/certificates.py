"""Real certificates made in the test: an authority, and what it signs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import trustme


class Pair(NamedTuple):
    """A certificate and its key, as the paths of PEM files."""

    certificate: str
    key: str


class Authority:
    """An authority of its own, whose certificate is in the file :attr:`path`."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = name
        self._ca = trustme.CA()
        self.path = str(directory / f"{name}.pem")
        self._ca.cert_pem.write_to_path(self.path)

    def issue(self, *names: str, days: int = 1) -> Pair:
        """A certificate for these names and addresses, valid for ``days`` from now; a negative
        number makes one that ended so long ago."""
        until = datetime.now(UTC) + timedelta(days=days)
        issued = self._ca.issue_cert(*names, not_before=_before(until), not_after=until)
        stem = f"{self._name}-{_stem(names)}{days}"
        certificate, key = (self._directory / f"{stem}.{kind}" for kind in ("pem", "key"))
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)  # libpq takes no key that others can read.
        return Pair(str(certificate), str(key))


def _before(until: datetime) -> datetime:
    return min(datetime.now(UTC), until) - timedelta(days=1)


def _stem(names: Sequence[str]) -> str:
    return "-".join(name.replace("*", "any").replace(":", "_") for name in names)
