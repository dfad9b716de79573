"""The image's programs, outside an image."""

from __future__ import annotations

import http.server
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import certificates
import cluster
import entrypoint
import healthcheck
import pytest
import requirements


@pytest.fixture
def server() -> Iterator[int]:
    """Answers 200 at ``/well`` and 503 elsewhere; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/well" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving.server_port
        serving.shutdown()
        thread.join()


def test_the_first_argument_is_the_role() -> None:
    assert entrypoint.chosen(["psp", "--memory"], {}) == ("psp", ["--memory"])


def test_a_role_in_the_environment_leaves_all_arguments_to_it() -> None:
    given = ["--host=0.0.0.0"]
    assert entrypoint.chosen(given, {"PAYRESIL_ROLE": "toxiproxy"}) == ("toxiproxy", given)


@pytest.mark.parametrize("arguments", [[], ["servise"], ["--help"]])
def test_what_is_no_role_is_answered_with_those_there_are(arguments: list[str]) -> None:
    with pytest.raises(ValueError, match="service, psp, toxiproxy, caddy, postgres, locust-worker"):
        entrypoint.chosen(arguments, {})


@pytest.mark.parametrize("role", [role for role in entrypoint.ROLES if role != "postgres"])
def test_given_options_come_last_so_that_they_win(role: str) -> None:
    assert entrypoint.ROLES[role](["--seed", "7"])[-2:] == ["--seed", "7"]


@pytest.mark.parametrize(
    ("options", "kept"), [([], True), (["--memory"], False), (["--data=/elsewhere"], False)]
)
def test_the_psp_keeps_its_state_unless_told_where(options: list[str], kept: bool) -> None:
    assert ("/var/lib/payresil/psp" in entrypoint.ROLES["psp"](options)) is kept


def test_a_database_is_not_made_without_an_owners_password(tmp_path: Path) -> None:
    environment = {"PGDATA": str(tmp_path / "data")}
    with pytest.raises(cluster.ClusterError, match=r"root|POSTGRES_PASSWORD"):
        cluster.prepared(environment, tmp_path)
    assert not (tmp_path / "data").exists()


def test_the_servers_options_come_last_so_that_they_win(tmp_path: Path) -> None:
    argv = cluster.server(tmp_path, tmp_path, ["-c", "shared_buffers=1GB"])
    assert argv[-1] == "shared_buffers=1GB"
    assert "shared_buffers=64MB" in argv


def test_what_answers_200_is_well(server: int) -> None:
    healthcheck.get(server, "/well")


def test_what_answers_otherwise_is_not(server: int) -> None:
    with pytest.raises(healthcheck.Unhealthy, match="503"):
        healthcheck.get(server, "/ill")


def test_what_does_not_answer_is_not(server: int) -> None:
    with pytest.raises(healthcheck.Unhealthy, match="does not answer"):
        healthcheck.get(1, "/well")


def test_a_server_without_ready_file_does_not_serve_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(healthcheck, "RUN", tmp_path)
    (tmp_path / "role").write_text("service")
    assert healthcheck.main() == 1
    assert "does not serve yet" in capsys.readouterr().out


def test_health_is_asked_of_the_port_that_the_server_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: int
) -> None:
    monkeypatch.setattr(healthcheck, "RUN", tmp_path)
    (tmp_path / "ready.json").write_text(json.dumps({"port": server}))
    (tmp_path / "role").write_text("toxiproxy")
    assert healthcheck.main() == 1  # it answers /version with 503
    monkeypatch.setitem(healthcheck.CHECKS, "toxiproxy",
                        lambda: healthcheck.get(healthcheck._ready("port"), "/well"))  # fmt: skip
    assert healthcheck.main() == 0


def test_the_entry_point_and_the_health_check_know_the_same_roles() -> None:
    assert healthcheck.CHECKS.keys() <= entrypoint.ROLES.keys()
    assert healthcheck.RUN == entrypoint.RUN
    serves_nothing = entrypoint.ROLES.keys() - healthcheck.CHECKS.keys()
    assert serves_nothing == {"locust-worker", "payresil", "certificates", "wiring"}


def test_certificates_are_made_once(tmp_path: Path) -> None:
    ca, server = tmp_path / "ca", tmp_path / "server"
    ca.mkdir()
    server.mkdir()
    assert certificates.make(ca, server, ["localhost", "127.0.0.1"])
    first = (server / "key.pem").read_bytes()
    assert stat.S_IMODE(os.stat(server / "key.pem").st_mode) == 0o600
    assert not certificates.make(ca, server, ["localhost"])
    assert (server / "key.pem").read_bytes() == first


def test_certificates_of_a_start_that_was_cut_short_are_made_anew(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("half a k")
    (tmp_path / "chain.pem").write_text("half a c")
    assert certificates.make(tmp_path, tmp_path, ["localhost"])
    assert "half" not in (tmp_path / "chain.pem").read_text()
    assert "half" not in (tmp_path / "key.pem").read_text()


def test_requirements_are_those_of_the_project() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    plain = requirements.requirements(pyproject, with_build=False)
    assert any(one.startswith("locust") for one in plain)
    assert not any(one.startswith("hatchling") for one in plain)
    building = requirements.requirements(pyproject, with_build=True)
    assert any(one.startswith("hatchling") for one in building)
