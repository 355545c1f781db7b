"""Who may talk to whom in deploy/kubernetes, and how requests and metrics find their way."""

import ipaddress
import re

import pytest

from ingress.bodies import BATCH_BYTES_MAX
from notifier.addresses import is_allowed
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
PUBLIC = ("8.8.8.8", "151.101.1.69", "2606:4700::1111")
NOT_PUBLIC = (
    *("0.0.0.0", "10.1.2.3", "100.64.1.1", "127.0.0.1", "169.254.169.254", "172.31.0.1"),
    *("192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "fd00::1", "fe80::1", "ff02::1"),
)


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
    blocks = [peer["ipBlock"] for peer in found["notifier-to-brokers"]]
    for text in PUBLIC + NOT_PUBLIC:
        address = ipaddress.ip_address(text)
        assert is_allowed(address, allow_loopback=False) == (text in PUBLIC), text
        reached = any(
            address in ipaddress.ip_network(block["cidr"])
            and not any(address in ipaddress.ip_network(each) for each in block["except"])
            for block in blocks
        )
        assert reached == (text in PUBLIC), text


def test_from_outside_come_brokers_and_prometheus_alone(manifests: list[Manifest]) -> None:
    come = set()
    for policy in of_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", ()):
            for peer in rule["from"]:
                assert "ipBlock" not in peer
                if "namespaceSelector" in peer:
                    (where,) = peer["namespaceSelector"]["matchLabels"].values()
                    come |= {
                        (where, workload["metadata"]["name"])
                        for workload in workloads(manifests)
                        if selects(policy["spec"]["podSelector"], labels(workload))
                    }
    assert come == {("ingress-nginx", "gateway"), *(("monitoring", name) for name in WORKERS)}


def test_a_managed_store_is_reached_at_an_address_that_somebody_has_written() -> None:
    """Those that are written are of the block for examples, so nothing is open by mistake."""
    examples = ipaddress.ip_network("192.0.2.0/24")
    for name in ("workers-to-redis", "workers-to-postgres"):
        (rule,) = named(overlay("managed"), "NetworkPolicy", name)["spec"]["egress"]
        (peer,) = rule["to"]
        assert ipaddress.ip_network(peer["ipBlock"]["cidr"]).subnet_of(examples)  # type: ignore[arg-type]


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
    assert f"client_max_body_size {BATCH_BYTES_MAX // 1024}k;" in text
    assert "location = /metrics { return 404; }" in text
    alive = re.findall(r"location = (/gateway/\S+) ", text)
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
