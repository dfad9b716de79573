from __future__ import annotations

from pathlib import Path

import pytest

from payresil.core.system import System
from payresil.engine.compose_file import project_notices
from payresil.engine.scenario_file import InvalidScenario
from payresil.engine.system_file import (
    check_start,
    list_flaws,
    load_system,
    missing_steps,
    system_names,
    system_path,
)
from payresil.engine.topologies import topology_of

GOOD = """\
name: mine
reference_field: order
service:
  command: [./serve, --port, "{port}"]
  environment: {DB: "{database_url}"}
  ready: /ready
  instances: 3
api:
  headers: {Authorization: "Bearer {api_token}"}
  final: {paid: succeeded, refused: declined}
  pending: [open]
  operations:
    create:
      request: POST /pay
      body: {order: "{intent}", amount: {minor: "{amount_minor}", currency: "{currency}"}}
    read: {request: "GET /pay/{payment}"}
settle: {request: GET /in-flight, zero: [open]}
reconcile: {request: POST /reconcile, headers: {Authorization: "Bearer {admin_token}"}}
books:
  books_payments: select 1
"""


DESCRIBED = (
    GOOD.replace("  instances: 3", "  metrics: /metrics")
    + """\
signals:
  traffic: requests_total
  latency: request_seconds
  saturation: queue:length
  status: code
  where: {route: [pay, read]}
logs: {time: at, level: severity, event: message, reference: order}
"""
)


def refused(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidScenario) as caught:
        load_system(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


@pytest.fixture
def mine(tmp_path: Path) -> System:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return load_system(path)


def test_the_reference_service_is_described_by_its_file() -> None:
    system = load_system("refpay")
    assert "refpay" in system_names()
    assert system.name == "refpay"
    assert system.service.instances == 2
    assert system.api.operations["create"].body["amount_minor"] == "{amount_minor}"
    assert system.settle is not None
    assert system.reconcile is not None
    assert system.api.certain == (400, 401, 403, 404, 422)
    assert system.service.list_flaws[-1] == "--list-flaws"
    assert system.signals is not None
    assert system.logs is not None


def test_a_system_of_the_users(mine: System) -> None:
    assert mine.service.command == ("./serve", "--port", "{port}")
    assert mine.api.operations["create"].body == {
        "order": "{intent}",
        "amount": {"minor": "{amount_minor}", "currency": "{currency}"},
    }
    assert mine.api.key_header == "Idempotency-Key"
    assert list_flaws(mine) == {}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: mine", "name: My System", "1:7: read 'My System', expected lower-case letters"),
        ("command: [./serve", "comand: [./serve", "4:3: read the key 'comand', expected one of"),
        ("{port}", "{prt}", "4:12: read {prt}, expected one of {python}, {host}, {port}"),
        ("{database_url}", "{database}", "5:21: read {database}, expected one of"),
        ('"{port}"', "{port}", "4:30: read a mapping, expected text"),
        ("ready: /ready", "ready: ready", "6:10: read 'ready', expected a path such as /readyz"),
        ("instances: 3", "instances: 0", "7:14: read 0, expected 1 to 64 instances"),
        ("instances: 3", "instances: three", "7:14: read 'three', expected a whole number"),
        ("{api_token}", "{admin_token}", "9:12: read {admin_token}, expected one of {intent}"),
        ("paid: succeeded", "paid: succeded", "10:17: read 'succeded', expected one of processi"),
        ("pending: [open]", "pending: [paid]", "11:12: read 'paid', expected a state that is not"),
        ("POST /pay\n", "PAY /pay\n", "14:16: read 'PAY /pay', expected a method and a path"),
        ("{intent}", "{itent}", "15:13: read {itent}, expected one of {intent}, {payment}"),
        ('"{amount_minor}"', "{amount_minor}", "15:13: read {amount_minor} without quotes, expec"),
        ("    read: {", "    reed: {", "16:5: read the key 'reed', expected one of the keys crea"),
        ("zero: [open]", "zero: []", "17:9: read no counters, expected zero, the counters to"),
        ("GET /in-flight", '"GET /{intent}"', "17:19: read {intent}, expected no placeholders"),
        ("{admin_token}", "{control}", "18:48: read {control}, expected one of {api_token}, {ad"),
        ("books_payments", "payments", "20:3: read the key 'payments', expected one of the keys"),
    ],
)
def test_each_mistake_is_located(tmp_path: Path, old: str, new: str, problem: str) -> None:
    (found,) = refused(tmp_path, GOOD.replace(old, new, 1))
    assert found.startswith(problem)


