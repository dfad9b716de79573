"""The control plane: faults, webhook endpoints, the clock, the god view. On a port of its own."""

from stub_psp.control.plane import ControlPlane

__all__ = ["ControlPlane"]
