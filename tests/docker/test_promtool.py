"""Rules and queries, as Prometheus' own programs read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.docker

PROMETHEUS = Path(__file__).parents[2] / "containers" / "stack" / "prometheus"


def test_alerts_fire_on_what_they_are_for(run: Callable[..., str]) -> None:
    run("promtool", "test", "rules", str(PROMETHEUS / "alerts.test.yml"))


def test_a_rule_that_lets_errors_pass_fails_its_test(
    run: Callable[..., str], tmp_path: Path
) -> None:
    rules = (PROMETHEUS / "alerts.yml").read_text()
    blunt = rules.replace("errors:share30s > 0.05", "errors:share30s > 0.5")
    assert blunt != rules
    (tmp_path / "alerts.yml").write_text(blunt)
    (tmp_path / "alerts.test.yml").write_text((PROMETHEUS / "alerts.test.yml").read_text())
    with pytest.raises(AssertionError, match="PaymentErrors"):
        run("promtool", "test", "rules", str(tmp_path / "alerts.test.yml"))


def test_the_configuration_is_one(run: Callable[..., str], tmp_path: Path) -> None:
    config = (PROMETHEUS / "prometheus.yml").read_text()
    (tmp_path / "alerts.yml").write_text((PROMETHEUS / "alerts.yml").read_text())
    there = config.replace("/etc/prometheus/alerts.yml", str(tmp_path / "alerts.yml"))
    (tmp_path / "prometheus.yml").write_text(there)
    assert "rules found" in run("promtool", "check", "config", str(tmp_path / "prometheus.yml"))


def test_the_dashboards_queries_can_be_read(
    run: Callable[..., str], queries: list[str], tmp_path: Path
) -> None:
    rules = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(queries)} rules found" in run("promtool", "check", "rules", str(file))
