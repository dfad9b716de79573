"""The command that repeats a run is whole, and safe to paste."""

from __future__ import annotations

import shlex

from payresil.core.run import Run
from payresil.render import facts
from payresil.render.again import again


def test_it_names_all_that_the_run_was_told():
    meta = {
        "scenario_file": "my scenarios/a.yaml",
        "imports": ["faults.py", "more faults.py"],
        "flaw": "key-per-attempt",
        "seed": 0,
        "backend": "docker",
        "prometheus": "http://127.0.0.1:9090",
    }
    assert shlex.split(again(meta, "other.yaml")) == [
        "payresil", "--import", "faults.py", "--import", "more faults.py",
        "run", "my scenarios/a.yaml",
        "--flaw", "key-per-attempt", "--seed", "0", "--backend", "docker",
        "--prometheus", "http://127.0.0.1:9090",
    ]  # fmt: skip


def test_what_is_usual_is_left_out():
    usual = {"backend": "process", "flaw": None, "imports": []}
    assert again(usual, "a.yaml") == "payresil run a.yaml"
    assert again({"imports": None}, "$(a).yaml") == "payresil run '$(a).yaml'"


def test_an_absolute_folder_is_not_told_to_whoever_reads_the_report_elsewhere(tmp_path):
    assert "payresil sql RUN " in facts.query(Run({}, {}, tmp_path))
