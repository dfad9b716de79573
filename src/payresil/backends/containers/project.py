"""The compose project of a system: started whole, under a name and labels of the run's own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from docker.models.containers import Container

from payresil.backends.containers.adapting import Driven, Joined, adapted
from payresil.backends.containers.compose import Compose, find_compose
from payresil.backends.containers.dock import Dock
from payresil.backends.containers.engine import asked
from payresil.backends.containers.health import containers_of, service_of
from payresil.backends.containers.image_names import images_of
from payresil.backends.containers.labels import ENVIRONMENT, NODE
from payresil.backends.containers.recipe import Recipe
from payresil.backends.containers.watching import Watch
from payresil.backends.embedded.node_process import last_lines
from payresil.core.protocols import Assembly, EnvironmentBroke, Launcher, Process

__all__ = ["Driven", "Project", "variables"]

#: Seconds that Compose may take to build, pull and start it, and to wait for what depends on what.
UP_S = 600.0

_ENDED_S = 10.0


class Project:
    """What payresil drives in it are nodes. All that Compose makes is removed by its labels."""

    def __init__(self, assembly: Assembly, dock: Dock, launcher: Launcher) -> None:
        """Nothing is started before the first node is wanted."""
        self._assembly = assembly
        self._dock = dock
        self._launcher = launcher
        self._driven: dict[str, tuple[Driven, int]] = {}
        self._lock = threading.Lock()
        self._up = False
        self._closed = False
        self._process: Process | None = None

    def drive(self, driven: Driven, published: int) -> None:
        """Have one of its services be a node, published as that port of this machine."""
        self._driven[str(driven.node)] = driven, published

    def made(self, node: object) -> tuple[Container, Recipe]:
        """The container of a node, with the whole project started.

        Raises:
            EnvironmentBroke: with what Compose said last, when it cannot be started.
        """
        with self._lock:  # nodes are started at the same time; the first starts all
            if not self._up:
                self._start()
                self._up = True
        container = self._container_of(str(node))
        image = str(container.attrs["Config"]["Image"])
        return container, Recipe(image, stop_signal=_stop_signal(container))

    def close(self) -> None:
        """End Compose where it is still at work; what it has made is removed with the dock."""
        self._closed = True
        if self._process is not None and self._process.status is None:
            self._process.signal(signal.SIGKILL)

    def _start(self) -> None:
        file = Path(str(self._assembly.system.service.compose))
        networks, nodes = self._dock.networks, [one for one, _ in self._driven.values()]
        log = self._dock.logs / "compose.log"
        told = variables(os.environ, nodes, self._dock.settings.platform)
        compose = Compose(find_compose(), file, self._dock.labels.name("compose"), told)
        ours = adapted(
            compose.config(),
            nodes,
            Joined(
                self._dock.labels,
                harness=str(networks.harness.name),
                inner=str(networks.of(nodes[0].node).name),
                address=self._dock.settings.address,
                ports={name: number for name, (_, number) in self._driven.items()},
                images=images_of(file),
            ),
        )
        self._tell_up(compose, self._written(ours), log)
        self._follow_others(compose.project)

    def _written(self, content: Mapping[str, Any]) -> Path:
        """The file that Compose is given: it has secrets of the run, and goes with its scratch."""
        file = self._assembly.work / "compose.yaml"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
        return file

    def _tell_up(self, compose: Compose, file: Path, log: Path) -> None:
        argv = compose.argv("up", "--detach", "--build", "--remove-orphans", file=file)
        # Under the supervisor: it must not go on starting things when the harness is gone.
        self._process = self._launcher.spawn(
            "compose", argv, env=compose.environment, log=log, end_signal=signal.SIGKILL
        )
        if self._closed:
            self.close()
        status = self._process.wait(UP_S)
        if status is None:
            self._process.signal(signal.SIGKILL)
            self._process.wait(_ENDED_S)
        if status != 0:
            how = f"in {UP_S:g} s" if status is None else f"(status {status})"
            words = "\n".join(f"  {line}" for line in last_lines(log))
            raise EnvironmentBroke(
                f"the compose project {compose.file} did not come up {how}. The end of "
                f"{log.name}:\n{words or '  (empty)'}"
            )
        self._dock.report("harness", "compose", "up", project=compose.project)

    def _follow_others(self, project: str) -> None:
        """Keep the logs of what is no node, and say when it ends."""
        for container in containers_of(self._dock.client, project):
            if NODE in container.labels:
                continue
            service = service_of(container)
            with asked(f"the log of {service} cannot be read"):
                words = container.logs(stream=True, follow=True)

            def ended(state: Mapping[str, Any], service: str = service) -> None:
                if state and not self._closed:  # not for being removed
                    self._dock.report(
                        "harness", f"compose.{service}", "ended", status=int(state["ExitCode"])
                    )

            Watch.over(container, words, self._dock.logs / f"compose.{service}.log", ended)

    def _container_of(self, node: str) -> Container:
        wanted = [
            f"{ENVIRONMENT}={self._dock.labels.environment}",
            f"{NODE}={node}",
        ]
        with asked(f"the container of {node} cannot be found"):
            found = self._dock.client.containers.list(all=True, filters={"label": wanted})
        if len(found) != 1:
            raise EnvironmentBroke(f"Compose made {len(found)} containers of {node}, and not one")
        return found[0]


def variables(
    environment: Mapping[str, str], driven: Iterable[Driven], platform: str | None
) -> dict[str, str]:
    """What variables of the compose file stand for: also what the first instance is told.

    `platform` is what images are pulled, built and run for, such as linux/arm64.
    """
    first = next((one.environment for one in driven if one.environment), {})
    chosen = {} if platform is None else {"DOCKER_DEFAULT_PLATFORM": platform}
    return {**environment, **first, **chosen}


def _stop_signal(container: Container) -> signal.Signals:
    """What asks a container to end: as its image or compose file says, by name or number."""
    said = str(container.attrs["Config"].get("StopSignal") or "SIGTERM").upper()
    try:
        if said.isdigit():
            return signal.Signals(int(said))
        return signal.Signals[said if said.startswith("SIG") else f"SIG{said}"]
    except (KeyError, ValueError):
        return signal.SIGTERM
