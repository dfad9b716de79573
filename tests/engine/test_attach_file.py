"""Attach files are read as strictly as scenarios; secrets stay out of them, hosts are allowed."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import pytest
from asyncpg import connect_utils

from payresil.core.attachment import Attached
from payresil.core.problems import InvalidScenario
from payresil.core.topology import SelectorError
from payresil.engine.attach_file import load_attachment
from payresil.engine.attached_rules import attached_topology, impossible, notices
from payresil.engine.pipeline import prepare
from payresil.engine.refusal import Refusal
from payresil.engine.scenario_file import load_scenario
from payresil.engine.system_file import load_system

AT = """\
customers: https://shop.test:8443
budget: {requests: 1000}
ca_file: ca.pem
admin: http://127.0.0.1:5000
toxiproxy:
  url: http://localhost:8474
  links: {service->psp: shop-to-psp, customers->service: front}
psp: {control: "http://[::1]:9000"}
metrics: {service.1: "http://127.0.0.1:5000/metrics"}
allow: [shop.test, db.test]
secrets: {api_token: SHOP_TOKEN, control_token: PSP_TOKEN, database_url: SHOP_BOOKS}
"""

SHOWN_NOWHERE = ("very-secret", "control-secret", "audit:", "user:pw", "sk_live")

SCENARIO = """\
name: attached
claim: It holds.
system: refpay
workload: {rate: 10/s, duration: 20s, journeys: {checkout: 1}}
faults:
  - {at: 4s, duration: 2s, latency: {link: service->psp, delay: 1s}}
  - {at: 4s, duration: 2s, psp_lost_answers: {share: 30%}}