def test_metrics_and_log_lines_are_described(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(DESCRIBED, encoding="utf-8")
    system = load_system(path)
    assert system.signals is not None
    assert system.signals.traffic == "requests_total"
    assert system.signals.where == {"route": ("pay", "read")}
    assert system.logs is not None
    assert system.logs.time == "at"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  metrics: /metrics\n", "", "21:3: read no metrics, expected metrics under `service`"),
        ("requests_total", "requests total", "22:12: read 'requests total', expected the name of"),
        ("  latency: request_seconds\n", "", "22:3: read no latency, expected the key latency"),
        ("queue:length", "9", "24:15: read '9', expected the name of a metric"),
        ("status: code", 'status: "a b"', "25:11: read 'a b', expected the name of a label"),
        ("{route: [", '{"a b": [', "26:11: read 'a b', expected the name of a label"),
        ("[pay, read]", "[]", "26:18: read an empty list, expected the values that count"),
        ("[pay, read]", "pay", "26:18: read 'pay', expected a list of text"),
        ("event: message, ", "", "27:7: read no event, expected the key event, text"),
        ("event: message", "event: at", "27:42: read 'at', expected the name of a field of its"),
        ("event: message", 'event: ""', "27:42: read '', expected the name of a field of its own"),
    ],
)
def test_each_mistake_in_a_description_is_located(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    (found,) = refused(tmp_path, DESCRIBED.replace(old, new, 1))
    assert found.startswith(problem)


def test_the_nearest_name_is_offered(tmp_path: Path) -> None:
    text = GOOD.replace("{port}", "{prt}").replace("books_payments", "payments")
    port, books = refused(tmp_path, text)
    assert port.endswith("(did you mean {port}?)")
    assert books.endswith("(did you mean books_payments?)")


@pytest.mark.parametrize("name", ["refpai", "nowhere/mine.yaml", "", "..", "refpay.yaml"])
def test_a_system_that_is_not_there(name: str) -> None:
    with pytest.raises(InvalidScenario, match=r"system: read .* expected a system \(refpay"):
        load_system(name)


def test_alert_rules_beside_the_file(tmp_path: Path) -> None:
    assert refused(tmp_path, GOOD + "alerts: rules.yml\n") == [
        "21:9: read 'rules.yml', expected a file of alert rules, seen from this file"
    ]
    (tmp_path / "rules.yml").write_text("groups: []", encoding="utf-8")
    assert load_system(tmp_path / "mine.yaml").alerts == str(tmp_path / "rules.yml")


def test_the_reference_services_alerts_are_those_of_the_stack() -> None:
    alerts = load_system("refpay").alerts
    stack = Path(__file__).parents[3] / "containers" / "stack" / "prometheus" / "alerts.yml"
    assert alerts is not None
    assert stack.samefile(alerts)


def test_names_cannot_leave_the_folder_of_systems() -> None:
    assert system_path("../systems/refpay") is None
    assert system_path("refpay") is not None


def test_one_region_of_nodes_with_a_link_between_all_that_talk(mine: System) -> None:
    topology = topology_of(mine)
    assert [str(node) for node in topology.nodes] == [
        "customers", "router", "a/lb", "a/service.1", "a/service.2", "a/service.3", "a/db", "psp",
    ]  # fmt: skip
    assert len(topology.links) == len(set(topology.links)) == 3 + 3 * 3
    for selector, count in {
        "customers->router": 1,
        "router->lb": 1,
        "lb->service": 3,
        "service->db": 3,
        "service->psp": 3,
        "service.2->psp": 1,
        "psp->router": 1,
    }.items():
        assert len(topology.select_links(selector)) == count
    ends = {end for link in topology.links for end in (link.source, link.target)}
    assert ends == set(topology.nodes)


OWN = """\
name: mine
reference_field: order
needs: {database: none}
service:
  folder: .
  command: [./serve, --port, "{port}"]
  environment: {DB: "{data}/shop.db"}
  ready: /ready
  flaws:
    forgets: {does: Forgets things., environment: {FORGET: "1"}}
api:
  final: {paid: succeeded}
  operations:
    create:
      request: POST /pay
      body: {amount: "{amount_decimal}", currency: "{currency_upper}"}
    read: {request: "GET /pay/{payment}"}
    refund: {request: "POST /refund/{payment}"}
reconcile: {request: POST /reconcile, remedied: changed}
undo: {succeeded: refund}
books_from: {sqlite: "{data}/shop.db"}
books:
  books_payments: select 1
"""


COMMAND = 'folder: .\n  command: [./serve, --port, "{port}"]'
COMPOSE = "compose: compose.yaml\n  service: shop\n  port: 8000"
PROJECT = "services: {shop: {image: x}, postgres: {image: y}, mailer: {image: z}}\n"


def of_project(start: str, books: str = "request: GET /export") -> str:
    """The system file with another start, and without what only a process has."""
    text = OWN.replace('  environment: {DB: "{data}/shop.db"}\n', "")
    return text.replace(COMMAND, start).replace('sqlite: "{data}/shop.db"', books)


def test_a_service_with_its_own_database_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN, encoding="utf-8")
    system = load_system(path)
    assert system.service.folder == str(tmp_path)
    assert system.service.form == "command"
    assert system.books_from is not None
    assert system.books_from.sqlite == "{data}/shop.db"
    assert list_flaws(system) == {"forgets": "Forgets things."}
    names = [str(node) for node in topology_of(system).nodes]
    assert names == ["customers", "router", "a/lb", "a/service.1", "a/service.2", "psp"]
    assert not any("db" in str(link) for link in topology_of(system).links)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("database: none", "database: mysql", "3:19: read 'mysql', expected one of postgresql, no"),
        ('DB: "{data}/shop.db"', 'DB: "{database_url}"', "7:21: read {database_url}, expected one"),
        (
            "  flaws:\n",
            "  exposed_by: {forgts: {check: idempotency, scenario: x.yaml}}\n  flaws:\n",
            "9:16: read 'forgts', expected a flaw under `flaws` (did you mean forgets?)",
        ),
        ("folder: .", "folder: nowhere", "5:11: read 'nowhere', expected a folder, seen from"),
        ("folder: .", "folder: mine.yaml", "5:11: read 'mine.yaml', expected a folder, seen from"),
        ('command: [./serve, --port, "{port}"]', "command: []", "6:12: read no way to start it"),
        (
            "folder: .",
            "folder: .\n  image: shop:1\n  port: 80",
            "5:3: read the key folder, expecte",
        ),
        ("folder: .", "port: 80", "5:3: read the key port, expected port only together with im"),
        ("folder: .", "service: shop", "5:3: read the key service, expected service only togeth"),
        ("  ready: /ready", "  ready: /ready\n  flaw_variable: FLAW", "10:3: read the key flaws"),
        ("forgets:", "Forgets Things:", "10:5: read 'Forgets Things', expected lower-case"),
        ('{FORGET: "1"}', '{FORGET: "{forget}"}', "10:60: read {forget}, expected one of"),
        ("changed}", '""}', "19:49: read nothing, expected the counter of what it changed"),
        ("succeeded: refund", "paid: refund", "20:8: read the key 'paid', expected one of proces"),
        ("succeeded: refund", "succeeded: read", "20:19: read 'read', expected refund or cancel"),
        ("succeeded: refund", "succeeded: cancel", "20:19: read 'cancel', expected an operation"),
        ('{sqlite: "{data}/shop.db"}', "{}", "21:13: read not one source, expected either sqlite"),
        ('shop.db"}\nbooks', 'shop.db", request: GET /x}\nbooks', "21:13: read not one source"),
        ('shop.db"}\nbooks', 'shop.db", columns: {a: [b]}}\nbooks', "21:40: read the key columns"),
        ('sqlite: "{data}/shop.db"', "request: export", "21:23: read 'export', expected a method"),
        ('books_from: {sqlite: "{data}/shop.db"}\n', "", "21:1: read nowhere to read them, expect"),
    ],
)
def test_each_mistake_about_a_service_of_ones_own_is_located(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in OWN
    found = refused(tmp_path, OWN.replace(old, new, 1))
    assert found[0].startswith(problem), found


@pytest.mark.parametrize(
    ("start", "form"),
    [
        ("image: shop:1\n  port: 8080", "image"),
        (COMPOSE, "compose"),
    ],
)
def test_a_service_may_be_an_image_or_a_part_of_a_compose_project(
    tmp_path: Path, start: str, form: str
) -> None:
    (tmp_path / "compose.yaml").write_text("services: {shop: {image: x}}\n")
    path = tmp_path / "mine.yaml"
    path.write_text(of_project(start), encoding="utf-8")
    system = load_system(path)
    assert system.service.form == form
    with pytest.raises(
        InvalidScenario, match=rf"mine.yaml:5:3: read {form}, which the backend pro"
    ):
        check_start(str(path), system, "process")
    check_start(str(path), system, "docker")
    check_start(str(path), system, "attach")


@pytest.mark.parametrize(
    ("start", "problem"),
    [
        ("image: shop:1", "5:10: read no port, expected port, where it listens in its container"),
        ("image: shop:1\n  port: 0", "6:9: read 0, expected a port, 1 to 65535"),
        (
            "compose: compose.yaml\n  port: 80",
            "5:12: read no service, expected service, its name in that file",
        ),
        (
            "compose: compose.yaml\n  service: shop",
            "5:12: read no port, expected port, where it listens",
        ),
        (
            "compose: no.yaml\n  service: x\n  port: 80",
            "5:12: read 'no.yaml', expected a file, seen from",
        ),
        (f"{COMPOSE}\n  command: [x]", "8:3: read the key command, expected one way to start it"),
        (COMPOSE.replace("shop", "shpo"), "6:12: read 'shpo', expected a service of the compose"),
        (COMPOSE.replace("compose.yaml", "bad.yaml"), "5:12: read something that is no YAML"),
        (COMPOSE.replace("compose.yaml", "list.yaml"), "5:12: read a file without services"),
        (f"{COMPOSE}\n  nodes: {{ledger: 'pg:5432'}}", "8:19: read 'pg', expected a service of"),
        (f"{COMPOSE}\n  nodes: {{ledger: db}}", "8:19: read 'db', expected a service of the comp"),
        (f"{COMPOSE}\n  nodes: {{ledger: 'db:99999'}}", "8:19: read 'db:99999', expected a serv"),
        (f"{COMPOSE}\n  nodes: {{psp: 'db:5432'}}", "8:11: read the key 'psp', expected a role"),
        (f"{COMPOSE}\n  nodes: {{port: 'db:5432'}}", "8:11: read the key 'port', expected a role"),
        ("command: [./serve]\n  nodes: {a: 'db:1'}", "6:3: read the key nodes, expected nodes on"),
    ],
)
def test_a_container_that_is_half_described_is_located(
    tmp_path: Path, start: str, problem: str
) -> None:
    (tmp_path / "compose.yaml").write_text("services: {shop: {image: x}, db: {image: y}}\n")
    (tmp_path / "bad.yaml").write_text("services: {")
    (tmp_path / "list.yaml").write_text("- services\n")
    (found,) = refused(tmp_path, of_project(start))
    assert found.startswith(problem)


@pytest.mark.parametrize("placeholder", ["python", "ready_file", "data"])
def test_a_compose_project_is_given_nothing_that_is_of_processes(
    tmp_path: Path, placeholder: str
) -> None:
    (tmp_path / "compose.yaml").write_text("services: {shop: {image: x}}\n")
    start = COMPOSE + f'\n  environment: {{IT: "{{{placeholder}}}"}}'
    (found,) = refused(tmp_path, of_project(start))
    assert f"read {{{placeholder}}}, expected one of" in found


def test_services_of_the_project_are_nodes_with_links_and_placeholders(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(PROJECT)
    path = tmp_path / "mine.yaml"
    start = (
        f"{COMPOSE}\n  nodes: {{ledger: 'postgres:5432'}}"
        "\n  environment: {DATABASE_URL: 'postgresql://shop@{ledger}/shop'}"
    )
    books = 'database: "postgresql://reader@{ledger}/shop"'
    path.write_text(of_project(start, books), encoding="utf-8")
    system = load_system(path)
    topology = topology_of(system)
    assert [str(link) for link in topology.select_links("service->ledger")] == [
        "a/service.1->a/ledger",
        "a/service.2->a/ledger",
    ]
    (notice,) = project_notices(system, topology)
    assert "faults can act on a/service.1, a/service.2, a/ledger and on the links" in notice
    assert notice.endswith("; not on mailer, which service.nodes of the system file does not name")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://reader@{ledger}/shop", "read something that is no address, expected the addr"),
        ("postgresql://reader@{ledgre}/shop", "read {ledgre}, expected one of {ledger}"),
    ],
)
def test_a_database_of_the_project_is_named_by_a_node(
    tmp_path: Path, url: str, problem: str
) -> None:
    (tmp_path / "compose.yaml").write_text(PROJECT)
    start = f"{COMPOSE}\n  nodes: {{ledger: 'postgres:5432'}}"
    (found,) = refused(tmp_path, of_project(start, f'database: "{url}"'))
    assert problem in found


