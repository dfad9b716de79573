"""When something breaks, does the money stay right, and how long until the service is back?

```python
import payresil

verdict = payresil.run("scenarios/gate/psp-lost-answers.yaml", seed=11)
for check in verdict.checks:
    print(check.outcome, check.name, check.claim)
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from payresil.core.registry import checker, fault, journey, remedy, renderer
    from payresil.core.results import Doubt, Finding, Measure, Outcome, Verdict
    from payresil.core.run import Run
    from payresil.engine.api import judge, open_run, run

#: Public name → where it lives. Loaded on first use, so that the nodes of a system, which are
#: modules of this package too, start without the harness.
_PUBLIC = {
    "Doubt": "payresil.core.results",
    "Finding": "payresil.core.results",
    "Measure": "payresil.core.results",
    "Outcome": "payresil.core.results",
    "Run": "payresil.core.run",
    "Verdict": "payresil.core.results",
    "checker": "payresil.core.registry",
    "fault": "payresil.core.registry",
    "journey": "payresil.core.registry",
    "judge": "payresil.engine.api",
    "open_run": "payresil.engine.api",
    "remedy": "payresil.core.registry",
    "renderer": "payresil.core.registry",
    "run": "payresil.engine.api",
}

__all__ = [
    "Doubt",
    "Finding",
    "Measure",
    "Outcome",
    "Run",
    "Verdict",
    "checker",
    "fault",
    "journey",
    "judge",
    "open_run",
    "remedy",
    "renderer",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'payresil' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
