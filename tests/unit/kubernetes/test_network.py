"""Who may talk to whom in deploy/kubernetes, and how requests and metrics find their way."""

import ipaddress
import re

import pytest

from tests.support.kubernetes import (
    OVERLAYS,
    Manifest,
    labels,
    may_talk,
    named,
    of_kind,
    overlay,
    port_numbers,
    selects,
    workloads,
)

WORKERS = ("ingress", "readapi", "matcher", "persister", "notifier", "calendar")
STORES = ("redis", "postgres")


@pytest.fixture(scope="module", params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return overlay(request.param)


def test_nobody_talks_to_anybody_but_as_it_is_meant(manifests: list[Manifest]) -> None:
    made = {workload["metadata"]["name"]: workload for workload in workloads(manifests)}
    lines = {
        (source, target)
        for source, of in made.items()
        for target, other in made.items()
        for port in port_numbers(other).values()
        if may_talk(manifests, of, other, port)
    }
    meant = {("gateway", "ingress"), ("gateway", "readapi")}
    meant |= {(worker, store) for worker in WORKERS for store in STORES if store in made}
    assert lines == meant


def test_policies_take_pods_there_are_and_open_ports_they_have(manifests: list[Manifest]) -> None:
    for policy in of_kind(manifests, "NetworkPolicy"):
        spec = policy["spec"]
        taken = [w for w in workloads(manifests) if selects(spec["podSelector"], labels(w))]
        assert taken, policy["metadata"]["name"]
        for rule in spec.get("ingress", ()):
            numbers = {entry["port"] for entry in rule["ports"]}
            for workload in taken:
                assert numbers == set(port_numbers(workload).values()), policy["metadata"]["name"]


def test_only_the_notifier_reaches_the_internet_and_no_private_address(
    manifests: list[Manifest],
) -> None:
    found = {
        policy["metadata"]["name"]: rule["to"]
        for policy in of_kind(manifests, "NetworkPolicy")
        for rule in policy["spec"].get("egress", ())
        if any(peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" for peer in rule.get("to", ()))
    }
    assert list(found) == ["notifier-to-brokers"]
    policy = named(manifests, "NetworkPolicy", "notifier-to-brokers")
    taken = [w for w in workloads(manifests) if selects(policy["spec"]["podSelector"], labels(w))]
    assert [workload["metadata"]["name"] for workload in taken] == ["notifier"]
    excepted = [
        ipaddress.ip_network(network)
        for peer in found["notifier-to-brokers"]
        for network in peer["ipBlock"]["except"]
    ]
    for text in ("10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "fd00::1", "fe80::1"):
        address = ipaddress.ip_address(text)
        assert any(address in network for network in excepted), text


def test_the_gateway_passes_to_services_there_are(manifests: list[Manifest]) -> None:
    text = named(manifests, "ConfigMap", "gateway")["data"]["default.conf"]
    passed = {
        name: int(port) for name, port in re.findall(r"server (\w+):(\d+);", text, re.MULTILINE)
    }
    services = {m["metadata"]["name"]: m["spec"] for m in of_kind(manifests, "Service")}
    assert passed == {name: services[name]["ports"][0]["port"] for name in ("ingress", "readapi")}
    by_method = dict(re.findall(r"^ +(GET|HEAD|default) +(\w+);", text, re.MULTILINE))
    assert by_method == {"GET": "readapi", "HEAD": "readapi", "default": "ingress"}
    assert "proxy_next_upstream off;" in text
    alive = re.findall(r"location = (/\S+) ", text)
    (container,) = named(manifests, "Deployment", "gateway")["spec"]["template"]["spec"][
        "containers"
    ]
    for word in ("livenessProbe", "readinessProbe"):
        assert [container[word]["httpGet"]["path"]] == alive


def test_the_ingress_leads_to_the_gateway(manifests: list[Manifest]) -> None:
    (ingress,) = of_kind(manifests, "Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = named(manifests, "Service", path["backend"]["service"]["name"])
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert path["backend"]["service"]["port"]["name"] in ports
    assert [rule["host"]] == ingress["spec"]["tls"][0]["hosts"]
