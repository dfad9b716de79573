"""Docker Compose: found, asked what a file comes to, and given a name for what it starts."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from payresil.core.protocols import EnvironmentBroke

#: What Compose itself puts on everything that it makes.
PROJECT, SERVICE = "com.docker.compose.project", "com.docker.compose.service"

_ASK_S = 60.0
_SAID_LINES = 8


@dataclass(frozen=True, slots=True)
class Compose:
    """A compose file under a project's name; the file's variables come from `environment`."""

    program: tuple[str, ...]
    file: Path
    project: str
    environment: Mapping[str, str]
    profiles: tuple[str, ...] = ()

    def argv(self, *arguments: str, file: Path | None = None) -> list[str]:
        """A command line of Compose about this file, or about another that was made of it."""
        profiles = [part for name in self.profiles for part in ("--profile", name)]
        where = ["--project-name", self.project, "--file", str(file or self.file)]
        folder = ["--project-directory", str(self.file.parent)]
        return [*self.program, *where, *folder, *profiles, *arguments]

    def config(self) -> dict[str, Any]:
        """The file as Compose reads it: variables filled in, paths made absolute.

        Raises:
            EnvironmentBroke: with what Compose said, when it refuses the file.
        """
        done = _asked(self.argv("config"), self.environment)
        if done.returncode != 0:
            raise EnvironmentBroke(f"{self.file} cannot be used:\n{_end_of(done.stderr)}")
        content = yaml.safe_load(done.stdout)
        if not isinstance(content, dict) or not content.get("services"):
            raise EnvironmentBroke(f"{self.file} has no services to start")
        # docker-compose 1.29 shows those of other profiles, too.
        content["services"] = {
            name: described
            for name, described in content["services"].items()
            if not described.get("profiles") or {*described["profiles"]} & {*self.profiles}
        }
        return content


def find_compose() -> tuple[str, ...]:
    """How Compose is called on this machine: the plugin of Docker, else the program.

    Raises:
        EnvironmentBroke: when there is neither.
    """
    if shutil.which("docker") and _asked(["docker", "compose", "version"]).returncode == 0:
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise EnvironmentBroke(
        "there is no Docker Compose: install the plugin that answers `docker compose version`, or "
        "docker-compose 1.29"
    )


def _asked(
    argv: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv, env=environment, capture_output=True, text=True, errors="replace", timeout=_ASK_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentBroke(f"{argv[0]} cannot be asked: {error}") from error


def _end_of(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-_SAID_LINES:]) or "  (it said nothing)"
