"""A cached folder is there as a whole or not at all."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from payresil.backends.embedded import cache as module
from payresil.backends.embedded.cache import Cache, cache_folder


def _fill(target: Path) -> None:
    (target / "bin").mkdir(parents=True)
    (target / "bin" / "run").write_text("#!/bin/sh\n")
    (target / "bin" / "run").chmod(0o700)
    (target / "data").write_text("x")
    (target / "data").chmod(0o600)
    (target / "link").symlink_to("/nonexistent")


def test_what_is_kept_is_found_again_and_open_to_all(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "otherwise")
    assert cache.find("thing") is None
    kept = cache.keep("thing", _fill)
    assert cache.find("thing") == kept == tmp_path / "cache" / "thing"
    modes = {path.name: path.lstat().st_mode & 0o777 for path in kept.rglob("*")}
    assert modes["run"] & 0o555 == 0o555
    assert modes["data"] & 0o444 == 0o444
    assert not modes["data"] & 0o111
    assert kept.stat().st_mode & 0o555 == 0o555


def test_what_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        _fill(target)
        raise OSError("disk full")

    cache = Cache(tmp_path / "cache", tmp_path / "otherwise")
    with pytest.raises(OSError, match="disk full"):
        cache.keep("thing", fail)
    assert cache.find("thing") is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_at_once_keep_one(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "otherwise")
    both = threading.Barrier(2)

    def fill(target: Path) -> None:
        both.wait(20)
        _fill(target)

    threads = [threading.Thread(target=cache.keep, args=("thing", fill)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["thing"]


def test_where_the_cache_cannot_be_written_the_other_place_is_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file", tmp_path / "otherwise")
    assert cache.keep("thing", _fill) == tmp_path / "otherwise" / "thing" == cache.find("thing")
    with pytest.raises(OSError, match="file"):
        Cache(tmp_path / "file", tmp_path / "file").keep("thing", _fill)


def test_what_killed_runs_left_is_dropped_in_the_end(tmp_path: Path) -> None:
    old, new = tmp_path / ".thing-old", tmp_path / ".thing-new"
    for folder in (old, new):
        folder.mkdir()
    long_ago = time.time() - 2 * module._STALE_S
    os.utime(old, (long_ago, long_ago))
    Cache(tmp_path, tmp_path).keep("thing", _fill)
    assert not old.exists()
    assert new.exists()


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "payresil"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "payresil"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cache_folder() == module.ROOTS_CACHE
