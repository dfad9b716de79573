"""The process: how it starts, what it says, how it ends."""

from __future__ import annotations

import json
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Make = Callable[..., Any]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "payresil.toxiproxy", *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_it_says_when_it_is_ready(launch: Make) -> None:
    server = launch("--seed", "42")
    assert server.ready == {"port": server.port, "seed": 42}
    assert server.ok("GET", "/version")
    (line,) = [line for line in server.log() if line["event"] == "serving"]
    assert (line["seed"], line["host"]) == (42, "127.0.0.1")
    assert line["ts"].endswith("Z")


def test_without_a_seed_it_draws_one_and_says_so(launch: Make) -> None:
    assert launch().ready["seed"] != launch().ready["seed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(launch: Make, upstream: Make, number: int) -> None:
    server = launch()
    body = {"name": "p", "upstream": upstream().address}
    host, port = server.ok("POST", "/proxies", body)["listen"].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        server.process.send_signal(number)
        assert client.recv(1) == b""
    assert server.process.wait(20) == 0
    assert server.log()[-1]["event"] == "stopped"


def test_a_request_under_way_does_not_keep_it(launch: Make) -> None:
    server = launch()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"POST /proxies HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        assert server.stop() == 0


def test_a_config_file_is_populated(launch: Make, tmp_path: Path) -> None:
    config = tmp_path / "proxies.json"
    entry = {"name": "p", "upstream": "127.0.0.1:9", "listen": "127.0.0.1:0"}
    config.write_text(json.dumps([entry, {**entry, "name": "q", "enabled": False}]))
    shown = launch("--config", str(config)).ok("GET", "/proxies")
    assert [(name, proxy["enabled"]) for name, proxy in shown.items()] == [
        ("p", True),
        ("q", False),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        ("{", "unexpected EOF"),
        ('[{"name": "p"}]', "missing required field: upstream at proxy 1"),
        ('[{"name": "p", "upstream": "a:1", "listen": "b"}]', "missing port in address"),
    ],
)
def test_a_bad_config_file_ends_it(tmp_path: Path, content: str | None, reason: str) -> None:
    config = tmp_path / "proxies.json"
    if content is not None:
        config.write_text(content)
    ended = run("--port", "0", "--config", str(config))
    assert ended.returncode == 2
    line = json.loads(ended.stderr.splitlines()[-1])
    assert line["event"] == "bad_config"
    assert reason in line["reason"]


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run("--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    line = json.loads(ended.stderr.splitlines()[-1])
    assert line["event"] == "cannot_listen"
    assert "in use" in line["reason"]
    assert "Traceback" not in ended.stderr


def test_a_ready_file_that_cannot_be_written(tmp_path: Path) -> None:
    ended = run("--port", "0", "--ready-file", str(tmp_path / "none" / "ready"))
    assert ended.returncode == 2
    assert json.loads(ended.stderr.splitlines()[-1])["event"] == "bad_ready_file"


@pytest.mark.parametrize(
    "arguments",
    [["--port", "99999"], ["--port", "x"], ["--lease-ttl-ms", "0"], ["--nope"], ["--seed", "a"]],
)
def test_usage_errors(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert "error:" in ended.stderr


def test_a_lease_may_be_armed_at_start(launch: Make) -> None:
    server = launch("--lease-ttl-ms", "60000")
    assert server.ok("GET", "/lease")["armed"]


def test_two_seeds_draw_the_same_lots_twice(launch: Make, upstream: Make) -> None:
    address = upstream().address

    def hits(seed: str) -> list[int]:
        server = launch("--seed", seed)
        shown = server.ok("POST", "/proxies", {"name": "p", "upstream": address})
        body = {"type": "noop", "name": "t", "toxicity": 0.5}
        server.ok("POST", "/proxies/p/toxics", body)
        host, port = shown["listen"].split(":")
        counts = []
        for _ in range(12):
            with socket.create_connection((host, int(port)), timeout=20) as client:
                client.sendall(b"x")
                assert client.recv(1) == b"x"
            counts.append(server.ok("GET", "/stats")["p"]["toxics"]["t"]["connections"])
        return counts

    assert hits("1") == hits("1") != hits("2")


def test_it_survives_running_out_of_files(launch: Make, upstream: Make) -> None:
    server = launch()
    shown = server.ok("POST", "/proxies", {"name": "p", "upstream": upstream().address})
    host, port = shown["listen"].split(":")
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (40, 40))
    clients = [socket.create_connection((host, int(port)), timeout=20) for _ in range(40)]
    server.wait_for(lambda: "accept_failed" in str(server.log()) or dial_failed(server))
    for client in clients:
        client.close()
    server.wait_for(lambda: works(host, int(port)))
    assert server.stop() == 0


def dial_failed(server: Any) -> bool:
    return "dial_failed" in str(server.log())


def works(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=20) as client:
        try:
            client.sendall(b"x")
            return client.recv(1) == b"x"
        except OSError:
            return False


def test_importing_the_options_is_light() -> None:
    code = (
        "import sys; import payresil.toxiproxy.options; "
        "sys.exit('starlette' in sys.modules or 'uvloop' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
