"""What of a compose file a run must not start, for others have it, too."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from payresil.backends.containers.apartness import binds, clashes


def found(config: dict[str, Any], folder: Path = Path("/nowhere")) -> list[str]:
    return [str(each) for each in clashes(config, {"shop"}, folder)]


def with_service(**described: Any) -> dict[str, Any]:
    return {"services": {"shop": {"image": "x"}, "mailer": described}}


def with_volume(**described: Any) -> dict[str, Any]:
    return {"services": {"shop": {"image": "x"}}, "volumes": {"ledger": described}}


@pytest.mark.parametrize(
    "mount",
    [
        "./data:/var/lib/postgresql",
        "/srv/data:/var/lib/postgresql:rw",
        "~/data:/x:z,rw",
        "../data:/x:z",
        {"type": "bind", "source": "/srv/data", "target": "/x"},
        {"type": "bind", "source": "./data", "target": "/x", "read_only": False},
    ],
)
def test_a_bind_that_can_be_written_is_refused_with_what_to_do(mount: Any) -> None:
    (words,) = found(with_service(volumes=[mount]))
    assert words.startswith("services.mailer.volumes.0: read the writable bind of ")
    assert "make it a named volume, which is new in each run, or add :ro" in words


@pytest.mark.parametrize(
    "mount",
    [
        "ledger:/var/lib/postgresql",
        "ledger:/var/lib/postgresql:rw",
        "/var/cache",
        "./roles.sh:/roles.sh:ro",
        "/etc/x:/x:ro,z",
        {"type": "bind", "source": "./roles.sh", "target": "/x", "read_only": True},
        {"type": "volume", "source": "ledger", "target": "/x"},
        {"type": "tmpfs", "target": "/x"},
    ],
)
def test_what_a_run_has_by_itself_or_only_reads_stays(mount: Any) -> None:
    assert found(with_service(volumes=[mount])) == []


def test_a_socket_is_refused_even_if_it_is_read_only(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "engine"))
        for source in ("./engine", "."):
            (words,) = found(with_service(volumes=[f"{source}:/s:ro"]), tmp_path)
            assert "a way to sockets, expected no socket" in words


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"driver_opts": {"type": "none", "o": "bind", "device": "/srv"}}, "driver_opts.device"),
        ({"driver_opts": {"type": "nfs", "o": "addr=nas", "device": ":/x"}}, "driver_opts.device"),
        ({"driver": "sshfs", "driver_opts": {"sshcmd": "u@host:/x"}}, "driver_opts"),
        ({"external": True, "name": "prod"}, "external"),
        ({"external": {"name": "prod"}}, "external"),
    ],
)
def test_a_volume_of_what_is_there_is_refused(options: dict[str, Any], place: str) -> None:
    (words,) = found(with_volume(**options))
    assert words.startswith(f"volumes.ledger.{place}: read ")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"name": "till-ledger", "external": False},
        {"driver": "local", "driver_opts": {"o": "size=1g"}},
        {"driver_opts": {"type": "tmpfs", "device": "tmpfs"}},
    ],
)
def test_a_volume_that_is_new_stays(options: dict[str, Any]) -> None:
    assert found(with_volume(**options)) == []


@pytest.mark.parametrize(
    ("described", "place"),
    [
        ({"volumes_from": ["shop", "container:ledger:ro"]}, "volumes_from.1"),
        ({"external_links": ["ledger:db"]}, "external_links"),
        ({"network_mode": "host"}, "network_mode"),
        ({"network_mode": "bridge"}, "network_mode"),
        ({"network_mode": "container:ledger"}, "network_mode"),
        ({"network_mode": "till_default"}, "network_mode"),
        ({"pid": "host"}, "pid"),
        ({"ipc": "container:ledger"}, "ipc"),
    ],
)
def test_containers_and_networks_of_others_are_refused(
    described: dict[str, Any], place: str
) -> None:
    (words,) = found(with_service(**described))
    assert words.startswith(f"services.mailer.{place}: read ")


@pytest.mark.parametrize(
    "described",
    [
        {"network_mode": "none"},
        {"network_mode": "service:shop"},
        {"volumes_from": ["shop:ro"]},
        {"pid": "service:shop", "ipc": "shareable"},
        {"network_mode": "host", "volumes": ["/:/host"], "profiles": ["never"]},
    ],
)
def test_what_services_of_the_file_share_stays(described: dict[str, Any]) -> None:
    assert found(with_service(**described)) == []


def test_no_network_mode_goes_with_being_a_node() -> None:
    (words,) = found({"services": {"shop": {"network_mode": "none"}}})
    assert words.startswith("services.shop.network_mode: read the network_mode 'none' of a node")


@pytest.mark.parametrize("described", [3, "x", [], None])
def test_a_service_is_a_mapping(described: Any) -> None:
    (words,) = found({"services": {"shop": {}, "mailer": described}})
    assert words.startswith("services.mailer: read ")
    assert words.endswith("expected a mapping that describes the service")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"services": 3},
        {"services": {"shop": {"volumes": 3, "volumes_from": "x"}}, "volumes": [1]},
        {"services": {"shop": {"volumes": [3, None, {}]}}, "volumes": {"a": 3, "b": None}},
    ],
)
def test_other_shapes_are_left_to_compose(content: dict[str, Any]) -> None:
    assert found(content) == []
    assert list(binds(content)) == []
