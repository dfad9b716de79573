"""A container is held still, also where runc gives up because a program is being started in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker.errors
import pytest
from docker.models.containers import Container

from payresil.backends.containers import container_node
from payresil.backends.containers.container_node import ContainerNode
from payresil.backends.containers.dock import Dock
from payresil.backends.containers.recipe import Recipe
from payresil.backends.containers.watching import Watch
from payresil.core.protocols import EnvironmentBroke

GIVES_UP = "runc pause: unable to freeze"


class Engine:
    """A container that runs until it is released, and that refuses to pause at first."""

    def __init__(self, *refusals: str) -> None:
        self.refusals = list(refusals)
        self.did: list[str] = []

    def pause(self) -> None:
        if self.refusals:
            raise docker.errors.APIError(self.refusals.pop(0))
        self.did.append("pause")

    def unpause(self) -> None:
        self.did.append("unpause")

    def logs(self, **_: object) -> Iterator[bytes]:
        return iter(())


class Running:
    """In place of a `Watch`: it has not ended."""

    ended = False


Made = Callable[[Engine], ContainerNode]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.setattr(Watch, "over", lambda *_: Running())
    with ThreadPoolExecutor(1) as pool:
        dock = SimpleNamespace(logs=tmp_path, pool=pool, report=lambda *_, **__: None)

        def node(engine: Engine) -> ContainerNode:
            part = ContainerNode(
                "a/service.1",
                lambda: (cast(Container, engine), Recipe("image")),
                dock=cast(Dock, dock),
                port=8080,
                published={},
                ready=lambda: True,
            )
            part.launch()
            assert part.container is engine
            return part

        yield node


def pause(part: ContainerNode) -> None:
    part.pause()


def freeze(part: ContainerNode) -> None:
    with part.frozen():
        pass


Held = Callable[[ContainerNode], Any]


@pytest.mark.parametrize("hold", [pause, freeze])
def test_it_is_tried_again_where_runc_gave_up(made: Made, hold: Held) -> None:
    engine = Engine(GIVES_UP, GIVES_UP)
    hold(made(engine))
    assert engine.did[0] == "pause"
    assert not engine.refusals


@pytest.mark.parametrize("hold", [pause, freeze])
def test_any_other_refusal_is_told_at_once(made: Made, hold: Held) -> None:
    engine = Engine("no such container", GIVES_UP)
    with pytest.raises(EnvironmentBroke, match=r"a/service\.1 cannot be paused: no such container"):
        hold(made(engine))
    assert engine.did == []
    assert engine.refusals == [GIVES_UP]


@pytest.mark.parametrize("hold", [pause, freeze])
def test_it_is_given_up_in_the_end(made: Made, hold: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_node, "_FREEZE_S", 0.0)
    with pytest.raises(EnvironmentBroke, match="unable to freeze"):
        hold(made(Engine(*[GIVES_UP] * 99)))


def test_what_was_frozen_goes_on(made: Made) -> None:
    engine = Engine()
    with made(engine).frozen():
        assert engine.did == ["pause"]
    assert engine.did == ["pause", "unpause"]


def test_what_is_paused_already_stays_so(made: Made) -> None:
    engine = Engine()
    part = made(engine)
    part.pause()
    with part.frozen():
        pass
    assert engine.did == ["pause"]
