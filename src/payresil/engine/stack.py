"""``payresil up`` and ``payresil down``: the reference topology as a stack that stays."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import payresil
from payresil.core.protocols import EnvironmentBroke
from payresil.core.results import Exit
from payresil.engine.output import say
from payresil.engine.refusal import Refusal

if TYPE_CHECKING:  # half a second, for these commands alone
    import docker

    from payresil.backends.containers.belonging import Project
    from payresil.backends.containers.compose import Compose
    from payresil.backends.containers.published import Published
    from payresil.backends.containers.settings import Settings

STACK_FILE = "docker-compose.yml"
PROJECT = "payresil"

#: The setting that names another project. COMPOSE_PROJECT_NAME is a team's own: it names what
#: they run themselves.
PROJECT_SETTING = "PAYRESIL_PROJECT"
_PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")

#: The profile of what watches the stack.
_OBSERVE = "observe"

#: Seconds from when everything was started until all of it must be healthy.
_UP_S = 180.0

#: What the stack publishes: service and port → what that is, as an address, and its setting.
_PORTS = {
    ("toxiproxy", 20001): ("customers, through their link", "https://", "CUSTOMERS_PORT"),
    ("toxiproxy", 8474): ("Toxiproxy's API", "http://", "TOXIPROXY_PORT"),
    ("service-1", 8080): ("a service, past the links", "http://", "ADMIN_PORT"),
    ("db", 5432): ("the books (PostgreSQL)", "", "BOOKS_PORT"),
    ("psp", 12112): ("the PSP's control plane", "http://", "PSP_CONTROL_PORT"),
    ("prometheus", 9090): ("Prometheus", "http://", "PROMETHEUS_PORT"),
    ("grafana", 3000): ("Grafana", "http://", "GRAFANA_PORT"),
}


def up(*, file: Path | None = None, project: str | None = None, observe: bool = False) -> int:
    """Bring the stack up, wait until it is healthy, and say where it is; the exit status.

    `file` is another compose file than the reference topology's; `project` another name than
    `PAYRESIL_PROJECT` gives; `observe` adds what watches it.

    Raises:
        Refusal: when there is no such file, or the project has what is not of this stack.
        EnvironmentBroke: when there is no engine or no Compose, an image is missing, a port is
            taken, or a part does not come up.
    """
    from payresil.backends.containers.engine import connect
    from payresil.backends.containers.health import await_health
    from payresil.backends.containers.images import make_present

    client, settings = connect(), _settings()
    compose = _compose(file, project, settings, (_OBSERVE,) if observe else ())
    config = compose.config()
    _refuse_strangers(_found(client, compose.project), compose, config)
    make_present(client, _images(config, settings, compose.file), settings.platform)
    _refuse_taken(client, compose, config)
    _tell(compose, "up", "--detach", "--no-build")
    await_health(client, compose.project, _UP_S)
    say(f"the stack {compose.project} is up, from {compose.file}")
    for line in _addresses(client, compose.project):
        say(line)
    say(f"take it down again with: payresil down{_same(file, project)}")
    return Exit.PASS


def down(*, file: Path | None = None, project: str | None = None, volumes: bool = False) -> int:
    """Take the stack down; `volumes` removes what it has stored, too; the exit status.

    `file` and `project` are as for `up`.

    Raises:
        Refusal: when there is no such file, or the project has what is not of this stack.
        EnvironmentBroke: when there is no engine or no Compose, or something is still there.
    """
    from payresil.backends.containers.engine import connect

    client = connect()
    compose = _compose(file, project, _settings(), (_OBSERVE,))
    found = _found(client, compose.project)
    there = _parts(found, volumes=volumes)
    if not there:
        say(f"nothing of the stack {compose.project} is there")
        return Exit.PASS
    config = compose.config()
    _refuse_strangers(found, compose, config)
    _remove_former(client, compose, config)
    _tell(compose, "down", *(["--volumes"] if volumes else []))
    rest = _found(client, compose.project)
    left = _parts(rest, volumes=volumes)
    if left:
        raise EnvironmentBroke(
            f"still there, since {compose.file} does not name it: {', '.join(left)}. Remove it "
            "with `docker rm`, `docker network rm` or `docker volume rm`"
        )
    say(f"the stack {compose.project} is down: {len(there)} parts removed")
    kept = [str(one.name) for one in rest.volumes]
    if kept:
        say(f"kept what it has stored, which --volumes removes: {', '.join(kept)}")
    return Exit.PASS


def stack_file() -> Path:
    """The compose file of the reference topology: of the checkout, else of the installed package.

    Raises:
        Refusal: when neither is there.
    """
    package = Path(payresil.__file__).resolve().parent
    for folder in (package.parents[1], package / "stack"):
        if (folder / STACK_FILE).is_file() and (folder / "containers" / "stack").is_dir():
            return folder / STACK_FILE
    raise Refusal(f"this installation has no {STACK_FILE}: name one with --file")


def image_variables(settings: Settings) -> dict[str, str]:
    """What a compose file is told of images: those that are not its defaults, in full.

    The others are left to the file, and to a ``.env`` beside it.
    """
    from payresil.backends.containers.settings import OFFICIAL, OWN, OWN_IMAGE, WATCHING

    defaults = {**OFFICIAL, **WATCHING, OWN: OWN_IMAGE}
    chosen = {**settings.images, **settings.watching}
    variables = {name: image for name, image in chosen.items() if image != defaults[name]}
    if settings.platform is not None:
        variables["DOCKER_DEFAULT_PLATFORM"] = settings.platform
    return variables


def _settings() -> Settings:
    from payresil.backends.containers.settings import read_settings

    return read_settings(os.environ)


def _compose(
    file: Path | None, project: str | None, settings: Settings, profiles: tuple[str, ...]
) -> Compose:
    from payresil.backends.containers.compose import Compose, find_compose

    if file is not None and not file.is_file():
        raise Refusal(f"there is no file {file}")
    return Compose(
        find_compose(),
        stack_file() if file is None else file.resolve(),
        _project(project),
        # Also where a team has Compose remove what it does not know.
        {**os.environ, **image_variables(settings), "COMPOSE_REMOVE_ORPHANS": "false"},
        profiles,
    )


def _project(chosen: str | None) -> str:
    name = chosen or os.environ.get(PROJECT_SETTING) or PROJECT
    if not _PROJECT_NAME.fullmatch(name):
        raise Refusal(
            f"{name!r} ({'--project' if chosen else PROJECT_SETTING}) is no name of a compose "
            "project: use a-z, 0-9, - and _, with a letter or digit first"
        )
    return name


def _refuse_strangers(found: Project, compose: Compose, config: Mapping[str, Any]) -> None:
    """Raise when the project has something that somebody else made.

    Raises:
        Refusal: naming all of that, and what to do.
    """
    from payresil.backends.containers.belonging import mark_of

    strangers = list(found.strangers(compose.file, mark_of(config)))
    if strangers:
        raise Refusal(
            f"the project {compose.project} has what is not of the stack in {compose.file}: "
            f"{'; '.join(strangers)}. Nothing was changed: choose another project with --project "
            f"or {PROJECT_SETTING}, name the file that this is from with --file, or, if it is of "
            "no more use, remove it with `docker rm`, `docker network rm` or `docker volume rm`"
        )


def _remove_former(
    client: docker.DockerClient, compose: Compose, config: Mapping[str, Any]
) -> None:
    """Remove the stack's containers of services that its file had once; Compose leaves them."""
    from payresil.backends.containers.engine import asked
    from payresil.backends.containers.health import containers_of, service_of

    for container in containers_of(client, compose.project):
        if service_of(container) not in config["services"]:
            with asked(f"{container.name} cannot be removed"):
                container.remove(force=True)


