"""What the sets promise each other: an environment, its links, its PSP."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from payresil.core.attachment import Attached
from payresil.core.system import System
from payresil.core.topology import Link, Node, Topology


class EnvironmentBroke(Exception):
    """A part could not be started or controlled: exit 4. Says which part and what it last said."""


class BackupDamaged(EnvironmentBroke):
    """Backups do not hold what they must: a file was changed, or a part of the log is missing."""


class Unreachable(Exception):
    """An operator cannot get through to a part; says to which and how it failed."""


@dataclass(frozen=True, slots=True)
class Toxic:
    """One effect on one direction of a link."""

    type: str
    stream: str  # upstream: towards the server; downstream: towards the client
    attributes: Mapping[str, int]
    toxicity: float = 1.0


@dataclass(frozen=True, slots=True)
class Window:
    """When a fault was active, in run time; `end_ns` is None when it was never healed."""

    fault: str
    start_ns: int
    end_ns: int | None


class Links(Protocol):
    """Every link is a proxy. Its state is the union of its active effects."""

    def apply(
        self, selector: str, toxics: Sequence[Toxic], *, down: bool = False
    ) -> AbstractContextManager[tuple[Link, ...]]:
        """Put `toxics` (or, `down`, a refusal of connections) on every selected link."""
        ...


class Psp(Protocol):
    """The control plane of the PSP."""

    def rule(self, rule: Mapping[str, Any]) -> AbstractContextManager[str]:
        """A fault rule while the context lasts; yields its id."""
        ...

    def pending(self) -> Mapping[str, int]:
        """What is still on its way: webhooks to deliver, requests in flight.

        Empty, without even a 0, when the PSP cannot be asked.
        """
        ...

    def truth(self, table: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a table of the god view."""
        ...


class Nodes(Protocol):
    """What may be done to nodes."""

    def kill(self, node: Node) -> None:
        """End it at once, as a crash would."""
        ...

    def stop(self, node: Node) -> None:
        """End it in order, as a deployment does; as a crash would where it does not listen."""
        ...

    def pause(self, node: Node) -> None:
        """Stop it in its tracks."""
        ...

    def resume(self, node: Node) -> None:
        """Let a paused one go on."""
        ...

    def start(self, node: Node) -> None:
        """Start one that was killed or stopped, on its old address; returns when it serves."""
        ...

    def held(self, node: Node) -> AbstractContextManager[None]:
        """Ended in order while an operator works on it; at the end of the context it serves again.

        Faults that heal meanwhile do not start it, and one that lasts keeps it down afterwards.
        """
        ...

    def runs(self, node: Node) -> bool:
        """Whether it is neither down nor paused."""
        ...


class Networks(Protocol):
    """Who can reach whom at all."""

    def disconnect(self, node: Node) -> AbstractContextManager[None]:
        """Cut a node off from all others while the context lasts."""
        ...


class Limits(Protocol):
    """How much of the machine a node may use."""

    def memory(self, node: Node, limit_bytes: int) -> AbstractContextManager[None]:
        """Let a node have so much memory and no more while the context lasts.

        One that wanted more and was killed for it is started again at the end.
        """
        ...

    def cpu(self, node: Node, cores: float) -> AbstractContextManager[None]:
        """Let a node have so much CPU time, in cores, and no more while the context lasts."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What a database says of itself. Positions in the write-ahead log are bytes."""

    is_primary: bool
    timeline: int
    received: int  # flushed here; of a standby, what it has received
    replayed: int  # of a primary, the same as `received`
    source: str | None  # name of the node that a standby streams from, None while it does not


