"""deploy/kubernetes against the schemas of Kubernetes and against the code that it runs."""

import re
import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from exchange.cli import GROUPS
from exchange.commands.run import Worker
from protocol.version import VERSION
from runtime.http import health as http_health
from runtime.http.server import GRACE_SECONDS
from runtime.process.health import Health
from runtime.process.settings import Settings, load
from runtime.redis.genesis import REQUIRED
from tests.support.kubernetes import (
    FOLDER,
    OVERLAYS,
    Manifest,
    containers,
    kustomization,
    labels,
    named,
    of_kind,
    overlay,
    pod,
    port_numbers,
    secret_keys,
    selects,
    workloads,
)

OLDEST, NEWEST = "1.32", "1.37"
WITHOUT_SCHEMA = {"ScaledObject"}
HTTP = {"ingress", "readapi"}
WORKERS = {worker.value for worker in Worker} - {"http"}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(request.param)


def settings_of(manifests: list[Manifest]) -> dict[str, str]:
    data: dict[str, str] = named(manifests, "ConfigMap", "exchange-settings")["data"]
    return data


def ours(manifests: list[Manifest]) -> list[Manifest]:
    """The Deployments of workers."""
    return [m for m in of_kind(manifests, "Deployment") if m["metadata"]["name"] in WORKERS]


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_is_what_the_release_of_kubernetes_takes(
    manifests: list[Manifest], version: str
) -> None:
    for manifest in manifests:
        if manifest["kind"] not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl to compare with")
