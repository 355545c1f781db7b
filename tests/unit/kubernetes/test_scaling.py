"""What makes more of a worker in deploy/kubernetes."""

from typing import Any

import pytest

from tests.support.kubernetes import OVERLAYS, Manifest, named, of_kind, overlay
from tests.support.watching import metrics_of
from tests.unit.docs.test_reference_pages import declared

PARTITIONED = {"matcher", "persister", "notifier"}
WANTED = {"scaleTargetRef", "minReplicaCount", "maxReplicaCount", "advanced", "triggers"}


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(request.param)


def test_http_processes_are_scaled_by_their_processor(manifests: list[Manifest]) -> None:
    scalers = of_kind(manifests, "HorizontalPodAutoscaler")
    assert {scaler["metadata"]["name"] for scaler in scalers} == {"ingress", "readapi"}
    for scaler in scalers:
        name = scaler["metadata"]["name"]
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        (container,) = named(manifests, "Deployment", name)["spec"]["template"]["spec"][
            "containers"
        ]
        # The share is one of what is requested, and a number of replicas would fight with it.
        assert "cpu" in container["resources"]["requests"]
        assert "replicas" not in named(manifests, "Deployment", name)["spec"]


def test_workers_with_partitions_are_scaled_by_what_waits_for_them() -> None:
    """KEDA's manifests have no schema in the package, so the words that they use are held here."""
    manifests = overlay("managed")
    scalers = of_kind(manifests, "ScaledObject")
    assert {scaler["metadata"]["name"] for scaler in scalers} == PARTITIONED
    settings = named(manifests, "ConfigMap", "exchange-settings")["data"]
    for scaler in scalers:
        spec = scaler["spec"]
        assert scaler["apiVersion"] == "keda.sh/v1alpha1"
        assert set(spec) == WANTED
        name = scaler["metadata"]["name"]
        assert spec["scaleTargetRef"] == {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": name,
        }
        # Another number in the Deployment would be set again by every `kubectl apply`.
        assert "replicas" not in named(manifests, "Deployment", name)["spec"]
        by_hand = named(overlay("local"), "Deployment", name)["spec"]["replicas"]
        assert spec["minReplicaCount"] == by_hand == 2
        assert spec["maxReplicaCount"] <= int(settings["EXCHANGE_PARTITIONS"])
        for trigger in spec["triggers"]:
            _hold_trigger(trigger)


def _hold_trigger(trigger: dict[str, Any]) -> None:
    assert trigger["type"] == "prometheus"
    metadata = trigger["metadata"]
    assert set(metadata) == {"serverAddress", "query", "threshold"}
    assert isinstance(metadata["threshold"], str)
    assert float(metadata["threshold"]) > 0
    kinds = {name: kind for name, kind, _ in declared()}
    (metric,) = metrics_of(metadata["query"])
    if kinds[metric] == "gauge":
        # Every HTTP process shows it, so the sum is over partitions and not over processes.
        assert metadata["query"] == f"sum(max by (partition) ({metric}))"
    else:
        assert metadata["query"] == f"sum(rate({metric}[1m]))"