class Databases(Protocol):
    """Replicated databases, over the paths that an operator has: a partition cuts those too.

    Everything raises `Unreachable` when the operator cannot get through, and `EnvironmentBroke`
    when a part does something else than it was told.
    """

    @property
    def mode(self) -> str:
        """What the first primary was set to wait for: asynchronous, synchronous or quorum."""
        ...

    @property
    def chooses_first(self) -> bool:
        """A known flaw of the runbook: the first standby is promoted, whatever it has received."""
        ...

    def nodes(self) -> Sequence[Node]:
        """Every database, the first primary first."""
        ...

    def standing(self, node: Node) -> Standing:
        """What it is now."""
        ...

    def rows(self, node: Node, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """The answer of a database, the witness included, to one statement; it is committed."""
        ...

    def promote(self, node: Node) -> None:
        """Make a standby the primary; returns when it takes writes."""
        ...

    def follow(self, node: Node, source: Node) -> None:
        """Have a running standby stream from `source`; returns when it does."""
        ...

    def rejoin(self, node: Node, source: Node) -> str:
        """Make a former primary a standby of `source`: ``rewound``, or ``copied`` afresh.

        Returns when it streams.
        """
        ...

    def replicate(self, node: Node, mode: str) -> None:
        """Set what the primary `node` waits for: asynchronous, synchronous or quorum."""
        ...

    def fence(self, node: Node) -> None:
        """Stop a primary, and have it come back as a standby without a source.

        Its machine must be reached for that, and where the database runs, the database as well.
        """
        ...

    def archive_from(self, node: Node) -> None:
        """Have the archive pull the write-ahead log of `node` from now on."""
        ...

    def restored(self, at_us: int) -> AbstractContextManager[Node]:
        """A fresh database with all that was committed until `at_us` (wall clock, Unix time).

        From the archive's base backup, whose manifest is verified, and its write-ahead log.
        """
        ...

    def snapshot(self, moment: str, node: Node) -> None:
        """Write down what a database holds now: tables snapshots, commits, snapshot_keys."""
        ...


class Regions(Protocol):
    """Regions of which one takes payments, over the paths that an operator has.

    What cannot be done because the way there is cut raises `Unreachable`.
    """

    @property
    def active(self) -> str:
        """The region that the router sends customers to."""
        ...

    def serves(self, region: str) -> bool:
        """Whether a region takes payments, as an operator sees it: over the link to its balancer.

        What cannot be reached does not serve.
        """
        ...

    def knock(self, region: str) -> None:
        """Nothing, where the region answers, be it that it takes no payments; else `Unreachable`.

        Over the link to its balancer; to the third place over that to the witness.
        """
        ...

    def send_customers_to(self, region: str) -> None:
        """Have the router send customers to `region`."""
        ...

    def take_lease(self, region: str) -> tuple[int | None, int]:
        """Ask the witness for the lease; the new epoch, or None, and how long it is held yet (ms).

        The first question keeps the holder from renewing it.
        """
        ...

    def unknown(self, region: str) -> Mapping[str, int]:
        """How many outcomes the service of a region does not know: the system file's counters."""
        ...

    def reconcile(self, region: str) -> Mapping[str, Any]:
        """Start the service's own reconciliation in a region; its answer."""
        ...


class RemedyLog(Protocol):
    """What a remedy writes its steps to, and waits with."""

    def step(self, name: str) -> AbstractContextManager[dict[str, Any]]:
        """One step, timed from here to the end of the context; what is put in the dict is kept.

        What is raised inside ends the step as failed, and goes on.
        """
        ...

    def decide(self) -> None:
        """The step ``decide``: at once, or when a person has confirmed; that waiting counts."""
        ...

    def until(self, holds: Callable[[], bool], every_s: float = 0.1) -> None:
        """Wait until something holds.

        Raises:
            RemedyStopped: when the run ends before that.
        """
        ...


class RemedyStopped(Exception):
    """The run ended before a remedy had come to its end."""


class RemedyFailed(Exception):
    """A remedy cannot go on; says at what and why. The system stays as it was left."""


class Process(Protocol):
    """One process that a launcher started."""

    name: str
    pid: int

    @property
    def status(self) -> int | None:
        """Exit status (negative: the signal that ended it), None while it runs."""
        ...

    def signal(self, number: int) -> None:
        """Send a signal to its process group; SIGKILL, SIGSTOP and SIGCONT to all it started.

        Returns when it is sent, and for SIGKILL when everything is gone.
        """
        ...

    def wait(self, timeout_s: float) -> int | None:
        """The exit status, or None when it still runs after `timeout_s` seconds."""
        ...


class Launcher(Protocol):
    """Starts processes that cannot outlive the harness."""

    def spawn(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        unprivileged: bool = False,
        end_signal: int = signal.SIGKILL,
        on_exit: Callable[[Process], None] | None = None,
        folder: Path | None = None,
    ) -> Process:
        """Start one; stdout and stderr go to `log`. `unprivileged` drops root where there is one.

        `end_signal` is what it gets when the harness dies. `on_exit` is called once, from another
        thread, when it has ended; it must not spawn or signal. `folder` is where it is started.

        Raises:
            EnvironmentBroke: when there is no such program or it cannot be started.
        """
        ...

    def sweep(self, folder: Path) -> None:
        """Have `folder` removed at the end, also when the harness dies."""
        ...


@dataclass(frozen=True, slots=True)
class Secrets:
    """Made anew for every run, sown so that a leak can be recognised."""

    api_token: str
    admin_token: str
    psp_api_key: str
    webhook_secret: str
    control_token: str
    card_numbers: tuple[str, ...]  # canaries: valid by Luhn, of this run only
    card_cvc: str

    def values(self) -> Iterator[tuple[str, str]]:
        """Name and value of everything that must not appear in any artefact."""
        yield "api_token", self.api_token
        yield "admin_token", self.admin_token
        yield "psp_api_key", self.psp_api_key
        yield "webhook_secret", self.webhook_secret
        yield "control_token", self.control_token
        for number in self.card_numbers:
            yield "card_number", number


def _forget(table: str, rows: Sequence[Mapping[str, Any]], at_mono_ns: int) -> None:
    """Rows of a system that nobody records."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a node at a moment, other than by asking it for its metrics."""

    node: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class Assembly:
    """All that a backend needs to make a system real.

    `work` is a scratch folder outside the run folder; `logs` gets one file per node.
    """

    run: str
    system: System
    topology: Topology
    secrets: Secrets
    seed: int
    flaw: str | None
    work: Path
    logs: Path
    on_event: Callable[..., None]  # (kind, name, what, **detail): into the events table
    attached: Attached | None = None  # where the system is, when it runs already
    #: (table, rows, read when on the monotonic clock in ns): into a table of what databases held
    keep: Callable[[str, Sequence[Mapping[str, Any]], int], None] = _forget
    asks_prometheus: bool = False  # checks will ask one, and none was named


class Files(Protocol):
    """SQLite files that the instances of a service write."""

    def __call__(self, template: str, /) -> Sequence[Path]:
        """The file of every instance, to be read; one where all share it.

        ``{data}`` in `template` stands for each instance's own folder.

        Raises:
            EnvironmentBroke: when one cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where things are, for the parts of the harness that need to reach them."""

    customers: str  # https://127.0.0.1:port, through the customers' link
    ca_file: Path | None  # CA of the ingress; None: one that the machine trusts
    admin: str  # the service's own address for settle and reconcile, unfaulted
    books: str | None  # database URL, not through a link; None where there is no database
    metrics: Mapping[str, str]  # node → URL of its metrics
    files: Files | None = None  # of the instances, where the harness can look at them
    prometheus: str | None = None  # URL of one that the backend brought along
    readings: Callable[[], Sequence[Reading]] | None = None  # of nodes without metrics


class Environment(Protocol):
    """A running topology and what may be done to it."""

    @property
    def topology(self) -> Topology:
        """Nodes and links."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """What this environment can do: links, psp_rules, nodes, networks, limits, regions."""
        ...

    @property
    def endpoints(self) -> Endpoints:
        """Addresses."""
        ...

    @property
    def links(self) -> Links:
        """The links' control."""
        ...

    @property
    def psp(self) -> Psp:
        """The PSP's control."""
        ...

    @property
    def nodes(self) -> Nodes:
        """The nodes' control."""
        ...

    @property
    def networks(self) -> Networks:
        """The networks' control."""
        ...

    @property
    def limits(self) -> Limits:
        """The limits' control. Raises `EnvironmentBroke` where there is none: see capabilities."""
        ...

    @property
    def databases(self) -> Databases:
        """The replicated databases. Raises `EnvironmentBroke` where there are none."""
        ...

    @property
    def regions(self) -> Regions:
        """The regions. Raises `EnvironmentBroke` where there is only one."""
        ...

    def heal(self) -> None:
        """Take every fault away, and read back that none is left."""
        ...

    def check(self) -> None:
        """Raise `EnvironmentBroke` when a node died that nobody killed."""
        ...
