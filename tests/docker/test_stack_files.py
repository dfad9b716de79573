"""The stack's files agree with each other and with what payresil itself starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from payresil.backends.embedded.caddy_config import Site, balancer, router
from payresil.backends.embedded.certificates import Certificates
from payresil.backends.links import proxy_name
from payresil.core.topology import Topology
from payresil.engine.system_file import load_system
from payresil.engine.topologies import topology_of

ROOT = Path(__file__).parents[2]
STACK = ROOT / "containers" / "stack"


@pytest.fixture(scope="module")
def services(stack_file: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stack_file["services"]
    return found


@pytest.fixture(scope="module")
def topology() -> Topology:
    return topology_of(load_system("refpay"))


def by_name(links: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {link["name"]: link for link in links}


def test_nothing_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert len(published) >= 6
    assert [port for port in published if not str(port).startswith("127.0.0.1:")] == []


def test_no_service_shares_the_machines_network_or_rights(services: dict[str, Any]) -> None:
    risky = {"network_mode", "privileged", "cap_add", "pid", "devices"}
    assert [name for name, service in services.items() if risky & service.keys()] == []


def test_every_image_is_a_setting(services: dict[str, Any]) -> None:
    images = {name: service["image"] for name, service in services.items()}
    assert [name for name, image in images.items() if not image.startswith("${")] == []
    assert all("_IMAGE:-" in image for image in images.values())


def test_every_setting_has_a_default(stack_file: dict[str, Any]) -> None:
    settings = re.findall(r"\$\{[^}]*\}", json.dumps(stack_file))
    assert [setting for setting in settings if ":-" not in setting] == []


def test_what_others_wait_for_is_checked_or_a_step_that_ends(services: dict[str, Any]) -> None:
    own = "payresil:local"  # it brings a health check of its own
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[name] or own in services[name]["image"]
            if how["condition"] == "service_completed_successfully":
                assert services[name]["restart"] == "no"


def test_only_watching_is_in_the_profile(services: dict[str, Any]) -> None:
    profiles = {name: one["profiles"] for name, one in services.items() if "profiles" in one}
    assert profiles == {"prometheus": ["observe"], "grafana": ["observe"]}


def test_files_that_are_mounted_are_there(services: dict[str, Any]) -> None:
    mounted = [
        volume.split(":")[0]
        for service in services.values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    assert mounted
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def test_every_link_of_the_topology_is_a_proxy(
    topology: Topology, links: list[dict[str, Any]]
) -> None:
    assert sorted(by_name(links)) == sorted(proxy_name(link) for link in topology.links)


def test_links_listen_apart_and_lead_to_services(
    links: list[dict[str, Any]], services: dict[str, Any]
) -> None:
    assert len({link["listen"] for link in links}) == len(links)
    assert {link["upstream"].split(":")[0] for link in links} <= services.keys()


def test_services_reach_the_others_through_their_own_links(
    services: dict[str, Any], links: list[dict[str, Any]]
) -> None:
    listens = {name: link["listen"].split(":")[1] for name, link in by_name(links).items()}
    for n in (1, 2):
        environment = services[f"service-{n}"]["environment"]
        assert f"@toxiproxy:{listens[f'a.service.{n}--a.db']}/" in environment["DATABASE_URL"]
        assert environment["PSP_URL"] == f"http://toxiproxy:{listens[f'a.service.{n}--psp']}"
    published = services["toxiproxy"]["ports"]
    assert any(port.endswith(f":{listens['customers--router']}") for port in published)
    webhooks = f"--webhooks=https://toxiproxy:{listens['psp--router']}/webhooks/psp"
    assert webhooks in services["wiring"]["command"]


def test_the_psp_sends_the_events_that_the_system_file_wants(services: dict[str, Any]) -> None:
    command = services["wiring"]["command"]
    wanted = list(load_system("refpay").webhook_events)
    assert command[command.index("--events") + 1 :] == wanted


@pytest.mark.parametrize("node", ["router", "lb"])
def test_caddy_is_configured_as_payresil_does_it(node: str, links: list[dict[str, Any]]) -> None:
    certificates = Path("/certificates")
    tls = Certificates(
        certificates / "ca/ca.pem",
        certificates / "server/chain.pem",
        certificates / "server/key.pem",
    )
    site = Site(8443, 2019, Path("/tmp/caddy"))
    listens = {name: link["listen"].split(":")[1] for name, link in by_name(links).items()}
    if node == "router":
        wanted = router(site, [f"toxiproxy:{listens['router--a.lb']}"], tls)
    else:
        upstreams = [f"toxiproxy:{listens[f'a.lb--a.service.{n}']}" for n in (1, 2)]
        wanted = balancer(site, upstreams, load_system("refpay").service.ready, tls)
    for server in wanted["apps"]["http"]["servers"].values():  # in a container: every interface
        server["listen"] = [address.replace("127.0.0.1", "") for address in server["listen"]]
    assert json.loads((STACK / "caddy" / f"{node}.json").read_text()) == wanted


def test_prometheus_scrapes_every_node(services: dict[str, Any], topology: Topology) -> None:
    scraped = yaml.safe_load((STACK / "prometheus" / "prometheus.yml").read_text())
    targets = [
        (static["labels"]["node"], target.split(":")[0])
        for job in scraped["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    ]
    silent = {"customers", "a/db"}  # neither has metrics; the watcher asks the database
    assert {str(node) for node in topology.nodes} - silent <= {node for node, _ in targets}
    assert {host for _, host in targets} <= services.keys() | {"localhost"}


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    groups = yaml.safe_load((STACK / "prometheus" / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    tests = yaml.safe_load((STACK / "prometheus" / "alerts.test.yml").read_text())["tests"]
    asked = [one for test in tests for one in test["alert_rule_test"]]
    assert {one["alertname"] for one in asked if one.get("exp_alerts")} == alerts
    assert {one["alertname"] for one in asked if not one.get("exp_alerts")} == alerts


def test_the_dashboard_asks_the_provisioned_prometheus(dashboard: dict[str, Any]) -> None:
    file = STACK / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(file.read_text())["datasources"]
    wanted = {"type": source["type"], "uid": source["uid"]}
    asked = [panel["datasource"] for panel in dashboard["panels"] if panel["type"] != "row"]
    asked += [one["datasource"] for one in dashboard["annotations"]["list"]]
    assert asked
    assert all(one == wanted for one in asked)


def test_the_dashboards_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    cells = [
        (x, y)
        for panel in dashboard["panels"]
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_dashboard_asks_for_metrics_that_somebody_has(queries: list[str]) -> None:
    served = {"up", "ALERTS", "process_cpu_seconds_total", "process_open_fds"}
    served |= set(yaml.safe_load((STACK / "books.yaml").read_text()))
    served |= {"payresil_fault_active", "payresil_watched"}
    named = {name for query in queries for name in re.findall(r"\b(payresil_\w+)", query)}
    assert named
    assert named <= served


def test_own_image_settings_are_settings_of_the_stack(stack_file: dict[str, Any]) -> None:
    lines = (ROOT / "containers" / "own-image.env").read_text().splitlines()
    names = [line.split("=")[0] for line in lines if line and not line.startswith("#")]
    assert names
    assert [name for name in names if f"${{{name}:-" not in json.dumps(stack_file)] == []


@pytest.mark.parametrize(
    "script", sorted((ROOT / "containers").rglob("*.sh")), ids=lambda path: path.name
)
def test_scripts_can_be_read_and_run(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert os.access(script, os.X_OK)
