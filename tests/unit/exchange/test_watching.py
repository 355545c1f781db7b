"""The dashboard, the alerts and their provisioning, as far as they can be held true without an
engine that runs containers. tests/contract/test_metrics.py holds them to a running exchange."""

import re
from typing import Any

import pytest
import yaml

from tests.support.watching import DEPLOY, dashboard, expressions, rules

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())


def provisioned(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DEPLOY / "grafana" / name).read_text())
    return content


def test_every_panel_asks_the_data_source_that_is_provisioned() -> None:
    (source,) = provisioned("datasource.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    shown = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert len(shown) > 15
    for panel in shown:
        assert panel["datasource"] == {"type": "prometheus", "uid": source["uid"]}, panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"], panel["title"]


def test_panels_have_names_of_their_own_and_cover_no_other() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert {x for x, _ in cells} == set(range(24))


def test_the_dashboard_has_no_variable_that_somebody_must_choose() -> None:
    assert dashboard()["templating"]["list"] == []
    for expression in expressions():
        assert set(re.findall(r"\$\w+", expression)) <= {"$__rate_interval"}, expression
        for opening, closing in ("()", "[]", "{}"):
            assert expression.count(opening) == expression.count(closing), expression


def test_grafana_finds_its_files_where_they_are_mounted() -> None:
    grafana = COMPOSE["services"]["grafana"]
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    (provider,) = provisioned("dashboards.yml")["providers"]
    shown = mounted["./deploy/grafana/exchange.json"]
    assert shown.rpartition("/")[0] == provider["options"]["path"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == shown
    for name, place in (("datasource.yml", "datasources"), ("dashboards.yml", "dashboards")):
        target = mounted[f"./deploy/grafana/{name}"]
        assert target.startswith(f"/etc/grafana/provisioning/{place}/")


def test_prometheus_asks_every_worker_on_the_port_on_which_it_answers() -> None:
    services = COMPOSE["services"]
    content = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    mounted = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    assert set(content["rule_files"]) <= set(mounted)
    asked = {}
    for job in content["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        assert found["names"] == [job["job_name"]]
        asked[job["job_name"]] = str(found["port"])
    workers = [
        name for name, service in services.items() if service.get("command", [""])[0] == "run"
    ]
    assert asked.keys() == set(workers)
    for name in workers:
        environment = services[name]["environment"]
        is_http = name in ("ingress", "readapi")
        variable = "EXCHANGE_PORT" if is_http else "EXCHANGE_HEALTH_PORT"
        assert asked[name] == environment[variable], name


def test_watching_is_left_out_unless_it_is_asked_for() -> None:
    for name in ("prometheus", "grafana"):
        assert COMPOSE["services"][name]["profiles"] == ["metrics"]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_it_means(rule: dict[str, Any]) -> None:
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")
    assert re.fullmatch(r"[0-9]+[sm]", rule.get("for", "0s"))
    page = (DEPLOY.parent / "docs" / "how-to" / "watch-it.md").read_text()
    assert f"| `{rule['alert']}` |" in page
