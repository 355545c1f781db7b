"""docker-compose.yml and its neighbours, as far as they can be held true without an engine."""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from exchange.cli import GROUPS
from exchange.commands.run import Worker
from ingress.bodies import BATCH_BYTES_MAX
from runtime.process.settings import Settings
from runtime.redis.genesis import REQUIRED

ROOT = Path(__file__).parents[3]
NODES = ("redis-1", "redis-2", "redis-3")
WATCHERS = ("prometheus", "grafana")
WORKERS = ("ingress", "readapi", "matcher", "persister", "notifier", "calendar")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


def test_every_worker_is_a_service_that_runs_a_command_there_is(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for worker in WORKERS:
        assert services[worker]["command"] == ["run", worker]
    assert {*WORKERS, "http"} == {worker.value for worker in Worker}
    assert services["migrate"]["command"] == ["migrate"]
    assert "migrate" in GROUPS["Run"]


def test_every_variable_is_one_that_the_settings_know(compose: dict[str, Any]) -> None:
    known = {f"EXCHANGE_{name.upper()}" for name in Settings.__struct_fields__}
    for worker in (*WORKERS, "migrate"):
        assert set(compose["services"][worker]["environment"]) <= known


def test_redis_runs_with_the_settings_that_workers_insist_on(compose: dict[str, Any]) -> None:
    command = compose["services"]["redis"]["command"]
    given = dict(zip(command[1::2], command[2::2], strict=True))
    for name, value in REQUIRED.items():
        assert given[f"--{name}"] == value


def test_a_node_of_the_cluster_runs_with_the_same_settings(compose: dict[str, Any]) -> None:
    wanted = {**REQUIRED, "cluster-enabled": "yes", "cluster-require-full-coverage": "no"}
    for name in NODES:
        node = compose["services"][name]
        assert node["profiles"] == ["cluster"]
        assert node["environment"] == {"NODE": name}
        for option, value in wanted.items():
            assert f"--{option} {value}" in node["command"][-1]
    former = compose["services"]["form-cluster"]
    assert set(former["depends_on"]) == set(NODES)
    assert former["command"] == ["form-cluster"]


def test_services_have_health_checks_grace_and_volumes(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name in (*WORKERS, "redis", *NODES, "postgres", "gateway", *WATCHERS):
        assert services[name]["healthcheck"]["test"], name
    for name in (*WORKERS, "redis", *NODES, "postgres"):
        assert services[name]["stop_grace_period"], name
    with_volumes = ("redis", *NODES, "postgres", "prometheus")
    volumes = [v for n in with_volumes for v in services[n]["volumes"]]
    named = {v.split(":")[0] for v in volumes if not v.startswith("./")}
    assert named == set(compose["volumes"])


def test_only_the_gateway_and_the_dashboard_have_a_port_so_that_everything_else_scales(
    compose: dict[str, Any],
) -> None:
    with_ports = [name for name, service in compose["services"].items() if "ports" in service]
    assert with_ports == ["gateway", "grafana"]
    assert compose["services"]["grafana"]["ports"] == ["127.0.0.1:${GRAFANA_PORT:-3000}:3000"]
    assert not any("container_name" in service for service in compose["services"].values())


def test_files_that_are_mounted_or_copied_exist(compose: dict[str, Any]) -> None:
    for name in ("gateway", *WATCHERS):
        for volume in compose["services"][name]["volumes"]:
            source = volume.split(":")[0]
            assert (ROOT / source).is_file() or source in compose["volumes"], source
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source


def test_the_gateway_passes_to_services_that_exist(compose: dict[str, Any]) -> None:
    text = (ROOT / "deploy" / "gateway.conf").read_text()
    named = set(re.findall(r"^\s+(?:GET|HEAD|default)\s+(\w+);", text, re.MULTILINE))
    assert named == {"ingress", "readapi"} <= set(compose["services"])
    assert f"client_max_body_size {BATCH_BYTES_MAX // 1024}k;" in text
    assert "location = /metrics { return 404; }" in text
    # Without these two the WebSocket of the feed ends at the gateway.
    assert "proxy_set_header Upgrade $http_upgrade;" in text
    assert "proxy_set_header Connection $connection_header;" in text


def test_the_image_is_built_from_the_pins_of_the_core_alone() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert set(re.findall(r"constraints[\w-]*\.txt", text)) == {"constraints-production.txt"}
    assert re.search(r"pip install .*--require-hashes -r /src/constraints-production\.txt", text)
    assert "--no-deps" in re.findall(r"pip install .* /src$", text, re.MULTILINE)[0]


def test_nothing_that_the_image_is_built_from_is_kept_out_of_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {
        name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    needed |= {
        "pyproject.toml",
        "constraints-production.txt",
        project["project"]["readme"],
        "LICENSE",
    }
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {name for name in needed for pattern in ignored if fnmatch(name, pattern)} == set()
    assert {".git", ".venv", ".data", "tests"} <= set(ignored)
