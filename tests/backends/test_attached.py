"""In somebody else's Toxiproxy and PSP, only what the run put there is touched."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from payresil.backends.attached.borrowed_proxies import BorrowedProxies
from payresil.backends.attached.borrowed_psp import BorrowedPsp, NoPsp
from payresil.backends.attached.disabled_proxies import DisabledProxies
from payresil.backends.embedded.node_process import NodeProcess
from payresil.backends.embedded.own_server import OwnServer
from payresil.backends.launcher import Supervisor
from payresil.backends.links import ProxiedLinks, proxy_name
from payresil.backends.proxies import PackageProxies, ProxyState
from payresil.core.protocols import EnvironmentBroke, Toxic
from payresil.core.topology import Link, Topology

SLOW = Toxic("latency", "downstream", {"latency": 100, "jitter": 0})
LINK = Link.parse("a/service->psp")
PREFIX = "payresil-r7-"


@pytest.fixture
def port(tmp_path: Path, launcher: Supervisor) -> int:
    """The API of a Toxiproxy that belongs to somebody else."""
    server = OwnServer("payresil.toxiproxy", tmp_path / "ready.json")
    node = NodeProcess(
        "toxiproxy",
        server.program,
        launcher=launcher,
        log=tmp_path / "log",
        report=lambda *_, **__: None,
    )
    node.launch()
    node.await_ready()
    return server.port("port")


@pytest.fixture
def theirs(port: int) -> PackageProxies:
    """Their proxies: one with a toxic already, and one that is none of our business."""
    proxies = PackageProxies("127.0.0.1", port)
    for name in ("shop-to-psp", "other"):
        proxies.create(name, "127.0.0.1:1")
        proxies.add(name, "theirs", SLOW)
    return proxies


@pytest.fixture
def record(tmp_path: Path) -> DisabledProxies:
    return DisabledProxies(tmp_path / "disabled-proxies.json")


@pytest.fixture
def ours(theirs: PackageProxies, record: DisabledProxies) -> BorrowedProxies:
    return BorrowedProxies(theirs, {proxy_name(LINK): "shop-to-psp"}, PREFIX, record)


@pytest.fixture
def guard(port: int, record: DisabledProxies) -> Iterator[Callable[[], int]]:
    """A guard that waits; the call has it end, and gives its exit status."""
    with subprocess.Popen(
        [sys.executable, "-m", "payresil.backends.attached.guard",
         "127.0.0.1", str(port), PREFIX, str(record.path), "shop-to-psp"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "guarding\n"

        def end() -> int:
            process.send_signal(signal.SIGTERM)
            return process.wait(10)

        yield end
        process.kill()


def links(ours: BorrowedProxies) -> ProxiedLinks:
    made = ProxiedLinks(Topology((LINK.source, LINK.target), (LINK,)), ours)
    made.open(LINK, "")
    return made


def test_faults_come_and_go_and_toxics_of_others_stay(
    theirs: PackageProxies, ours: BorrowedProxies
) -> None:
    made = links(ours)
    with made.apply("service->psp", [SLOW]), made.apply("service->psp", [], down=True):
        state = theirs.state("shop-to-psp")
        assert not state.enabled
        assert set(state.toxics) == {"theirs", f"{PREFIX}effect-1.0"}
    assert theirs.state("shop-to-psp") == ProxyState(True, {"theirs": SLOW})


def test_healing_takes_away_what_is_ours_alone(
    theirs: PackageProxies, ours: BorrowedProxies
) -> None:
    ours.add(proxy_name(LINK), "effect-1.0", SLOW)
    ours.enable(proxy_name(LINK), False)
    theirs.enable("other", False)
    ours.reset()
    assert theirs.state("shop-to-psp") == ProxyState(True, {"theirs": SLOW})
    assert theirs.state("other") == ProxyState(False, {"theirs": SLOW})
    links(ours).heal()
    assert set(theirs.state("other").toxics) == {"theirs"}


def test_a_proxy_that_others_disable_meanwhile_stays_so_and_it_is_said(
    theirs: PackageProxies, ours: BorrowedProxies
) -> None:
    made = links(ours)
    with (
        pytest.raises(EnvironmentBroke, match="the fault was gone before it was healed"),
        made.apply("service->psp", [SLOW]),
    ):
        theirs.enable("shop-to-psp", False)
    with pytest.raises(EnvironmentBroke, match="still faulted after healing"):
        made.heal()
    assert theirs.state("shop-to-psp") == ProxyState(False, {"theirs": SLOW})


def test_toxics_of_others_are_told(ours: BorrowedProxies) -> None:
    assert ours.strangers() == {"shop-to-psp": ["theirs"]}


def test_a_proxy_that_is_missing_or_disabled_is_said(
    theirs: PackageProxies, ours: BorrowedProxies, record: DisabledProxies
) -> None:
    nowhere = BorrowedProxies(theirs, {proxy_name(LINK): "nowhere"}, PREFIX, record)
    with pytest.raises(EnvironmentBroke, match="no proxy nowhere"):
        nowhere.create(proxy_name(LINK), "")
    theirs.enable("shop-to-psp", False)
    with pytest.raises(EnvironmentBroke, match="shop-to-psp is disabled; enable it"):
        ours.create(proxy_name(LINK), "")


def test_nobody_elses_server_is_given_a_lease(ours: BorrowedProxies) -> None:
    with pytest.raises(EnvironmentBroke, match="no lease"):
        ours.renew_lease(1000)


def test_a_guard_heals_when_the_harness_is_gone(
    theirs: PackageProxies, ours: BorrowedProxies, guard: Callable[[], int]
) -> None:
    ours.add(proxy_name(LINK), "effect-1.0", SLOW)
    ours.enable(proxy_name(LINK), False)
    assert guard() == 0
    assert theirs.state("shop-to-psp") == ProxyState(True, {"theirs": SLOW})


def test_a_guard_leaves_a_proxy_disabled_that_others_have_disabled(
    theirs: PackageProxies, ours: BorrowedProxies, guard: Callable[[], int]
) -> None:
    ours.enable(proxy_name(LINK), False)
    ours.enable(proxy_name(LINK), True)
    theirs.enable("shop-to-psp", False)
    assert guard() == 0
    assert theirs.state("shop-to-psp") == ProxyState(False, {"theirs": SLOW})


class Control:
    """A PSP's control plane that has a rule of somebody else."""

    def __init__(self) -> None:
        self.rules = ["psp_lost_answers"]

    @contextmanager
    def rule(self, rule: Mapping[str, Any]) -> Iterator[str]:
        assert rule["id"] not in self.rules
        self.rules.append(rule["id"])
        yield rule["id"]
        self.rules.remove(rule["id"])

    def truth(self, table: str) -> Iterator[Mapping[str, Any]]:
        yield {"rule": f"{PREFIX}psp_lost_answers"}
        yield {"rule": "theirs"}
        yield {"rule": None}
        yield {"charge": "ch_1"}


def test_rules_of_this_run_have_names_of_their_own_at_the_psp() -> None:
    control: Any = Control()
    psp = BorrowedPsp(control, PREFIX)
    with psp.rule({"id": "psp_lost_answers", "point": "after_commit_lost"}) as name:
        assert name == "psp_lost_answers"
        assert control.rules == ["psp_lost_answers", f"{PREFIX}psp_lost_answers"]
        with pytest.raises(EnvironmentBroke, match="still has fault rules"):
            psp.heal()
    psp.heal()
    assert control.rules == ["psp_lost_answers"]
    assert [row.get("rule") for row in psp.truth("psp_attempts")] == [
        "psp_lost_answers", "theirs", None, None,
    ]  # fmt: skip


def test_of_a_psp_that_is_not_known_nothing_is_said() -> None:
    psp = NoPsp()
    assert (psp.pending(), list(psp.truth("psp_charges"))) == ({}, [])
    psp.heal()
    with pytest.raises(EnvironmentBroke, match="no control"), psp.rule({"id": "x"}):
        pass
