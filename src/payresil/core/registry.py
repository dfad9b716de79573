"""Open sets: faults, checkers, journeys, renderers, …, found by name.

A member is a function (or class). Its signature is its YAML schema, its docstring the
claim that reports show. A new member is one file in the set's folder; third parties
register theirs under the entry-point group ``payresil.<set>`` or with ``--import``.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload


class UnknownMember(LookupError):
    """A name that no member of the set has; says which is nearest."""


@dataclass(frozen=True)
class Member:
    """One member of an open set."""

    name: str
    call: Callable[..., Any]
    traits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def claim(self) -> str:
        """The first paragraph of the docstring, on one line."""
        paragraph = (inspect.getdoc(self.call) or "").split("\n\n")[0]
        return " ".join(paragraph.split())


class OpenSet:
    """Members of one kind by name, loaded from a package on first use."""

    def __init__(self, kind: str, package: str) -> None:
        """`kind` names one member in messages; `package` is the folder of the built-in ones."""
        self.kind = kind
        self._package = package
        self._members: dict[str, Member] = {}
        self._loaded = False
        self._loading = threading.RLock()

    def add(self, name: str, call: Callable[..., Any], **traits: Any) -> None:
        """Register a member.

        Raises:
            ValueError: when another member has this name already.
        """
        known = self._members.get(name)
        if known is not None and _origin(known.call) != _origin(call):
            raise ValueError(
                f"{self.kind} {name!r} of {call.__module__} is already defined "
                f"in {known.call.__module__}: rename one"
            )
        self._members[name] = Member(name, call, traits)

    def get(self, name: str) -> Member:
        """The member of this name.

        Raises:
            UnknownMember: when there is none.
        """
        self._load()
        if name in self._members:
            return self._members[name]
        near = difflib.get_close_matches(name, self._members, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.names())}"
        raise UnknownMember(f"no {self.kind} is called {name!r}; {hint}")

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._members)

    def members(self) -> list[Member]:
        """All members, sorted by name."""
        return [self._members[name] for name in self.names()]

    def load_if_extended(self) -> None:
        """Load the built-in members if there are others, so that a clash of names shows now.

        Raises:
            ValueError: when two members have one name.
        """
        if any(
            not each.call.__module__.startswith(self._package) for each in self._members.values()
        ):
            self._load()

    def _load(self) -> None:
        with self._loading:  # another thread must not find half a set
            self._load_once()

    def _load_once(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first, since a module may look another member up while it loads
        try:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
            for entry in importlib.metadata.entry_points(group=self._package):
                _load_entry(entry)
        except BaseException:
            self._loaded = False  # or the next look-up would find half a set
            raise


def _origin(call: Callable[..., Any]) -> tuple[str, str]:
    """Where a member is written: loading its module again may replace it, no other may."""
    return (call.__module__, call.__qualname__)


def _load_entry(entry: importlib.metadata.EntryPoint) -> None:
    try:
        entry.load()
    except Exception as error:  # whatever the module of a third party raises
        raise ImportError(
            f"the plug-in {entry.name} = {entry.value} cannot be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error


faults = OpenSet("fault", "payresil.faults")
remedies = OpenSet("remedy", "payresil.remedies")
checkers = OpenSet("checker", "payresil.checkers")
journeys = OpenSet("journey", "payresil.workloads.journeys")
renderers = OpenSet("renderer", "payresil.render")
backends = OpenSet("backend", "payresil.backends")

_SETS = (faults, remedies, checkers, journeys, renderers, backends)


def _plain(name: str) -> str:
    return name.rstrip("_")


def fault(
    *,
    evidence: Callable[..., Any],
    needs: tuple[str, ...] = (),
    bounds: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]] | None = None,
    unfelt: bool = False,
) -> Callable[..., Any]:
    """Register a fault: ``(Environment, **what YAML says) → context manager``.

    `evidence` is ``(Run, Window) → iterator of Measure | Doubt``: it shows from the tables that
    the fault bit, and doubts when it did not. `needs` names capabilities of the environment.
    `bounds` is ``(what YAML says) → iterator of (parameter, what was expected)``: it names values
    that the signature allows and the fault cannot use, when the scenario is loaded. `unfelt`:
    customers need not notice it, so that what they notice meanwhile shows other faults.
    """

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        more: dict[str, Any] = {} if bounds is None else {"bounds": bounds}
        more["unfelt"] = unfelt
        faults.add(_plain(call.__name__), call, evidence=evidence, needs=needs, **more)
        return call

    return register


def is_unfelt(fault_id: str) -> bool:
    """Whether customers need not notice the fault of this id: ``replication_lag.2``, say."""
    kind = fault_id.split(".")[0]
    return kind in faults.names() and bool(faults.get(kind).traits.get("unfelt"))


def remedy(*, needs: tuple[str, ...] = ()) -> Callable[..., Any]:
    """Register a remedy: ``(Environment, RemedyLog, **what YAML says) → None``.

    `needs` names capabilities of the environment.
    """

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        remedies.add(_plain(call.__name__), call, needs=needs)
        return call

    return register


def checker(
    *,
    kind: str,
    needs: tuple[str, ...] | list[str] = (),
    bounds: Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]] | None = None,
) -> Callable[..., Any]:
    """Register a checker: ``(Run, **what YAML says) → iterator of Finding | Measure | Doubt``.

    `kind` is ``money`` (one violation fails) or ``objective`` (against a bound);
    `needs` names that without which it cannot judge: tables, ``replication`` or ``regions`` of the
    topology, ``signals`` or ``logs`` of the system file. `bounds` is as for a fault.
    """
    if kind not in ("money", "objective"):
        raise ValueError(f"a checker is of kind money or objective, not {kind!r}")

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        more = {} if bounds is None else {"bounds": bounds}
        checkers.add(_plain(call.__name__), call, kind=kind, needs=tuple(needs), **more)
        return call

    return register


_Call = TypeVar("_Call", bound=Callable[..., Any])


@overload
def journey(call: _Call) -> _Call: ...
@overload
def journey(*, retries: bool = False, needs: tuple[str, ...] = ()) -> Callable[[_Call], _Call]: ...
def journey(
    call: _Call | None = None, *, retries: bool = False, needs: tuple[str, ...] = ()
) -> Any:
    """Register a journey: ``(PaymentClient, Random) → None``, what one customer does.

    `retries` says that it sends a payment again when no clear answer came, so that idempotency
    is put to the test. `needs` names operations that the system file must describe, beside those
    that every run needs. Both ``@journey`` and ``@journey(retries=True)`` work.
    """

    def register(call: _Call) -> _Call:
        journeys.add(_plain(call.__name__), call, retries=retries, needs=tuple(needs))
        return call

    return register if call is None else register(call)


def renderer(*, file: str | None) -> Callable[..., Any]:
    """Register a renderer: ``(Run, Verdict) → text``, written to `file` in the run folder."""

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        renderers.add(_plain(call.__name__), call, file=file)
        return call

    return register


@overload
def backend(call: _Call) -> _Call: ...
@overload
def backend(*, brings_prometheus: bool = False) -> Callable[[_Call], _Call]: ...
def backend(call: _Call | None = None, *, brings_prometheus: bool = False) -> Any:
    """Register a backend: ``(Assembly, Launcher) → context manager of Environment``.

    `brings_prometheus` says that it starts one of its own where the assembly asks for it. Both
    ``@backend`` and ``@backend(brings_prometheus=True)`` work.
    """

    def register(call: _Call) -> _Call:
        backends.add(_plain(call.__name__), call, brings_prometheus=brings_prometheus)
        return call

    return register if call is None else register(call)


def import_file(path: Path) -> None:
    """Load a Python file of the user's, so that its decorators register their members.

    Raises:
        FileNotFoundError: when there is no such file.
        ImportError: when it cannot be loaded; the cause is chained.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--import {path}: no such file")
    # two files of one name are two modules, or the second would replace the members of the first
    name = f"payresil_import_{path.stem}_{zlib.crc32(bytes(path.resolve())):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"--import {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        for members in _SETS:
            members.load_if_extended()
    except (Exception, SystemExit) as error:  # whatever the file raises
        del sys.modules[name]
        raise ImportError(f"--import {path}: {type(error).__name__}: {error}") from error
    _imported.append(path)


#: Files of the user's, for the processes of a run that must load them too.
_imported: list[Path] = []


def imported_files() -> tuple[Path, ...]:
    """The files that `import_file` loaded, oldest first."""
    return tuple(dict.fromkeys(_imported))
