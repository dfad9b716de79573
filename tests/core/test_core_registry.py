from __future__ import annotations

import importlib
import importlib.metadata
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from payresil.core import registry
from payresil.core.registry import OpenSet, UnknownMember, import_file


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OpenSet]:
    """Makes an open set over a package on disk; `SET` in its modules is the set."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, **modules: str) -> OpenSet:
        folder = tmp_path / name
        folder.mkdir()
        members = OpenSet("thing", name)
        (folder / "__init__.py").write_text("")
        for module, source in modules.items():
            (folder / f"{module}.py").write_text(dedent(source))
        importlib.invalidate_caches()
        monkeypatch.setitem(sys.modules, "the_set", members)
        return members

    return make


@pytest.fixture(autouse=True)
def _forget_imported() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("things", "payresil_import_")):
            del sys.modules[name]


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> OpenSet:
    """A set of faults of its own, so that imported files leave no trace."""
    faults = OpenSet("fault", "payresil.systems")  # a package without modules
    monkeypatch.setattr(registry, "faults", faults)
    monkeypatch.setattr(registry, "_SETS", (faults,))
    return faults


MEMBER = """
    import the_set

    def {name}():
        '''Does {name}.

        At length.'''

    the_set.add("{name}", {name}, colour="red")
"""


def test_members_are_found_in_the_package_on_first_use(package: Callable[..., OpenSet]) -> None:
    members = package("things1", one=MEMBER.format(name="one"), two=MEMBER.format(name="two"))
    assert members.names() == ["one", "two"]
    assert members.get("two").claim == "Does two."
    assert members.get("two").traits == {"colour": "red"}


def test_another_thread_never_finds_half_a_set(package: Callable[..., OpenSet]) -> None:
    members = package(
        "slowly",
        a="import the_set\nthe_set.add('first', int)\nthe_set.seen.set()\nthe_set.go_on.wait(5)\n",
        b="import the_set\nthe_set.add('last', str)\n",
    )
    members.seen, members.go_on = threading.Event(), threading.Event()
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(members.names())) for _ in range(2)]
    threads[0].start()
    assert members.seen.wait(5)
    threads[1].start()
    members.go_on.set()
    for thread in threads:
        thread.join(5)
    assert found == [["first", "last"]] * 2


def test_a_name_that_does_not_exist_says_which_is_nearest(
    package: Callable[..., OpenSet],
) -> None:
    members = package("things2", idempotency=MEMBER.format(name="idempotency"))
    with pytest.raises(UnknownMember, match=r"no thing is called 'idempotence'; did you mean"):
        members.get("idempotence")
    with pytest.raises(UnknownMember, match="there are idempotency"):
        members.get("zzz")


def test_two_members_of_one_name_are_an_error() -> None:
    members = OpenSet("thing", "payresil.systems")

    def first() -> None: ...
    def second() -> None: ...

    members.add("same", first)
    members.add("same", first)  # its module was loaded again
    with pytest.raises(ValueError, match="already defined"):
        members.add("same", second)


def test_a_set_that_could_not_be_loaded_is_not_taken_for_a_whole_one(
    package: Callable[..., OpenSet],
) -> None:
    members = package("things3", a=MEMBER.format(name="a"), b="raise RuntimeError('broken')")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            members.names()


def test_a_plug_in_that_cannot_be_loaded_is_named(
    package: Callable[..., OpenSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = package("things4")
    entry = importlib.metadata.EntryPoint("mine", "no_such_module_of_mine", "things4")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_group: [entry])
    with pytest.raises(ImportError, match=r"plug-in mine = no_such_module_of_mine cannot be"):
        members.names()


def test_a_file_of_the_users_registers_its_members(tmp_path: Path, sets: OpenSet) -> None:
    path = tmp_path / "mine.py"
    path.write_text(_fault("storm"))
    import_file(path)
    assert sets.get("storm").claim == "A storm."
    import_file(path)  # twice is as good as once


def test_two_files_of_one_name_do_not_replace_each_other(tmp_path: Path, sets: OpenSet) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(_fault("storm"))
    import_file(tmp_path / "a" / "mine.py")
    with pytest.raises(ImportError, match="already defined"):
        import_file(tmp_path / "b" / "mine.py")


def test_a_name_that_payresil_has_already_is_refused_at_once(
    tmp_path: Path, package: Callable[..., OpenSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = package("things5", storm=MEMBER.format(name="storm"))
    monkeypatch.setattr(registry, "faults", members)
    monkeypatch.setattr(registry, "_SETS", (members,))
    path = tmp_path / "mine.py"
    path.write_text(_fault("storm"))
    with pytest.raises(ImportError, match=r"mine\.py: ValueError: thing 'storm'.*rename one"):
        import_file(path)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("import nowhere_x", "nowhere_x"),
    ],
)
def test_a_file_that_cannot_be_loaded_says_why(
    tmp_path: Path, sets: OpenSet, source: str, message: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(ImportError, match=message):
        import_file(path)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        import_file(tmp_path / "nowhere.py")
    folder = tmp_path / "folder.py"
    folder.mkdir()
    with pytest.raises(FileNotFoundError):
        import_file(folder)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ImportError, match="not a Python file"):
        import_file(tmp_path / "notes.txt")


def test_a_checker_is_of_one_of_two_kinds() -> None:
    with pytest.raises(ValueError, match="money or objective"):
        registry.checker(kind="safety")


def test_decorators_keep_traits_and_drop_a_trailing_underscore(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("faults", "checkers", "journeys"):
        monkeypatch.setattr(registry, name, OpenSet(name, "payresil.systems"))

    def evidence(*_: Any) -> None: ...

    @registry.fault(evidence=evidence, needs=("links",))
    def pass_(env: Any) -> None:
        """Passes."""

    @registry.checker(kind="money", needs=["attempts"])
    def sums(run: Any) -> None:
        """Sums."""

    @registry.journey(retries=True, needs=("refund",))
    def shopper(client: Any, random: Any) -> None:
        """Shops."""

    @registry.journey
    def looker(client: Any, random: Any) -> None:
        """Looks."""

    traits = {"evidence": evidence, "needs": ("links",), "unfelt": False}
    assert registry.faults.get("pass").traits == traits
    assert registry.checkers.get("sums").traits == {"kind": "money", "needs": ("attempts",)}
    assert registry.journeys.get("shopper").traits == {"retries": True, "needs": ("refund",)}
    assert registry.journeys.get("looker").traits == {"retries": False, "needs": ()}


def _fault(name: str) -> str:
    return dedent(f"""
        from payresil.core import registry

        @registry.fault(evidence=lambda run, window: ())
        def {name}(environment):
            '''A {name}.'''
    """)


@pytest.mark.parametrize(
    ("fault_id", "unfelt"),
    [
        ("replication_lag", True),
        ("replication_lag.2", True),
        ("standby_loss", True),
        ("region_loss", False),
        ("nothing_of_the_kind", False),
    ],
)
def test_what_customers_need_not_notice_is_known_by_the_id_of_a_step(
    fault_id: str, unfelt: bool
) -> None:
    assert registry.is_unfelt(fault_id) is unfelt
