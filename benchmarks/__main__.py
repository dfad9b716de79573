"""``python -m benchmarks [NAME …]``: every benchmark, or those named."""

from __future__ import annotations

import importlib
import sys

NAMES = ("stall", "whole_run", "recording", "judging", "failover")

for _name in sys.argv[1:] or NAMES:
    importlib.import_module(f"benchmarks.{_name}").main()
