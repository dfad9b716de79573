"""Where links are when their proxies are in a container: inside by name, outside published."""

from __future__ import annotations

from payresil.backends.containers.networks import alias, network_key
from payresil.backends.containers.places import InNetworks
from payresil.core.topology import Link, Node, Topology

CUSTOMERS, TO_DB = Link.parse("customers->router"), Link.parse("a/service.1->a/db")
PLACES = InNetworks(Topology((), (CUSTOMERS, TO_DB)))


def test_every_link_has_a_port_of_its_own() -> None:
    assert PLACES.listen(CUSTOMERS) == "0.0.0.0:20001"
    assert PLACES.listen(TO_DB) == "0.0.0.0:20002"
    assert PLACES.customers_port == 20001


def test_nodes_find_toxiproxy_and_customers_what_is_published() -> None:
    PLACES.customers_address = "127.0.0.1:40000"
    assert PLACES.reached(TO_DB, "[::]:20002") == "toxiproxy:20002"
    assert PLACES.reached(CUSTOMERS, "[::]:20001") == "127.0.0.1:40000"


def test_a_node_is_in_the_network_of_its_region() -> None:
    keys = {name: network_key(Node.parse(name)) for name in ("a/db", "b/lb", "psp", "router")}
    assert keys == {"a/db": "a", "b/lb": "b", "psp": "psp", "router": "ingress"}
    assert alias("a/service.1") == "a-service-1"