def _images(config: Mapping[str, Any], settings: Settings, file: Path) -> dict[str, str]:
    """Every image that the file needs, by the setting that names it, else by its place."""
    names = {image: name for name, image in settings.watching.items()}
    # The own image is last: where it plays other parts, it is what has to be built.
    names |= {image: name for name, image in settings.images.items()}
    images = {}
    for service, described in config["services"].items():
        image = described.get("image")
        if image is None:
            raise Refusal(f"{file}: the service {service} names no image: build one and name it")
        images[names.get(image, f"{service} in {file.name}")] = image
    return images


def _refuse_taken(client: docker.DockerClient, compose: Compose, config: Mapping[str, Any]) -> None:
    """Raise when somebody else listens on a port that is to be published."""
    from payresil.backends.containers.published import is_taken, published

    ours = set(_published_by(client, compose.project))
    taken = [one for one in published(config) if one.number not in ours and is_taken(one)]
    if taken:
        raise EnvironmentBroke(f"taken already: {'; '.join(map(_taken, taken))}")


def _taken(port: Published) -> str:
    where = f"{port.host or '0.0.0.0'}:{port.number}"
    known = _PORTS.get((port.service, port.target))
    if known is None:
        return f"{where} ({port.service}): end who has it, or publish another in the file"
    what, _, setting = known
    return f"{where} ({what}): end who has it, or set {setting} to another port, or to 0 for any"