def test_files_of_instances_cannot_be_read_in_a_compose_project(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(PROJECT)
    (found,) = refused(tmp_path, of_project(COMPOSE, 'sqlite: "{data}/shop.db"'))
    assert "read {data}, expected no placeholders" in found


def test_a_file_that_includes_others_is_left_to_compose(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("include: [more.yaml]\nservices: {web: !reset null}\n")
    path = tmp_path / "mine.yaml"
    path.write_text(of_project(COMPOSE), encoding="utf-8")
    system = load_system(path)
    (notice,) = project_notices(system, topology_of(system))
    assert notice.endswith("to the PSP")


THEIRS = """services:
  shop: {image: x, network_mode: host}
  ledger:
    image: y
    volumes:
      - ledger:/var/lib/ledger
      - ${DATA:-./data}:/var/lib/postgresql
    volumes_from: ["container:old"]
  mailer:
    <<: &common
      external_links: [smtp]
    volumes: [{type: bind, source: /srv/mail, target: /mail}]
  idle: {profiles: [never], volumes: [".:/x"]}
  gone: !reset null
  odd: 3
  empty:
volumes:
  ledger: {driver_opts: {type: nfs, device: ":/ledger"}}
"""


def refused_project(folder: Path, compose: str, start: str = COMPOSE) -> list[str]:
    (folder / "compose.yaml").write_text(compose)
    path = folder / "mine.yaml"
    path.write_text(of_project(start), encoding="utf-8")
    system = load_system(path)
    check_start(str(path), system, "attach")  # which starts nothing of it
    with pytest.raises(InvalidScenario) as refusal:
        check_start(str(path), system, "docker")
    return [str(problem).replace(f"{folder}/", "") for problem in refusal.value.problems]


def test_what_of_a_project_is_not_its_own_is_located_before_anything_is_started(
    tmp_path: Path,
) -> None:
    found = refused_project(tmp_path, THEIRS)
    assert [problem.split(", expected")[0] for problem in found] == [
        "compose.yaml:2:34: read the network_mode 'host' of a node",
        "compose.yaml:7:9: read the writable bind of './data'",
        "compose.yaml:8:20: read 'container:old'",
        "compose.yaml:11:23: read external_links",
        "compose.yaml:12:15: read the writable bind of '/srv/mail'",
        "compose.yaml:15:8: read '3'",
        "compose.yaml:16:9: read nothing",
        "compose.yaml:18:45: read the device ':/ledger'",
    ]


@pytest.mark.parametrize(
    ("source", "environment", "dotenv"),
    [
        ("${DATA}", "", "export DATA='./data'\n"),
        ("$DATA", "\n  environment: {DATA: ./data}", "DATA=ledger\n"),
        ("${OTHER:-${DATA:-./data}}", "", ""),
        ("${OTHER:+/never}${DATA-./}data", "", "OTHER=\n"),
    ],
)
def test_variables_of_a_compose_file_are_filled_in(
    tmp_path: Path, source: str, environment: str, dotenv: str
) -> None:
    (tmp_path / ".env").write_text(dotenv)
    compose = f'services: {{shop: {{image: x, volumes: ["{source}:/data"]}}}}'
    (problem,) = refused_project(tmp_path, compose, COMPOSE + environment)
    assert problem.startswith("compose.yaml:1:39: read the writable bind of './data'")


def test_a_compose_file_that_contains_itself_is_refused(tmp_path: Path) -> None:
    (problem,) = refused_project(tmp_path, "services: {shop: &a {image: x, x-a: *a}}")
    assert "a file with a part that contains itself" in problem


def test_what_a_project_has_of_this_machine_is_said(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {shop: {image: x, volumes: ['./roles.sh:/roles.sh:ro']}}\n"
        "networks: {web: {external: true}, back: {}}\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text(of_project(COMPOSE), encoding="utf-8")
    system = load_system(path)
    check_start(str(path), system, "docker")
    mounts, networks, _ = project_notices(system, topology_of(system))
    assert mounts.endswith("of this machine, to be read only: ./roles.sh (shop)")
    assert networks.startswith("in place of the external networks web the compose project is")


def test_what_a_run_cannot_do_is_said(mine: System, tmp_path: Path) -> None:
    assert missing_steps(mine) == ()
    path = tmp_path / "own.yaml"
    path.write_text(OWN.replace("reconcile: {", "settle: {zero: [a], ").replace(
        ", remedied: changed", ""), encoding="utf-8")  # fmt: skip
    assert [words.split(" ")[1:5] for words in missing_steps(load_system(path))] == [
        ["has", "no", "reconciliation", "of"]
    ]
