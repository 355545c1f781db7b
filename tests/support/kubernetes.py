"""The manifests of deploy/kubernetes, rendered, and what Kubernetes would make of them.

There is no cluster and no kustomize here. :func:`render` knows the few words of kustomize that our
files use and refuses every other one, so that it cannot misread them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("local", "managed")
KNOWN_WORDS = {
    *("apiVersion", "kind", "namespace", "resources", "components", "patches", "images"),
}
WITHOUT_NAMESPACE = {"Namespace"}

Manifest = dict[str, Any]


def kustomization(folder: Path) -> Manifest:
    """Fails on a word of kustomize that :func:`render` does not know."""
    content: Manifest = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(content) <= KNOWN_WORDS, f"{folder}: {set(content) - KNOWN_WORDS}"
    return content


def render(folder: Path) -> list[Manifest]:
    """All manifests of a kustomization: what ``kubectl kustomize`` prints, in another order."""
    content = kustomization(folder)
    manifests: list[Manifest] = []
    for name in content.get("resources", ()):
        path = (folder / name).resolve()
        manifests += render(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    for name in content.get("components", ()):
        component = (folder / name).resolve()
        manifests += render(component)
        _patch(manifests, component)
    for manifest in manifests:
        if "namespace" in content and manifest["kind"] not in WITHOUT_NAMESPACE:
            manifest["metadata"]["namespace"] = content["namespace"]
        for container in containers(manifest):
            for image in content.get("images", ()):
                if container["image"] == image["name"]:
                    container["image"] = f"{image['name']}:{image['newTag']}"
    return manifests


def _patch(manifests: list[Manifest], component: Path) -> None:
    """A component changes what the kustomization that names it has."""
    for patch in kustomization(component).get("patches", ()):
        target = patch["target"]
        assert set(target) == {"kind", "name"}
        chosen = [
            manifest
            for manifest in of_kind(manifests, target["kind"])
            if re.fullmatch(target["name"], manifest["metadata"]["name"])
        ]
        assert chosen, patch
        change = yaml.safe_load((component / patch["path"]).read_text())["spec"]
        assert set(change.values()) == {None}, "only fields that are taken away"
        for manifest in chosen:
            for field in change:
                del manifest["spec"][field]


def overlay(name: str) -> list[Manifest]:
    return render(FOLDER / "overlays" / name)


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [m for m in of_kind(manifests, kind) if m["metadata"]["name"] == name]
    return found


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    """Everything that makes pods."""
    return [manifest for manifest in manifests if "template" in manifest.get("spec", ())]


def pod(workload: Manifest) -> Manifest:
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: Manifest) -> dict[str, str]:
    """Those of its pods."""
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def containers(manifest: Manifest) -> list[Manifest]:
    """Of its pods, with those that run before."""
    if "template" not in manifest.get("spec", ()):
        return []
    spec = pod(manifest)
    return [*spec.get("initContainers", ()), *spec["containers"]]


def port_numbers(workload: Manifest) -> dict[str, int]:
    return {p["name"]: p["containerPort"] for c in containers(workload) for p in c.get("ports", ())}


def selects(selector: Manifest, of_pod: dict[str, str]) -> bool:
    """Whether a label selector takes a pod. An empty one takes all."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In"
        if of_pod.get(expression["key"]) not in expression["values"]:
            return False
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= of_pod.items()


def may_talk(manifests: list[Manifest], source: Manifest, target: Manifest, port: int) -> bool:
    """Whether the NetworkPolicies let a pod of ``source`` reach ``port`` of a pod of ``target``,
    both of this namespace. An address block takes no pod: none of ours is outside of it by
    number, and a policy that would need it to is wrong."""
    policies = of_kind(manifests, "NetworkPolicy")
    return _lets(policies, "Egress", "to", source, target, port) and _lets(
        policies, "Ingress", "from", target, source, port
    )


def _lets(
    policies: list[Manifest], way: str, peer_word: str, of: Manifest, other: Manifest, port: int
) -> bool:
    chosen = [
        policy["spec"]
        for policy in policies
        if way in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], labels(of))
    ]
    if not chosen:
        return True
    rules = [rule for spec in chosen for rule in spec.get(way.lower(), ())]
    return any(_rule_lets(rule, peer_word, other, port) for rule in rules)


def _rule_lets(rule: Manifest, peer_word: str, other: Manifest, port: int) -> bool:
    ports = [entry["port"] for entry in rule.get("ports", ())]
    if ports and port not in ports:
        return False
    peers = rule.get(peer_word, ())
    return not peers or any(
        set(peer) == {"podSelector"} and selects(peer["podSelector"], labels(other))
        for peer in peers
    )


def secret_keys(manifests: list[Manifest]) -> Iterator[tuple[str, str]]:
    """Each name and key of a Secret that a container reads."""
    for manifest in manifests:
        for container in containers(manifest):
            for variable in container.get("env", ()):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference:
                    yield reference["name"], reference["key"]
