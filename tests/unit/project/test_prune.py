"""The cache is cleared by age and size, and nothing that is in use or not the cache's goes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from talkcli import runtime
from talkcli.errors import InputError
from talkcli.project import Project, Stage
from talkcli.project.prune import prune_cache

DAY_S = 86400.0
SIZE = 100_000


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TALKCLI_CACHE", str(tmp_path / "cache"))
    return runtime.cache_root()


def project(cache: Path, name: str, days: float) -> Path:
    """A project of some 100 kB that was last used so many days ago."""
    made = Project.create(cache / "projects" / name)
    with made.lock():
        made.run(Stage("avatar", 1), lambda folder: (folder / "out").write_bytes(bytes(SIZE)))
    when = time.time() - days * DAY_S
    for path in (made.root / ".lock", made.root / "project.toml", made.root):
        os.utime(path, (when, when))
    return made.root


def test_what_is_old_goes(cache: Path) -> None:
    old, new = project(cache, "old", 100), project(cache, "new", 80)
    (cache / "matplotlib").mkdir()
    pruned = prune_cache()
    assert pruned.removed == (old,) and not old.exists() and new.exists()
    assert pruned.freed > SIZE and pruned.kept > SIZE
    assert (cache / "matplotlib").is_dir()
    assert prune_cache().removed == ()


def test_the_oldest_go_until_the_rest_is_small(cache: Path) -> None:
    roots = [project(cache, f"p{days}", days) for days in (5, 1, 9, 3)]
    pruned = prune_cache(max_bytes=2 * SIZE + SIZE // 2)
    assert pruned.removed == (roots[2], roots[0])
    assert roots[1].exists() and roots[3].exists()
    assert pruned.kept <= 2 * SIZE + SIZE // 2
    assert prune_cache(max_bytes=0).kept < SIZE
    assert list((cache / "projects").iterdir()) == []


def test_a_project_in_use_stays_and_is_named(cache: Path) -> None:
    root = project(cache, "busy", 100)
    with Project.open(root).lock():
        os.utime(root / ".lock", (0, 0))
        pruned = prune_cache()
        assert pruned.busy == (root,) and pruned.removed == ()
    assert Project.open(root).current("avatar") is not None


def test_kernels_of_other_versions_go_and_the_present_ones_stay(cache: Path) -> None:
    present = runtime.kernel_cache(cache)
    other = cache / "kernels" / ("0" * 12)
    other.mkdir()
    (other / "x.kernel").write_bytes(bytes(10))
    for path in (present, other):
        os.utime(path, (0, 0))
    assert prune_cache().removed == (other,)
    assert present.is_dir() and not other.exists()


def test_links_and_other_folders_are_left_alone(cache: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "project.toml").write_text("schema = 1")
    (cache / "projects").mkdir()
    (cache / "projects" / "link").symlink_to(theirs)
    (cache / "projects" / "notes").mkdir()
    assert prune_cache(max_bytes=0, max_age_days=0).removed == ()
    assert (theirs / "project.toml").exists() and (cache / "projects" / "notes").is_dir()


def test_what_a_killed_run_left_goes(cache: Path) -> None:
    left = cache / "projects" / (".tmp-" + "0" * 32)
    left.mkdir(parents=True)
    assert prune_cache().removed == (left,)


def test_senseless_limits_are_refused(cache: Path) -> None:
    with pytest.raises(InputError, match="negative"):
        prune_cache(max_bytes=-1)
    with pytest.raises(InputError, match="negative"):
        prune_cache(max_age_days=float("nan"))
