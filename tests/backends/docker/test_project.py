"""What Compose is told of a run that starts a team's project."""

from __future__ import annotations

from payresil.backends.containers.project import Driven, variables
from payresil.core.topology import Node

LEDGER = Driven(Node("a", "db"), "ledger", 5432)
SHOPS = [
    Driven(Node("a", "service", n), "shop", 8080, {"PSP_URL": f"http://toxiproxy:{n}"})
    for n in (1, 2)
]


def test_variables_stand_for_what_the_first_instance_is_told() -> None:
    told = variables({"HOME": "/h", "PSP_URL": "https://api.stripe.test"}, [LEDGER, *SHOPS], None)
    assert told == {"HOME": "/h", "PSP_URL": "http://toxiproxy:1"}


def test_the_platform_of_the_settings_is_that_of_the_project() -> None:
    told = variables({"DOCKER_DEFAULT_PLATFORM": "linux/amd64"}, SHOPS, "linux/arm64")
    assert told["DOCKER_DEFAULT_PLATFORM"] == "linux/arm64"
