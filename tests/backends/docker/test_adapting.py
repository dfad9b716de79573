"""What becomes of a team's compose file before it is started."""

from __future__ import annotations

from typing import Any

import pytest

from payresil.backends.containers.adapting import Driven, Joined, adapted
from payresil.backends.containers.labels import Labels
from payresil.core.protocols import EnvironmentBroke
from payresil.core.topology import Node

LABELS = Labels("run1", "env1")
NODES = [
    Driven(Node("a", "service", 1), "shop", 8000, {"PSP_URL": "http://toxiproxy:1", "PRICE": "5$"}),
    Driven(Node("a", "service", 2), "shop", 8000, {"PSP_URL": "http://toxiproxy:2"}),
    Driven(Node("a", "db"), "postgres", 5432),
]
JOINED = Joined(
    LABELS,
    harness="net-harness",
    inner="net-a",
    address="127.0.0.1",
    ports={"a/service.1": 41, "a/service.2": 42, "a/db": 43},
    images="payresil-till",
)


def config() -> dict[str, Any]:
    """As Compose shows a resolved file."""
    return {
        "name": "till",
        "version": "3.9",
        "services": {
            "shop": {
                "build": {"context": "/till"},
                "container_name": "till",
                "depends_on": {"postgres": {"condition": "service_healthy"}},
                "deploy": {"replicas": 3, "resources": {}},
                "environment": {"PSP_URL": "https://api.stripe.test", "MODE": "live"},
                "ports": [{"published": 8000, "target": 8000}],
                "restart": "always",
            },
            "postgres": {
                "image": "postgres:18",
                "labels": ["of=till"],
                "networks": {"back": {"aliases": ["database"]}},
                "volumes": ["ledger:/var/lib/postgresql:rw"],
            },
            "mailer": {"image": "mailer:1", "ports": ["25:25"], "restart": "always"},
            "sidecar": {"image": "mailer:1", "network_mode": "service:mailer"},
        },
        "networks": {"back": {"name": "till-back"}, "wide": {"external": True, "name": "wide"}},
        "volumes": {"ledger": {"name": "till-ledger"}, "spool": None},
    }


@pytest.fixture
def made() -> dict[str, Any]:
    return adapted(config(), NODES, JOINED)


