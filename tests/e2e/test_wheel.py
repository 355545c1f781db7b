"""A wheel that is built here and installed elsewhere runs the exchange in an empty directory.

The wheel is installed into a virtual environment of its own. That one sees the packages of others
which are installed here, but not our source: a line in a ``.pth`` file makes a directory
importable, and what editable installations have put into that directory is not followed.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from protocol.version import VERSION
from tests.support.eventually import eventually
from tests.support.running import BrokerClient, bearer, clean_environment, free_port, order_body

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [
    name.rstrip("*") for name in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def elsewhere() -> dict[str, str]:
    """An environment in which nothing points at the source."""
    return {k: v for k, v in clean_environment().items() if not k.startswith("PYTHON")}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=elsewhere(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy, because setuptools leaves a ``build`` directory behind."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    for name in ("pyproject.toml", PROJECT["project"]["readme"], "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", ".", cwd=source)
    (built,) = (source / "dist").iterdir()
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run(python, "-c", ask, cwd=folder).strip())
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "packages_of_others.pth").write_text("\n".join(sorted(seen)))
    return folder / "bin"


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(metadata[0]).decode()
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == files
    for package in PACKAGES:
        assert f"{package}/py.typed" in held
    assert f"\nVersion: {VERSION}\n" in text


@pytest.fixture
def running(programs: Path, short_dir: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """``exchange up`` in an empty directory; ended by force when the test has failed."""
    home = short_dir / "elsewhere"
    home.mkdir()
    with (short_dir / "elsewhere.out").open("wb") as output:
        process = subprocess.Popen(
            [programs / "exchange", "up", "--port", str(free_port())],
            cwd=home,
            env=elsewhere(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    yield home, process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_installed_command_is_not_the_source(programs: Path, tmp_path: Path) -> None:
    ask = "import exchange, protocol; print(exchange.__file__); print(protocol.__file__)"
    for imported in run(programs / "python", "-c", ask, cwd=tmp_path).splitlines():
        assert Path(imported).is_relative_to(programs.parent)
    assert VERSION in run(programs / "exchange", "--version", cwd=tmp_path)
    assert " up " in run(programs / "exchange", "--help", cwd=tmp_path)


def test_it_comes_up_in_an_empty_directory_takes_an_order_and_stops(
    running: tuple[Path, subprocess.Popen[bytes]],
) -> None:
    home, process = running
    file = home / ".data" / "addresses.json"

    def is_up() -> bool:
        assert process.poll() is None, home.with_suffix(".out").read_text()
        return file.exists()

    eventually(is_up, 60, "exchange up")
    addresses = json.loads(file.read_text())
    with httpx.Client(base_url=addresses["url"], trust_env=False, timeout=10) as client:
        assert client.get("/health/ready").status_code == 200
        assert client.get("/docs").status_code == 200
        assert client.get("/openapi.json").json()["info"]["version"] == VERSION
        admin = bearer(addresses["admin_key"])
        registered = client.post("/register", json={"name": "Alvorada"}, headers=admin)
    with closing(BrokerClient(addresses["url"], registered.json())) as broker:
        assert broker.order(broker.place(**order_body(price=1000)))["state"] == "new"
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