checks: [idempotency]
"""


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "very-secret")
    monkeypatch.setenv("PSP_TOKEN", "control-secret")
    monkeypatch.setenv("SHOP_BOOKS", "postgresql://audit:password@db.test:5432/shop")
    monkeypatch.delenv("MISSING", raising=False)


def load(folder: Path, text: str = AT) -> Attached:
    (folder / "ca.pem").write_text("")
    (folder / "at.yaml").write_text(text, encoding="utf-8")
    return load_attachment(folder / "at.yaml", load_system("refpay"))


def refused(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidScenario) as caught:
        load(folder, text)
    return [line.removeprefix(f"{folder / 'at.yaml'}:") for line in str(caught.value).splitlines()]


def test_what_an_attach_file_says(tmp_path: Path) -> None:
    attached = load(tmp_path)
    assert attached.file.capabilities == {"links", "psp_rules"}
    assert attached.file.ca_file == str(tmp_path / "ca.pem")
    assert {str(link): name for link, name in attached.proxies.items()} == {
        "a/service->psp": "shop-to-psp", "customers->a/service": "front",
    }  # fmt: skip
    assert attached.secrets["api_token"] == "very-secret"
    assert not any(word in repr(attached) for word in SHOWN_NOWHERE)


def test_its_topology_is_what_it_names(tmp_path: Path) -> None:
    topology = attached_topology(load(tmp_path).file)
    assert {str(link) for link in topology.links} == {"a/service->psp", "customers->a/service"}
    assert {str(node) for node in topology.nodes} == {
        "customers", "a/service", "a/service.1", "psp",
    }  # fmt: skip
    assert topology.select_links("service->psp")
    with pytest.raises(SelectorError):
        topology.select_links("service->db")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("budget: {requests: 1000}\n", "", "1:1: read no budget, expected the key budget"),
        ("requests: 1000", "requests: 0", "2:20: read 0, expected a number of requests, at least"),
        ("allow: [shop.test, db.test]", "allow: [db.test]", "1:12: read the host shop.test, expec"),
        ("allow: [shop.test, db.test]", "allow: [shop.test]", "11:74: read the host db.test, expe"),
        ("shop.test:8443", "user:pw@shop.test:8443", "1:12: read an address with a password"),
        ("https://shop.test", "ftp://shop.test", "1:12: read 'ftp://shop.test:8443', expected an"),
        ("127.0.0.1:5000\n", "10.0.0.1:5000\n", "4:8: read the host 10.0.0.1, expected an addre"),
        ("localhost:8474", "169.254.169.254:8474", "6:8: read the host 169.254.169.254, expected"),
        ("[::1]", "psp.test", "8:16: read the host psp.test, expected an address on this machine"),
        ('127.0.0.1:5000/metrics"', 'other.test"', "9:22: read the host other.test, expected"),
        ("service->psp:", "service-psp:", "7:11: read 'service-psp', expected a link such as"),
        ("customers->service:", "a/service->psp:", "7:38: read 'a/service->psp', expected each li"),
        ("service.1:", "'service 1':", "9:11: read 'service 1', expected a node such as"),
        ("ca.pem", "no.pem", "3:10: read 'no.pem', expected a PEM file"),
        ("api_token: SHOP", "api_tokn: SHOP", "11:11: read the key 'api_tokn', expected one of"),
        ("SHOP_TOKEN", "MISSING", "11:22: read MISSING, which is not set, expected MISSING to be"),
        ("SHOP_TOKEN", "sk_live-4f", "11:22: read something that is no name, expected the name o"),
        (", control_token: PSP_TOKEN", "", "11:10: read no control_token, expected control_token"),
        (", database_url: SHOP_BOOKS", "", "11:10: read no database_url, expected database_url"),
        ("SHOP_BOOKS", "SHOP_TOKEN", "11:74: read something that is no address of one h"),
    ],
)
def test_each_mistake_is_located_and_no_secret_shown(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in AT
    found = refused(tmp_path, AT.replace(old, new, 1))
    assert len(found) == 1, found
    assert found[0].startswith(problem), found
    assert not any(word in found[0] for word in SHOWN_NOWHERE)


#: What asyncpg would connect to is not, or not only, the host that a URL is usually read to have.
SEVERAL_HOSTS = (
    "postgresql://u@127.0.0.1:5432,prod:5432/x",
    "postgresql://u@prod,127.0.0.1/x",
    "postgresql://u@[prod]:5432@127.0.0.1/x",
    "postgresql://u@prod@127.0.0.1/x",
    "postgresql://u@127.0.0.1%2Cprod/x",
    "postgresql://u@127.0.0.1/x?host=prod",
    "postgresql://u@127.0.0.1/x?service=prod",
    "postgresql:///x?host=prod",
    "postgresql://u@/x?host=127.0.0.1,prod",
    "postgresql:///x?service=prod",
    "postgresql:///x",
    "postgresql://u@127.0.0.1:p/x",
)


@pytest.mark.parametrize("url", SEVERAL_HOSTS)
def test_a_database_is_at_one_host_and_at_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SHOP_BOOKS", url)
    (found,) = refused(tmp_path, AT)
    assert found.startswith("11:74: read something that is no address of one host, expected")
    assert "prod" not in found


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "DB.test"])
def test_the_host_that_was_checked_is_all_that_is_contacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    (tmp_path / "services").write_text("[prod]\nhost=prod\n")
    monkeypatch.setenv("PGHOST", "prod")
    monkeypatch.setenv("PGSERVICE", "prod")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    monkeypatch.setenv("SHOP_BOOKS", f"postgresql://u:a%40b@{host}:5433/x?sslmode=disable")
    url = load(tmp_path).secrets["database_url"]
    parse = connect_utils._parse_connect_arguments
    nothing = dict.fromkeys(set(signature(parse).parameters) - {"dsn"})
    settings = {"statement_cache_size": 0, "max_cached_statement_lifetime": 0}
    addresses, *_ = parse(**{**nothing, **settings, "max_cacheable_statement_size": 0, "dsn": url})
    assert addresses == [(host.strip("[]"), 5433)]


def test_a_service_whose_books_are_in_its_files_cannot_be_joined(tmp_path: Path) -> None:
    (tmp_path / "at.yaml").write_text("customers: http://127.0.0.1:1\nbudget: {requests: 9}\n")
    shop = load_system(Path("examples/flask-shop/system.yaml"))
    with pytest.raises(InvalidScenario, match="flask-shop, which keeps its books in files"):
        load_attachment(tmp_path / "at.yaml", shop)


def test_what_cannot_be_done_is_said_before_the_run(tmp_path: Path) -> None:
    load(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO.replace("latency: {link: service->psp, delay: 1s}",
                                     "crash: {node: service}"), encoding="utf-8")  # fmt: skip
    at = tmp_path / "at.yaml"
    with pytest.raises(Refusal, match=r"s\.yaml:6:5: read crash on a system that runs already, .*"
                                      "payresil did not start its nodes"):  # fmt: skip
        prepare(path, backend="attach", at=at, out=tmp_path)
    plan = prepare(path, backend="attach", at=at, out=tmp_path, explaining=True)
    assert sum("cannot: " in words for words in plan.warnings) == 1


def test_a_scenario_that_can_be_run(tmp_path: Path) -> None:
    load(tmp_path)
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    plan = prepare(path, backend="attach", at=tmp_path / "at.yaml", out=tmp_path)
    assert plan.attached is not None
    assert not impossible(plan.scenario, plan.attached.file)
    assert any("hit everybody" in words for words in plan.warnings)
    with pytest.raises(Refusal, match="belong together"):
        prepare(path, backend="attach", out=tmp_path)
    with pytest.raises(Refusal, match="belong together"):
        prepare(path, at=tmp_path / "at.yaml", out=tmp_path)
    with pytest.raises(Refusal, match="cannot be started with a flaw"):
        prepare(
            path, backend="attach", at=tmp_path / "at.yaml", flaw="key-per-attempt", out=tmp_path
        )


def test_a_budget_that_will_not_do_and_a_psp_that_is_not_known_are_said(tmp_path: Path) -> None:
    psp = 'psp: {control: "http://[::1]:9000"}\n'
    attached = load(tmp_path, AT.replace("1000", "100").replace(psp, ""))
    path = tmp_path / "s.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    words = list(notices(load_scenario(path), attached.file))
    assert words[0].startswith("about 220 payments are planned, and the budget leaves 80 requests")
    assert words[1].startswith("nothing is known of what the PSP did")
    budget = attached.file.budget
    assert (budget.of_customers, budget.of_probes, budget.of_audit) == (80, 10, 10)
