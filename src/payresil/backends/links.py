"""Links as proxies: what a link does is the union of the effects that are on it.

The union is worked out anew whenever an effect comes or goes, and read back from the server after
every change, so faults may overlap and heal in any order, and a fault that was not in force is
never taken for one.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from payresil.backends.ports import LOOPBACK
from payresil.backends.proxies import Proxies, ProxyState
from payresil.core.protocols import EnvironmentBroke, Toxic
from payresil.core.topology import Link, Topology


@dataclass(frozen=True, slots=True)
class Effect:
    """What one fault does to a link."""

    number: int
    toxics: tuple[Toxic, ...]
    down: bool

    def named(self) -> dict[str, Toxic]:
        """Its toxics by a name that no other effect uses."""
        return {f"effect-{self.number}.{n}": toxic for n, toxic in enumerate(self.toxics)}


def union(effects: Iterable[Effect]) -> ProxyState:
    """Every toxic of every effect, oldest first; refusing when any of them refuses."""
    present = tuple(effects)
    toxics = {name: toxic for effect in present for name, toxic in effect.named().items()}
    return ProxyState(not any(effect.down for effect in present), toxics)


def proxy_name(link: Link) -> str:
    """A name for the proxy of a link that is safe in a URL as it is."""
    return str(link).replace("->", "--").replace("/", ".")


class Places(Protocol):
    """Where the proxies of links listen, which may look different from outside."""

    def listen(self, link: Link) -> str:
        """``host:port`` for the proxy to listen on; port 0 takes any free one."""
        ...

    def reached(self, link: Link, listening: str) -> str:
        """``host:port`` to connect to for `link`, whose proxy says that it is `listening`."""
        ...


class OnLoopback:
    """`Places` where everything is on this machine."""

    def listen(self, link: Link) -> str:
        """Any free port."""
        return f"{LOOPBACK}:0"

    def reached(self, link: Link, listening: str) -> str:
        """The same for everybody."""
        return listening


class ProxiedLinks:
    """`core.protocols.Links` over a Toxiproxy."""

    def __init__(self, topology: Topology, proxies: Proxies, places: Places | None = None) -> None:
        """Links are opened one by one, as the addresses of their targets become known.

        Raises:
            ValueError: when two links would share a proxy.
        """
        if len({proxy_name(link) for link in topology.links}) < len(topology.links):
            raise ValueError("two links of the topology differ only in '/' and '.', '->' and '--'")
        self._topology = topology
        self._proxies = proxies
        self._places = places or OnLoopback()
        self._effects: dict[Link, list[Effect]] = {}
        self._addresses: dict[Link, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()

    def open(self, link: Link, upstream: str) -> str:
        """Start to proxy `link` to `upstream` (``host:port``); the address to connect to.

        Raises:
            EnvironmentBroke: when the server refuses.
        """
        with self._lock:
            listen = self._places.listen(link)
            listening = self._proxies.create(proxy_name(link), upstream, listen)
            self._addresses[link] = self._places.reached(link, listening)
            self._effects[link] = []
            return self._addresses[link]

    def address(self, link: Link) -> str:
        """Where to connect for `link`: ``host:port``."""
        return self._addresses[link]

    @contextmanager
    def apply(
        self, selector: str, toxics: Sequence[Toxic], *, down: bool = False
    ) -> Iterator[tuple[Link, ...]]:
        """Put `toxics` (or, `down`, a refusal of connections) on every selected link.

        Raises:
            SelectorError: when `selector` matches no link.
            EnvironmentBroke: when the server refuses, or does something else than it was told, or
                when at the end the fault turns out not to have been in force any more.
        """
        links = self._topology.select_links(selector)
        effect = Effect(next(self._numbers), tuple(toxics), down)
        try:
            self._put(links, effect)
        except BaseException:
            self._take(links, effect, was_in_force=False)
            raise
        try:
            yield links
        finally:
            self._take(links, effect)

    def heal(self) -> None:
        """Take every effect away, and read back that none is left.

        Raises:
            EnvironmentBroke: naming the links that are still faulted.
        """
        with self._lock:
            for effects in self._effects.values():
                effects.clear()
            self._proxies.reset()
            left = [
                str(link)
                for link in self._effects
                if self._proxies.state(proxy_name(link)) != ProxyState()
            ]
        if left:
            raise EnvironmentBroke(f"still faulted after healing: {', '.join(left)}")

    def _put(self, links: Sequence[Link], effect: Effect) -> None:
        with self._lock:
            for link in links:
                told = union(self._effects[link])
                self._effects[link].append(effect)
                self._settle(link, told)

    def _take(self, links: Sequence[Link], effect: Effect, *, was_in_force: bool = True) -> None:
        """Heal every link, even when one of them will not; then say what was wrong."""
        wrong = []
        with self._lock:
            for link in links:
                if effect not in self._effects[link]:
                    continue  # healed by `heal`, or never put there
                try:
                    found = self._proxies.state(proxy_name(link))
                    if was_in_force and not _as_told(found, union(self._effects[link])):
                        wrong.append(f"{link}: the fault was gone before it was healed: {found}")
                    self._effects[link].remove(effect)
                    self._settle(link, found)
                except EnvironmentBroke as error:
                    wrong.append(str(error))
        if wrong:
            raise EnvironmentBroke("; ".join(wrong))

    def _settle(self, link: Link, found: ProxyState) -> None:
        """Make the proxy of `link` do what its effects add up to, from what it does now."""
        name, wanted = proxy_name(link), union(self._effects[link])
        for toxic_name in found.toxics.keys() - wanted.toxics.keys():
            self._proxies.remove(name, toxic_name)
        for toxic_name, toxic in wanted.toxics.items():
            if toxic_name not in found.toxics:
                self._proxies.add(name, toxic_name, toxic)
        if found.enabled != wanted.enabled:
            self._proxies.enable(name, wanted.enabled)
        now = self._proxies.state(name)
        if not _as_told(now, wanted):
            raise EnvironmentBroke(f"{link}: told {wanted}, but the proxy does {now}")


def _as_told(found: ProxyState, wanted: ProxyState) -> bool:
    """Whether a proxy does what it was told. A server may show more attributes than were set."""
    return (
        found.enabled == wanted.enabled
        and found.toxics.keys() == wanted.toxics.keys()
        and all(_same(found.toxics[name], toxic) for name, toxic in wanted.toxics.items())
    )


def _same(found: Toxic, wanted: Toxic) -> bool:
    kept = wanted.attributes.items() <= found.attributes.items()
    return kept and replace(found, attributes=wanted.attributes) == wanted
