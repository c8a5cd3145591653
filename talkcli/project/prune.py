"""Pruning the user's cache by age and by size."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkcli.errors import InputError
from talkcli.files.atomic import TEMPORARY_PREFIX, temporary_beside
from talkcli.files.lock import hold_lock
from talkcli.project.store import LOCK_FILE, PROJECT_FILE
from talkcli.runtime import cache_root, kernel_folder

#: Default limits of ``prune_cache``.
MAX_BYTES, MAX_AGE_DAYS = 10e9, 90.0
_DAY_S = 86400.0


@dataclass(frozen=True)
class Pruned:
    """What was removed from the cache.

    Attributes:
        root: the cache folder.
        removed: the removed folders, least recently used first.
        freed: bytes freed.
        kept: bytes left.
        busy: projects that were due for removal but are in use by another process.
    """

    root: Path
    removed: tuple[Path, ...]
    freed: int
    kept: int
    busy: tuple[Path, ...]

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return {
            "cache": str(self.root),
            "removed": [str(path) for path in self.removed],
            "freed_bytes": self.freed,
            "kept_bytes": self.kept,
            "busy": [str(path) for path in self.busy],
        }


def prune_cache(max_bytes: float = MAX_BYTES, max_age_days: float = MAX_AGE_DAYS) -> Pruned:
    """Remove old entries from the cache, then the oldest of the rest until it is small enough.

    Only what can be made again is removed: projects of one-off commands, each as a whole, and
    compiled kernels of other code versions. Projects outside the cache, and anything else inside
    it, are left alone. A project in use by another process is kept, and reported.

    Args:
        max_bytes: largest size to leave; 0 removes everything that is not in use.
        max_age_days: days since its last use after which a project or kernel folder is removed.

    Raises:
        InputError: the cache cannot be used, or a limit is negative.
    """
    if not (max_bytes >= 0 and max_age_days >= 0):
        raise InputError("a limit of the cache is negative", "give numbers from 0 upwards")
    root = cache_root()
    found = _folders(root)
    total = sum(size for _, size, _ in found)
    kept, oldest = total, time.time() - max_age_days * _DAY_S
    removed: list[Path] = []
    busy: list[Path] = []
    for used, size, folder in sorted(found):
        if used >= oldest and kept <= max_bytes:
            continue
        if _remove(folder):
            removed.append(folder)
            kept -= size
        else:
            busy.append(folder)
    return Pruned(root, tuple(removed), total - kept, kept, tuple(busy))


def _folders(root: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size in bytes and path of every folder that may be removed."""
    present = kernel_folder(root)
    kernels = [path for path in _directories(root / "kernels") if path != present]
    projects = [
        path
        for path in _directories(root / "projects")
        if (path / PROJECT_FILE).is_file() or path.name.startswith(TEMPORARY_PREFIX)
    ]
    return [(_last_use(path), _size(path), path) for path in (*kernels, *projects)]


def _directories(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]


def _last_use(folder: Path) -> float:
    """Time of last use: every run of a project writes its lock file; kernels go by folder age."""
    if folder.name.startswith(TEMPORARY_PREFIX):
        return 0.0  # left by a ``prune_cache`` that was killed
    files = (folder, folder / LOCK_FILE, folder / PROJECT_FILE)
    return max(path.lstat().st_mtime for path in files if path.exists())


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may have removed it
            total += path.lstat().st_size
    return total


def _remove(folder: Path) -> bool:
    """Delete a folder as a whole; False if another process is using it."""
    if not (folder / PROJECT_FILE).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    aside = temporary_beside(folder)
    try:
        with hold_lock(folder / LOCK_FILE, wait_s=0):
            # Disappears at once for everyone; a process waiting for the lock notices that the lock
            # file has been replaced.
            os.rename(folder, aside)
    except (InputError, OSError):
        return False
    shutil.rmtree(aside, ignore_errors=True)
    return True