@pytest.mark.parametrize("name", OVERLAYS)
def test_kubectl_makes_the_same_of_an_overlay(name: str) -> None:
    command = ["kubectl", "kustomize", str(FOLDER / "overlays" / name)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs, rendered = list(yaml.safe_load_all(text)), overlay(name)
    assert sorted(theirs, key=_identity) == sorted(rendered, key=_identity)


def _identity(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def test_a_new_manifest_does_not_stop_a_store() -> None:
    for store in of_kind(overlay("local"), "StatefulSet"):
        assert store["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_no_two_manifests_are_the_same_object(manifests: list[Manifest]) -> None:
    names = [(m["kind"], m["metadata"]["name"]) for m in manifests]
    assert len(names) == len(set(names))


def test_every_file_is_listed_by_the_kustomization_beside_it() -> None:
    folders = {path.parent for path in FOLDER.rglob("*.yaml")}
    assert len(folders) == 4
    for folder in folders:
        content = kustomization(folder)
        listed = [name for name in content["resources"] if name.endswith(".yaml")]
        listed += [patch["path"] for patch in content.get("patches", ())]
        there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
        assert sorted(listed) == sorted(there), folder


def test_every_worker_runs_a_command_there_is(manifests: list[Manifest]) -> None:
    assert {deployment["metadata"]["name"] for deployment in ours(manifests)} == WORKERS
    for deployment in ours(manifests):
        (container,) = pod(deployment)["containers"]
        assert container["args"] == ["run", deployment["metadata"]["name"]]
    (migrate,) = pod(named(manifests, "Deployment", "persister"))["initContainers"]
    assert migrate["args"] == ["migrate"]
    assert "migrate" in GROUPS["Run"]


def test_every_variable_is_a_setting_with_a_value_that_fits(manifests: list[Manifest]) -> None:
    load(Settings, settings_of(manifests))
    known = {f"EXCHANGE_{name.upper()}" for name in Settings.__struct_fields__}
    assert set(settings_of(manifests)) <= known
    for deployment in ours(manifests):
        for container in containers(deployment):
            assert {variable["name"] for variable in container["env"]} <= known
            assert container["envFrom"] == [{"configMapRef": {"name": "exchange-settings"}}]


def test_only_http_processes_have_the_admin_key(manifests: list[Manifest]) -> None:
    holders = {
        deployment["metadata"]["name"]
        for deployment in ours(manifests)
        for container in containers(deployment)
        if any(variable["name"] == "EXCHANGE_ADMIN_KEY" for variable in container["env"])
    }
    assert holders == HTTP


def test_ports_are_those_of_the_settings(manifests: list[Manifest]) -> None:
    settings = load(Settings, settings_of(manifests))
    assert settings.health_port is not None
    for deployment in ours(manifests):
        is_http = deployment["metadata"]["name"] in HTTP
        port = settings.port if is_http else settings.health_port
        assert list(port_numbers(deployment).values()) == [port]
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/port"] == str(port)
        assert annotations["prometheus.io/path"] == "/metrics"


def test_every_probe_asks_a_path_there_is_on_a_port_there_is(manifests: list[Manifest]) -> None:
    class Nothing:
        """Paths are known before a context is used."""

    of_http = {path for _, path in http_health.create(Nothing()).operations}  # type: ignore[arg-type]
    for deployment in ours(manifests):
        (container,) = pod(deployment)["containers"]
        probes = {word: container[word]["httpGet"] for word in PROBES if word in container}
        assert {"livenessProbe", "readinessProbe"} <= set(probes)
        for probe in probes.values():
            assert probe["port"] in port_numbers(deployment)
            if deployment["metadata"]["name"] in HTTP:
                assert probe["path"] in of_http
            else:
                assert Health().answer(probe["path"])[0] != 404
        assert probes["livenessProbe"]["path"] == "/health/live"
        # All HTTP processes have the same Redis; one that does not reach it answers brokers itself.
        is_http = deployment["metadata"]["name"] in HTTP
        ready = "/health/live" if is_http else "/health/ready"
        assert probes["readinessProbe"]["path"] == ready
        # Nothing answers in an HTTP process before it serves, so only it needs time to start.
        assert ("startupProbe" in probes) == is_http


def test_a_pod_has_time_to_finish_what_it_has_begun(manifests: list[Manifest]) -> None:
    for deployment in of_kind(manifests, "Deployment"):
        (container,) = pod(deployment)["containers"]
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod(deployment)["terminationGracePeriodSeconds"] > pause + GRACE_SECONDS
        assert (pause > 0) == (deployment["metadata"]["name"] in HTTP | {"gateway"})


def test_images_have_a_tag_and_ours_is_this_release(manifests: list[Manifest]) -> None:
    for workload in workloads(manifests):
        for container in containers(workload):
            name, _, tag = container["image"].partition(":")
            assert tag not in {"", "latest"}, container["image"]
            if "args" in container and container["args"][0] in {"run", "migrate"}:
                assert (name, tag) == ("mini-exchange", VERSION)


def test_no_pod_can_do_more_than_it_must(manifests: list[Manifest]) -> None:
    """What the level `restricted` of the pod security standards asks, and a disk that is read."""
    namespace = named(manifests, "Namespace", "mini-exchange")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for workload in workloads(manifests):
        spec = pod(workload)
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        # A number: Kubernetes cannot see whether the name of a user of an image is root.
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any("hostPath" in volume for volume in spec.get("volumes", ()))
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


def test_no_service_becomes_a_setting(manifests: list[Manifest]) -> None:
    """Kubernetes makes ``INGRESS_PORT`` of a Service, and of one that is called exchange it would
    make ``EXCHANGE_PORT``."""
    for workload in workloads(manifests):
        assert pod(workload)["enableServiceLinks"] is False


def test_every_selector_takes_the_pods_of_its_own_workload_and_no_other(
    manifests: list[Manifest],
) -> None:
    made = {w["metadata"]["name"]: w for w in workloads(manifests)}
    for workload in made.values():
        assert selects(workload["spec"]["selector"], labels(workload))
    for manifest in of_kind(manifests, "Service", "PodDisruptionBudget"):
        selector: Any = manifest["spec"]["selector"]
        if manifest["kind"] == "Service":
            selector = {"matchLabels": selector}
        taken = [name for name, workload in made.items() if selects(selector, labels(workload))]
        assert taken == [manifest["metadata"]["name"]], manifest["kind"]
    for manifest in of_kind(manifests, "Service"):
        for port in manifest["spec"]["ports"]:
            numbers = port_numbers(made[manifest["metadata"]["name"]])
            assert numbers[port["targetPort"]] == port["port"]


def test_who_runs_more_than_once_keeps_one_while_nodes_are_drained(
    manifests: list[Manifest],
) -> None:
    budgets = {m["metadata"]["name"] for m in of_kind(manifests, "PodDisruptionBudget")}
    once = {
        deployment["metadata"]["name"]
        for deployment in of_kind(manifests, "Deployment")
        if deployment["spec"].get("replicas") == 1
    }
    assert once == {"calendar"}
    assert budgets == (WORKERS | {"gateway"}) - once


def test_a_new_persister_starts_when_the_old_ones_are_gone(manifests: list[Manifest]) -> None:
    strategies = {d["metadata"]["name"]: d["spec"]["strategy"] for d in ours(manifests)}
    assert strategies["persister"] == {"type": "Recreate"}
    for name in WORKERS - {"persister", "calendar"}:
        assert strategies[name]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_redis_keeps_what_it_has_answered() -> None:
    """The memory is enough for a rewrite of its log beside the data."""
    redis = named(overlay("local"), "StatefulSet", "redis")
    (container,) = pod(redis)["containers"]
    given = dict(zip(container["args"][1::2], container["args"][2::2], strict=True))
    for name, value in REQUIRED.items():
        assert given[f"--{name}"] == value
    gibibytes = int(given["--maxmemory"].removesuffix("gb"))
    limit = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert limit > 2 * gibibytes
    (claim,) = redis["spec"]["volumeClaimTemplates"]
    assert {m["name"]: m["mountPath"] for m in container["volumeMounts"]} == {
        claim["metadata"]["name"]: "/data"
    }
    assert redis["spec"]["replicas"] == 1


def test_every_secret_that_is_read_is_made_on_the_page(manifests: list[Manifest]) -> None:
    page = (FOLDER.parents[1] / "docs" / "how-to" / "run-on-kubernetes.md").read_text()
    made = {
        (name, key)
        for name, literals in re.findall(
            r"create secret generic (\S+) \\\n((?: +--from-literal=.*\n)+)", page
        )
        for key in re.findall(r"--from-literal=([\w-]+)=", literals)
    }
    assert set(secret_keys(manifests)) <= made
    assert made == {pair for name in OVERLAYS for pair in secret_keys(overlay(name))}
