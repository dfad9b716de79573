"""The last thing that is done to a system that was broken on purpose: it is healed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from payresil.core.protocols import Assembly, Environment, EnvironmentBroke


@contextmanager
def healed_at_the_end(assembly: Assembly, environment: Environment) -> Iterator[Environment]:
    """Hand the environment over; afterwards it is healed, whatever happened meanwhile.

    Raises:
        EnvironmentBroke: when it cannot be healed.
    """
    try:
        yield environment
    except BaseException:
        _heal_quietly(assembly, environment)
        raise
    environment.heal()


def _heal_quietly(assembly: Assembly, environment: Environment) -> None:
    """Heal while something else is being raised, which must not be hidden by a second failure."""
    try:
        environment.heal()
    except EnvironmentBroke as error:
        assembly.on_event("harness", "environment", "warning", error=f"not healed: {error}")
