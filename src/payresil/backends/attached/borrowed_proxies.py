"""Proxies of somebody else's Toxiproxy: only what this run put there is seen and taken away."""

from __future__ import annotations

from collections.abc import Mapping

from payresil.backends.attached.disabled_proxies import DisabledProxies
from payresil.backends.proxies import PackageProxies, ProxyState
from payresil.core.protocols import EnvironmentBroke, Toxic


class BorrowedProxies:
    """`Proxies` whose names are those of links, over proxies with names of their own.

    Toxics of this run begin with `prefix`. Whatever else is on a proxy stays, and a proxy is
    enabled again only if this run disabled it.
    """

    def __init__(
        self,
        proxies: PackageProxies,
        names: Mapping[str, str],
        prefix: str,
        disabled: DisabledProxies,
    ) -> None:
        """`names` is, by the name of a link's proxy here, its name there.

        In `disabled` stands, by their names there, which of them this run has disabled.
        """
        self._proxies = proxies
        self._names = dict(names)
        self._prefix = prefix
        self._disabled = disabled

    def create(self, name: str, upstream: str, listen: str = "") -> str:
        """Nothing is made: the proxy is there, and takes connections.

        Raises:
            EnvironmentBroke: when there is no such proxy, or somebody has disabled it.
        """
        if not self._proxies.state(self._names[name]).enabled:
            raise EnvironmentBroke(
                f"toxiproxy: the proxy {self._names[name]} is disabled; enable it before the run"
            )
        return upstream

    def strangers(self) -> dict[str, list[str]]:
        """Toxics that others have put on these proxies: proxy → their names."""
        found = {}
        for theirs in self._names.values():
            toxics = self._proxies.state(theirs).toxics
            others = sorted(name for name in toxics if not name.startswith(self._prefix))
            if others:
                found[theirs] = others
        return found

    def state(self, name: str) -> ProxyState:
        """What this run makes the proxy do."""
        theirs = self._proxies.state(self._names[name])
        ours = {
            toxic_name.removeprefix(self._prefix): toxic
            for toxic_name, toxic in theirs.toxics.items()
            if toxic_name.startswith(self._prefix)
        }
        return ProxyState(theirs.enabled, ours)

    def add(self, name: str, toxic_name: str, toxic: Toxic) -> None:
        """Add a toxic."""
        self._proxies.add(self._names[name], self._prefix + toxic_name, toxic)

    def remove(self, name: str, toxic_name: str) -> None:
        """Remove a toxic of this run."""
        self._proxies.remove(self._names[name], self._prefix + toxic_name)

    def enable(self, name: str, enabled: bool) -> None:
        """Take connections, or refuse them and close the open ones.

        One that others have disabled stays so.
        """
        theirs = self._names[name]
        if not enabled:
            self._disabled.add(theirs)  # first: the guard must know of all that may be done
            self._proxies.enable(theirs, False)
        elif theirs in self._disabled.names():
            self._proxies.enable(theirs, True)
            self._disabled.remove(theirs)

    def reset(self) -> None:
        """Take away everything that this run did, and nothing else."""
        for name in self._names:
            for toxic_name in self.state(name).toxics:
                self.remove(name, toxic_name)
            self.enable(name, True)

    def renew_lease(self, ttl_ms: int) -> None:
        """Not here: a lease that runs out would reset what belongs to others."""
        raise EnvironmentBroke("toxiproxy: somebody else's server is given no lease")