def _published_by(client: docker.DockerClient, project: str) -> Iterator[int]:
    """Ports that the project has published already: it may be up."""
    for *_, address in _bindings(client, project):
        yield int(address.rpartition(":")[2])


def _bindings(client: docker.DockerClient, project: str) -> Iterator[tuple[str, int, str]]:
    """Service, port in the container, and where that is published: ``host:port``."""
    from payresil.backends.containers.health import containers_of, service_of

    for container in containers_of(client, project):
        for port, bindings in (container.ports or {}).items():
            number, _, protocol = port.partition("/")
            for binding in bindings or () if protocol == "tcp" else ():
                yield service_of(container), int(number), f"{_host(binding)}:{binding['HostPort']}"


def _host(binding: Mapping[str, str]) -> str:
    host = binding["HostIp"]
    return f"[{host}]" if ":" in host else host


def _addresses(client: docker.DockerClient, project: str) -> Iterator[str]:
    from payresil.backends.containers.health import containers_of, service_of

    order = {key: n for n, key in enumerate(_PORTS)}
    found = {(service, port): address for service, port, address in _bindings(client, project)}
    for key in sorted(found, key=lambda key: (order.get(key, len(order)), key)):
        what, scheme, _ = _PORTS.get(key, (f"{key[0]}, port {key[1]}", "", ""))
        yield f"  {what:<30} {scheme}{found[key]}"
    for container in containers_of(client, project):
        if service_of(container) == "certificates":
            yield f"  {'authority of its certificates':<30} {_copy(container.name)}"


def _copy(name: str) -> str:
    return f"docker cp {name}:/certificates/ca/ca.pem ."


def _tell(compose: Compose, *arguments: str) -> None:
    """Have Compose do something. What it says goes to stderr, as it says it.

    Raises:
        EnvironmentBroke: when it ends with another status than 0.
    """
    sys.stdout.flush()
    status = _status(compose.argv(*arguments), compose.environment)
    if status != 0:
        program = " ".join(compose.program)
        raise EnvironmentBroke(
            f"`{program} {arguments[0]}` ended with status {status}; what it said stands above. "
            "`payresil down` removes what is there"
        )


def _status(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    return subprocess.run(argv, env=environment, stdout=sys.stderr.fileno(), check=False).returncode


def _found(client: docker.DockerClient, project: str) -> Project:
    """What there is of a project."""
    from payresil.backends.containers.belonging import Project
    from payresil.backends.containers.compose import PROJECT as LABEL
    from payresil.backends.containers.engine import asked
    from payresil.backends.containers.health import containers_of

    chosen = {"label": f"{LABEL}={project}"}
    with asked(f"the networks and volumes of {project} cannot be listed"):
        networks = client.networks.list(filters=chosen)
        volumes = client.volumes.list(filters=chosen)
    return Project(containers_of(client, project), networks, volumes)


def _parts(found: Project, *, volumes: bool) -> list[str]:
    """The names of its containers, networks and, where asked for, volumes."""
    parts = (*found.containers, *found.networks, *(found.volumes if volumes else ()))
    return [str(one.name) for one in parts]


def _same(file: Path | None, project: str | None) -> str:
    options = {"--file": file, "--project": project}
    return "".join(f" {name} {value}" for name, value in options.items() if value is not None)
