"""What a link does is the union of its effects, whatever order they come and go in."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from payresil.backends.links import Effect, ProxiedLinks, proxy_name, union
from payresil.backends.proxies import PackageProxies, Proxies, ProxyState
from payresil.core.protocols import EnvironmentBroke, Toxic
from payresil.core.topology import Link, SelectorError, Topology

LINKS = ("a/service.1->a/db", "a/service.2->a/db", "a/service.1->psp")
TOPOLOGY = Topology((), tuple(Link.parse(name) for name in LINKS))
SELECTORS = (*LINKS, "service->db", "service.1->psp")

LATENCY = Toxic("latency", "downstream", {"latency": 50, "jitter": 5})
SILENCE = (Toxic("timeout", "upstream", {"timeout": 0}), Toxic("timeout", "downstream", {}))


class FakeProxies:
    """A Toxiproxy in memory: the attributes that were not set show as 0, as on the real one."""

    ATTRIBUTES: ClassVar[dict[str, dict[str, int]]] = {
        "latency": {"latency": 0, "jitter": 0},
        "timeout": {"timeout": 0},
        "bandwidth": {"rate": 0},
    }

    def __init__(self) -> None:
        self.states: dict[str, ProxyState] = {}
        self.refuses: set[str] = set()
        self.calls: list[tuple[str, ...]] = []

    def create(self, name: str, upstream: str, listen: str) -> str:
        if name in self.states:
            raise EnvironmentBroke("proxy already exists")
        self.states[name] = ProxyState()
        return f"127.0.0.1:{len(self.states)}"

    def state(self, name: str) -> ProxyState:
        return self.states[name]

    def add(self, name: str, toxic_name: str, toxic: Toxic) -> None:
        self._called("add", name)
        known = self.ATTRIBUTES[toxic.type]
        shown = {key: toxic.attributes.get(key, 0) for key in known}
        state = self.states[name]
        if toxic_name in state.toxics:
            raise EnvironmentBroke("toxic already exists")
        toxics = {**state.toxics, toxic_name: replace(toxic, attributes=shown)}
        self.states[name] = ProxyState(state.enabled, toxics)

    def remove(self, name: str, toxic_name: str) -> None:
        self._called("remove", name)
        state = self.states[name]
        toxics = {key: value for key, value in state.toxics.items() if key != toxic_name}
        if len(toxics) == len(state.toxics):
            raise EnvironmentBroke("toxic not found")
        self.states[name] = ProxyState(state.enabled, toxics)

    def enable(self, name: str, enabled: bool) -> None:
        self._called("enable", name)
        self.states[name] = ProxyState(enabled, self.states[name].toxics)

    def reset(self) -> None:
        self._called("reset", "")
        self.states = dict.fromkeys(self.states, ProxyState())

    def renew_lease(self, ttl_ms: int) -> None:
        pass

    def _called(self, what: str, name: str) -> None:
        self.calls.append((what, name))
        if name in self.refuses:
            raise EnvironmentBroke(f"{name} refuses")


@pytest.fixture
def proxies() -> FakeProxies:
    return FakeProxies()


@pytest.fixture
def links(proxies: FakeProxies) -> ProxiedLinks:
    return opened(proxies)


def opened(proxies: Proxies) -> ProxiedLinks:
    links = ProxiedLinks(TOPOLOGY, proxies)
    for link in TOPOLOGY.links:
        links.open(link, "127.0.0.1:9")
    return links


def state(proxies: Proxies, name: str) -> ProxyState:
    return proxies.state(proxy_name(Link.parse(name)))


def toxic_types(proxies: Proxies, name: str) -> list[str]:
    return [toxic.type for toxic in state(proxies, name).toxics.values()]


def test_an_effect_is_there_while_its_context_lasts(
    links: ProxiedLinks, proxies: FakeProxies
) -> None:
    with links.apply("service.1->psp", [LATENCY]) as found:
        assert [str(link) for link in found] == ["a/service.1->psp"]
        assert list(state(proxies, "a/service.1->psp").toxics.values()) == [LATENCY]
        assert state(proxies, "a/service.1->a/db") == ProxyState()
    assert state(proxies, "a/service.1->psp") == ProxyState()


def test_a_selector_reaches_every_link_it_names(links: ProxiedLinks, proxies: FakeProxies) -> None:
    with links.apply("service->db", SILENCE):
        assert toxic_types(proxies, LINKS[0]) == toxic_types(proxies, LINKS[1])
        assert toxic_types(proxies, LINKS[0]) == ["timeout", "timeout"]
        assert toxic_types(proxies, LINKS[2]) == []


def test_a_selector_that_matches_nothing_touches_nothing(
    links: ProxiedLinks, proxies: FakeProxies
) -> None:
    with pytest.raises(SelectorError, match="matches no link"), links.apply("x->y", [LATENCY]):
        pytest.fail("it was applied")
    assert proxies.calls == []


def test_down_lasts_as_long_as_anybody_wants_it(links: ProxiedLinks, proxies: FakeProxies) -> None:
    first = links.apply(LINKS[0], [], down=True)
    second = links.apply("service->db", [LATENCY], down=True)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not state(proxies, LINKS[0]).enabled
    second.__exit__(None, None, None)
    assert state(proxies, LINKS[0]) == ProxyState()


def test_the_same_effect_twice_is_there_twice(links: ProxiedLinks, proxies: FakeProxies) -> None:
    with links.apply(LINKS[0], [LATENCY]), links.apply(LINKS[0], [LATENCY]):
        assert toxic_types(proxies, LINKS[0]) == ["latency", "latency"]


def test_a_misspelt_attribute_is_found_out(links: ProxiedLinks, proxies: FakeProxies) -> None:
    wrong = Toxic("latency", "downstream", {"latencey": 50})
    with pytest.raises(EnvironmentBroke, match="latencey"), links.apply(LINKS[0], [wrong]):
        pytest.fail("it was applied")
    assert state(proxies, LINKS[0]) == ProxyState()


def test_when_one_link_refuses_none_stays_faulted(
    links: ProxiedLinks, proxies: FakeProxies
) -> None:
    proxies.refuses = {proxy_name(Link.parse(LINKS[1]))}
    with pytest.raises(EnvironmentBroke, match="refuses"), links.apply("service->db", SILENCE):
        pytest.fail("it was applied")
    assert all(each == ProxyState() for each in proxies.states.values())


def test_a_fault_that_was_not_in_force_any_more_is_no_fault(
    links: ProxiedLinks, proxies: FakeProxies
) -> None:
    applied = links.apply(LINKS[0], [LATENCY])
    applied.__enter__()
    proxies.reset()  # as when the lease runs out
    with pytest.raises(EnvironmentBroke, match="gone before it was healed"):
        applied.__exit__(None, None, None)
    assert state(proxies, LINKS[0]) == ProxyState()


def test_every_link_is_healed_even_when_one_will_not(
    links: ProxiedLinks, proxies: FakeProxies
) -> None:
    applied = links.apply("service->db", [LATENCY])
    applied.__enter__()
    proxies.refuses = {proxy_name(Link.parse(LINKS[0]))}
    with pytest.raises(EnvironmentBroke, match="refuses"):
        applied.__exit__(None, None, None)
    assert state(proxies, LINKS[1]) == ProxyState()


def test_heal_takes_everything_and_later_exits_do_no_harm(
    links: ProxiedLinks, proxies: FakeProxies
) -> None:
    with links.apply(LINKS[0], [LATENCY]), links.apply("service->db", [], down=True):
        links.heal()
        assert all(each == ProxyState() for each in proxies.states.values())
    assert all(each == ProxyState() for each in proxies.states.values())


def test_heal_says_what_it_could_not_heal(links: ProxiedLinks, proxies: FakeProxies) -> None:
    stubborn = ProxyState(enabled=False)
    proxies.reset = lambda: proxies.states.update({proxy_name(TOPOLOGY.links[0]): stubborn})  # type: ignore[method-assign]
    with pytest.raises(EnvironmentBroke, match=r"still faulted after healing: a/service\.1->a/db"):
        links.heal()


def test_every_run_of_a_plan_names_its_toxics_alike(
    links: ProxiedLinks, proxies: FakeProxies
) -> None:
    """The server draws by seed, proxy, toxic and ordinal of the connection."""
    with links.apply("service->db", SILENCE), links.apply("service.1->db", [LATENCY]):
        named = proxies.states["a.service.1--a.db"].toxics
        assert list(named) == ["effect-1.0", "effect-1.1", "effect-2.0"]


def test_names_of_proxies_need_no_escaping_and_do_not_collide() -> None:
    assert proxy_name(Link.parse("a/service.1->a/db")) == "a.service.1--a.db"
    twins = (Link.parse("a->b"), Link.parse("a--b->c"), Link.parse("a->b--c"))
    with pytest.raises(ValueError, match="differ only"):
        ProxiedLinks(Topology((), twins), FakeProxies())


TOXICS = st.sampled_from(
    [
        (LATENCY,),
        SILENCE,
        (Toxic("latency", "upstream", {"latency": 3}, 0.5), LATENCY),
        (Toxic("bandwidth", "downstream", {"rate": 64}),),
        (),
    ]
)


class Interleavings(RuleBasedStateMachine):
    """Any interleaving of faults that come and go, against a list of those that are there."""

    faults: Bundle[Any] = Bundle("faults")

    def __init__(self, proxies: Proxies) -> None:
        super().__init__()
        self.proxies = proxies
        self.links = opened(proxies)
        self.active: list[tuple[str, Effect]] = []
        self.numbers = itertools.count()

    @rule(target=faults, selector=st.sampled_from(SELECTORS), toxics=TOXICS, down=st.booleans())
    def inject(
        self, selector: str, toxics: tuple[Toxic, ...], down: bool
    ) -> tuple[AbstractContextManager[Any], tuple[str, Effect]]:
        context = self.links.apply(selector, toxics, down=down)
        context.__enter__()
        entry = (selector, Effect(next(self.numbers), toxics, down))
        self.active.append(entry)
        return context, entry

    @rule(fault=consumes(faults))
    def heal(self, fault: tuple[AbstractContextManager[Any], tuple[str, Effect]]) -> None:
        context, entry = fault
        context.__exit__(None, None, None)
        self.active = [each for each in self.active if each is not entry]

    @rule()
    def heal_all(self) -> None:
        self.links.heal()
        self.active = []

    def teardown(self) -> None:
        self.links.heal()  # contexts that were left open then find nothing to take away

    @invariant()
    def every_link_does_what_its_faults_add_up_to(self) -> None:
        for link in TOPOLOGY.links:
            mine = [
                effect
                for selector, effect in self.active
                if link in TOPOLOGY.select_links(selector)
            ]
            found, wanted = self.proxies.state(proxy_name(link)), union(mine)
            assert found.enabled == wanted.enabled
            assert _plain(found) == _plain(wanted)


def _plain(proxy: ProxyState) -> list[str]:
    """Its toxics without their names, and without attributes that are 0 anyway."""
    return sorted(
        f"{t.type} {t.stream} {t.toxicity} {sorted((k, v) for k, v in t.attributes.items() if v)}"
        for t in proxy.toxics.values()
    )


def test_any_interleaving_ends_in_the_union() -> None:
    class OnFake(Interleavings):
        def __init__(self) -> None:
            super().__init__(FakeProxies())

    run_state_machine_as_test(OnFake, settings=settings(max_examples=60, deadline=None))


class Prefixed:
    """The real server, with proxies of their own for every example."""

    _examples = itertools.count()

    def __init__(self, proxies: PackageProxies) -> None:
        self._proxies = proxies
        self._prefix = f"example-{next(self._examples)}."

    def create(self, name: str, upstream: str, listen: str) -> str:
        return self._proxies.create(self._prefix + name, upstream, listen)

    def state(self, name: str) -> ProxyState:
        return self._proxies.state(self._prefix + name)

    def add(self, name: str, toxic_name: str, toxic: Toxic) -> None:
        self._proxies.add(self._prefix + name, toxic_name, toxic)

    def remove(self, name: str, toxic_name: str) -> None:
        self._proxies.remove(self._prefix + name, toxic_name)

    def enable(self, name: str, enabled: bool) -> None:
        self._proxies.enable(self._prefix + name, enabled)

    def reset(self) -> None:
        self._proxies.reset()

    def renew_lease(self, ttl_ms: int) -> None:
        self._proxies.renew_lease(ttl_ms)


def test_any_interleaving_ends_in_the_union_on_the_real_server(toxiproxy: PackageProxies) -> None:
    few = settings(
        max_examples=5,
        stateful_step_count=12,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )

    class OnServer(Interleavings):
        def __init__(self) -> None:
            super().__init__(Prefixed(toxiproxy))

    run_state_machine_as_test(OnServer, settings=few)


def test_links_may_look_different_from_where_they_are_used() -> None:
    class Elsewhere:
        def listen(self, link: Link) -> str:
            return "0.0.0.0:20001"

        def reached(self, link: Link, listening: str) -> str:
            return f"proxies:{listening.rpartition(':')[2]}"

    link = TOPOLOGY.links[0]
    links = ProxiedLinks(TOPOLOGY, FakeProxies(), Elsewhere())
    assert links.open(link, "db:5432") == links.address(link) == "proxies:1"
