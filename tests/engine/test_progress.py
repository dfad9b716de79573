"""What is shown while a run goes on comes from the growing record."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from payresil.core.schemas import ATTEMPTS
from payresil.core.tables import Recorder
from payresil.engine.progress import Progress, Tally


def record(recorder: Recorder, outcome: str, count: int) -> None:
    place = ATTEMPTS.get_field_index("outcome")
    row = [None] * len(ATTEMPTS.names)
    row[place] = outcome  # type: ignore[call-overload]
    recorder.extend([tuple(row)] * count)
    recorder.flush()


def test_the_tally_follows_the_stream_and_forgets_what_is_old(tmp_path: Path) -> None:
    now = [100.0]
    tally = Tally(tmp_path / "attempts-load.arrows", lambda: now[0])
    assert tally.read() == (0.0, 0.0)
    with Recorder(tmp_path, "attempts", "load") as recorder:
        record(recorder, "ok", 6)
        record(recorder, "unknown", 3)
        assert tally.read() == (pytest.approx(3.0), pytest.approx(1 / 3))
        now[0] += 2
        record(recorder, "ok", 3)
        assert tally.read() == (pytest.approx(4.0), pytest.approx(1 / 4))
        now[0] += 2
        assert tally.read() == (pytest.approx(1.0), 0.0)
    assert tally.attempts == 12


def test_a_pipe_gets_plain_lines(tmp_path: Path) -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.phase("warm-up")
        progress.watch(tmp_path / "attempts-load.arrows")
        progress.tick(["psp_lost_answers"], 12.4)
        progress.tick(["psp_lost_answers"], 12.3)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2  # ticks are thinned out
    assert lines[0].endswith("warm-up")
    assert "faults: psp_lost_answers" in lines[1]
    assert "12s left" in lines[1]
    assert "\x1b" not in stream.getvalue()
