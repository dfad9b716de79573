"""What a Prometheus in a container is told."""

from __future__ import annotations

from pathlib import Path

import yaml

from payresil.backends.containers.prometheus import prometheus_recipe

TARGETS = {"a/service.1": "http://a-service-1:8080/metrics", "psp": "http://psp:12112/metrics"}


def test_it_looks_at_nodes_in_their_networks_and_has_the_rules_with_it(tmp_path: Path) -> None:
    rules = tmp_path / "mine.yml"
    rules.write_text("groups: []")
    recipe = prometheus_recipe("prom:1", TARGETS, rules)
    content = yaml.safe_load(recipe.files["/etc/payresil/prometheus.yml"])
    targets = [
        each["targets"] for job in content["scrape_configs"] for each in job["static_configs"]
    ]
    assert targets == [["a-service-1:8080"], ["psp:12112"]]
    assert content["rule_files"] == ["/etc/payresil/rules.yml"]
    assert recipe.files["/etc/payresil/rules.yml"] == b"groups: []"
    assert recipe.entrypoint is None
    assert "--config.file=/etc/payresil/prometheus.yml" in recipe.command
    assert "--web.listen-address=:9090" in recipe.command


def test_a_system_without_alerts_has_no_rules() -> None:
    recipe = prometheus_recipe("prom:1", TARGETS, None)
    assert list(recipe.files) == ["/etc/payresil/prometheus.yml"]
    assert yaml.safe_load(recipe.files["/etc/payresil/prometheus.yml"])["rule_files"] == []
