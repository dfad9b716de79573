"""``payresil up`` and ``payresil down``: the reference topology as a stack that stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import payresil
from payresil.core.protocols import EnvironmentBroke
from payresil.core.results import Exit
from payresil.engine.output import say
from payresil.engine.refusal import Refusal

if TYPE_CHECKING:  # half a second, for these commands alone
    import docker

    from payresil.backends.containers.compose import Compose
    from payresil.backends.containers.published import Published
    from payresil.backends.containers.settings import Settings

STACK_FILE = "docker-compose.yml"
PROJECT = "payresil"

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


def up(*, file: Path | None = None, observe: bool = False) -> int:
    """Bring the stack up, wait until it is healthy, and say where it is; the exit status.

    `file` is another compose file than the reference topology's; `observe` adds what watches it.

    Raises:
        Refusal: when there is no such file.
        EnvironmentBroke: when there is no engine or no Compose, an image is missing, a port is
            taken, or a part does not come up.
    """
    from payresil.backends.containers.engine import connect
    from payresil.backends.containers.health import await_health
    from payresil.backends.containers.images import make_present

    client, settings = connect(), _settings()
    compose = _compose(file, settings, (_OBSERVE,) if observe else ())
    config = compose.config()
    make_present(client, _images(config, settings, compose.file), settings.platform)
    _refuse_taken(client, compose, config)
    _tell(compose, "up", "--detach", "--no-build")
    await_health(client, compose.project, _UP_S)
    say(f"the stack {compose.project} is up, from {compose.file}")
    for line in _addresses(client, compose.project):
        say(line)
    say(f"take it down again with: payresil down{_same_file(file)}")
    return Exit.PASS


def down(*, file: Path | None = None, volumes: bool = False) -> int:
    """Take the stack down; `volumes` removes what it has stored, too; the exit status.

    Raises:
        Refusal: when there is no such file.
        EnvironmentBroke: when there is no engine or no Compose, or something is still there.
    """
    from payresil.backends.containers.engine import connect

    client = connect()
    compose = _compose(file, _settings(), (_OBSERVE,))
    there = _left(client, compose.project, volumes=volumes)
    if not there:
        say(f"nothing of the stack {compose.project} is there")
        return Exit.PASS
    _tell(compose, "down", "--remove-orphans", *(["--volumes"] if volumes else []))
    left = _left(client, compose.project, volumes=volumes)
    if left:
        raise EnvironmentBroke(
            f"still there: {', '.join(left)}. If the stack came from a file of your own, name it "
            "with --file"
        )
    say(f"the stack {compose.project} is down: {len(there)} parts removed")
    kept = [] if volumes else _volumes(client, compose.project)
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


def _compose(file: Path | None, settings: Settings, profiles: tuple[str, ...]) -> Compose:
    from payresil.backends.containers.compose import Compose, find_compose

    if file is not None and not file.is_file():
        raise Refusal(f"there is no file {file}")
    return Compose(
        find_compose(),
        stack_file() if file is None else file.resolve(),
        os.environ.get("COMPOSE_PROJECT_NAME") or PROJECT,
        {**os.environ, **image_variables(settings)},
        profiles,
    )


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


def _left(client: docker.DockerClient, project: str, *, volumes: bool) -> list[str]:
    """What there is of a project: containers, networks and, where asked for, volumes."""
    from payresil.backends.containers.compose import PROJECT as LABEL
    from payresil.backends.containers.engine import asked
    from payresil.backends.containers.health import containers_of

    with asked(f"the networks of {project} cannot be listed"):
        networks = client.networks.list(filters={"label": f"{LABEL}={project}"})
    names: Iterable[Any] = (*containers_of(client, project), *networks)
    return [str(one.name) for one in names] + (_volumes(client, project) if volumes else [])


def _volumes(client: docker.DockerClient, project: str) -> list[str]:
    from payresil.backends.containers.compose import PROJECT as LABEL
    from payresil.backends.containers.engine import asked

    with asked(f"the volumes of {project} cannot be listed"):
        found = client.volumes.list(filters={"label": f"{LABEL}={project}"})
    return [str(one.name) for one in found]


def _same_file(file: Path | None) -> str:
    return "" if file is None else f" --file {file}"
