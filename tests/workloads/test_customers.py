"""Locust's client as a transport: what comes back is whole, and what does not has a name."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("session_script.py")


def replies(url: str, ca_file: str | None, *modes: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), url, ca_file or "", *modes],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("tls", [False, True])
def test_every_kind_of_answer(open_shop: Any, tls: bool) -> None:
    shop = open_shop(tls=tls)
    whole = ["ok", "decline", "processing", "chunked", "until-close", "gzip", "500", "404", "302"]
    errors = {
        "drop": "closed", "cut": "malformed", "reset": "closed", "garbage": "malformed",
        "strange": "malformed", "hang": "timeout",
    }  # fmt: skip
    *found, control = replies(shop.url, shop.ca_file, *whole, *errors, "ok")
    for reply in found[: len(whole)]:
        assert reply["error"] is None, reply
        assert json.loads(reply["body"])["reference"] == f"r%2F1/{reply['mode']}"
    assert [reply["status"] for reply in found[: len(whole)]] == [
        201, 402, 202, 201, 201, 201, 500, 404, 302,
    ]  # fmt: skip
    for reply in found[len(whole) : -1]:
        assert (reply["status"], reply["error"]) == (None, errors[reply["mode"]])
        assert reply["waited"] == (reply["mode"] == "hang")
    again = found[-1]
    assert (again["status"], again["replayed"]) == (201, "true")
    seen = json.loads(control)["seen"]
    assert [one["key"] for one in seen] == [*whole, *errors, "ok"]  # nothing was sent twice
    assert {one["path"] for one in seen} == {"/pay%2Fments?a=%26"}


def test_a_certificate_nobody_vouches_for_is_refused(open_shop: Any) -> None:
    shop = open_shop(tls=True)
    (reply, _) = replies(shop.url, None, "ok")
    assert (reply["status"], reply["error"]) == (None, "tls")


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        (reply, _) = replies(f"http://127.0.0.1:{taken.getsockname()[1]}", None, "ok")
    assert (reply["status"], reply["error"]) == (None, "refused")