@pytest.fixture
def services(made: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = made["services"]
    return found


def test_an_instance_is_a_service_and_all_are_reached_by_its_name(services: dict[str, Any]) -> None:
    assert set(services) == {"shop", "shop-payresil-2", "postgres", "mailer", "sidecar"}
    for name in ("shop", "shop-payresil-2"):
        assert services[name]["networks"]["default"] == {"aliases": ["shop"]}
    assert services["shop-payresil-2"]["networks"]["payresil-inner"] == {"aliases": ["a-service-2"]}


def test_each_instance_is_told_its_own_addresses_over_those_of_the_file(
    services: dict[str, Any],
) -> None:
    wanted = {"PSP_URL": "http://toxiproxy:1", "PRICE": "5$$", "MODE": "live"}
    assert services["shop"]["environment"] == wanted
    assert services["shop-payresil-2"]["environment"]["PSP_URL"] == "http://toxiproxy:2"


def test_only_nodes_are_published_and_on_one_address(services: dict[str, Any]) -> None:
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    assert published == {
        "shop": ["127.0.0.1:41:8000"],
        "shop-payresil-2": ["127.0.0.1:42:8000"],
        "postgres": ["127.0.0.1:43:5432"],
    }


def test_names_that_another_start_would_have_too_are_gone(made: dict[str, Any]) -> None:
    assert "name" not in made
    assert "container_name" not in made["services"]["shop"]
    assert "name" not in made["networks"]["back"]
    assert "name" not in made["volumes"]["ledger"]
    assert made["services"]["shop"]["image"] == "payresil-till-shop:built"


def test_everything_that_is_made_says_whose_it_is(made: dict[str, Any]) -> None:
    ours = LABELS.of()
    things = [
        *made["services"].values(),
        *made["volumes"].values(),
        made["networks"]["default"],
        made["networks"]["back"],
    ]
    assert all(one["labels"].items() >= ours.items() for one in things)
    assert made["services"]["postgres"]["labels"] == {"of": "till", **LABELS.of("a/db")}
    assert "payresil.node" not in made["services"]["mailer"]["labels"]


def test_what_is_of_others_is_not_labelled(made: dict[str, Any]) -> None:
    assert made["networks"]["payresil-inner"] == {"external": True, "name": "net-a"}
    assert made["networks"]["payresil-harness"] == {"external": True, "name": "net-harness"}


def test_no_image_is_built_under_a_tag_of_the_file() -> None:
    given = config()
    given["services"]["shop"] |= {
        "build": {"context": "/till", "tags": ["till:latest"], "cache_to": ["type=local,dest=/c"]},
        "image": "till:dev",
        "pull_policy": "always",
    }
    given["services"]["mailer"] = {"image": "till:dev", "command": ["mailer"]}
    services = adapted(given, NODES, JOINED)["services"]
    for name in ("shop", "shop-payresil-2", "mailer"):
        assert services[name]["build"] == {"context": "/till"}
        assert "pull_policy" not in services[name]
    assert services["shop"]["image"] == services["shop-payresil-2"]["image"]
    assert services["shop"]["image"] == "payresil-till-shop:built"
    assert services["mailer"]["image"] == "payresil-till-mailer:built"
    assert services["postgres"]["image"] == "postgres:18"


@pytest.mark.parametrize(
    "theirs", [{"external": True, "name": "wide"}, {"external": {"name": "wide"}}]
)
@pytest.mark.parametrize("name", ["wide", "default"])
def test_a_network_of_others_is_replaced_by_one_of_the_run(name: str, theirs: Any) -> None:
    given = config()
    given["networks"][name] = theirs
    assert adapted(given, NODES, JOINED)["networks"][name] == {"labels": LABELS.of()}


def test_networks_have_no_addresses_that_another_start_would_have_too() -> None:
    given = config()
    given["networks"]["back"] = {
        "driver": "macvlan",
        "driver_opts": {
            "com.docker.network.bridge.name": "till0",
            "com.docker.network.driver.mtu": "1400",
        },
        "enable_ipv6": True,
        "internal": True,
        "ipam": {"config": [{"subnet": "172.30.0.0/24"}]},
    }
    given["services"]["shop"]["networks"] = {
        "back": {
            "ipv4_address": "172.30.0.5",
            "ipv6_address": "fd00::5",
            "aliases": ["till", "shop"],
        },
    }
    given["services"]["mailer"]["networks"] = {"back": {"ipv4_address": "172.30.0.6"}}
    given["services"]["mailer"]["mac_address"] = "02:42:ac:11:65:43"
    made = adapted(given, NODES, JOINED)
    assert made["networks"]["back"] == {
        "internal": True,
        "driver_opts": {"com.docker.network.driver.mtu": "1400"},
        "labels": LABELS.of(),
    }
    for name in ("shop", "shop-payresil-2"):
        assert made["services"][name]["networks"]["back"] == {"aliases": ["till", "shop"]}
    assert made["services"]["mailer"]["networks"] == {"back": {}, "payresil-inner": {}}
    assert "mac_address" not in made["services"]["mailer"]


def test_nodes_are_started_again_by_faults_alone(services: dict[str, Any]) -> None:
    restarts = {name: one.get("restart") for name, one in services.items()}
    assert restarts["shop"] == restarts["postgres"] == "no"
    assert restarts["mailer"] == "always"
    assert services["shop"]["deploy"] == {"resources": {}}


def test_all_reach_the_links_but_what_shares_the_network_of_another(
    services: dict[str, Any],
) -> None:
    assert services["mailer"]["networks"] == {"default": None, "payresil-inner": {}}
    assert "networks" not in services["sidecar"]
    assert services["postgres"]["networks"]["back"] == {"aliases": ["database", "postgres"]}
    assert services["postgres"]["networks"]["payresil-harness"]["priority"] > 0


def test_the_file_that_was_read_is_left_as_it_is() -> None:
    given = config()
    adapted(given, NODES, JOINED)
    assert given == config()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["services"].pop("postgres"), "has no service postgres, which is to be a/db"),
        (
            lambda c: c["services"]["shop"].update(network_mode="host"),
            "services.shop.network_mode: read the network_mode 'host' of a node",
        ),
        (
            lambda c: c["services"].update(toxiproxy={"image": "x"}),
            "services.toxiproxy: read the service toxiproxy, expected another name",
        ),
        (
            lambda c: c["volumes"].update(ledger={"external": True, "name": "prod"}),
            "volumes.ledger.external: read a volume that is external",
        ),
        (
            lambda c: c["services"]["mailer"].update(volumes=["/srv/mail:/var/mail:rw"]),
            "services.mailer.volumes.0: read the writable bind of '/srv/mail'",
        ),
    ],
)
def test_what_cannot_be_started_apart_from_others_is_refused(change: Any, words: str) -> None:
    given = config()
    change(given)
    with pytest.raises(EnvironmentBroke, match=words):
        adapted(given, NODES, JOINED)
