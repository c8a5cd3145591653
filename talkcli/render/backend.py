"""Which renderer draws: the choice, its reason, and the errors when it cannot be had."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from talkcli.errors import MissingDependencyError, UsageError

#: What ``--backend`` accepts. ``reference`` is the slow truth that the tests compare with.
BACKENDS: tuple[str, ...] = ("auto", "cpu", "cuda", "reference")


@dataclass(frozen=True)
class BackendChoice:
    """A back-end that can run here.

    Attributes:
        name: ``cpu``, ``cuda`` or ``reference``.
        reason: one clause for the log, such as ``no CUDA device``.
    """

    name: str
    reason: str


def choose_backend(requested: str = "auto") -> BackendChoice:
    """Settle which back-end renders.

    ``auto`` takes gsplat where it and a CUDA device are at hand and the CPU everywhere else. A
    back-end asked for by name is never replaced by another one.

    Args:
        requested: one of :data:`BACKENDS`.

    Raises:
        UsageError: no such back-end.
        MissingDependencyError: ``cuda`` was asked for and cannot run; says what is missing.
    """
    if requested not in BACKENDS:
        raise UsageError(f"unknown renderer back-end {requested!r}", f"use {', '.join(BACKENDS)}")
    if requested in ("cpu", "reference"):
        return BackendChoice(requested, "asked for")
    missing = cuda_obstacle()
    if requested == "cuda":
        if missing:
            what, fix = missing
            raise MissingDependencyError(f"the cuda back-end cannot run: {what}", fix)
        return BackendChoice("cuda", "asked for")
    if missing:
        return BackendChoice("cpu", missing[0])
    return BackendChoice("cuda", "a CUDA device and gsplat are here")


def cuda_obstacle() -> tuple[str, str] | None:
    """What keeps the CUDA back-end from running as ``(what, mend)``; None when nothing does.

    torch is imported only where gsplat is installed: on most machines the answer costs nothing.
    """
    if importlib.util.find_spec("gsplat") is None:
        return "gsplat is not installed", "pip install 'talkcli[cuda]', or use --backend cpu"
    import torch

    if torch.version.cuda is None:
        return "this torch is built without CUDA", "install a CUDA build, or use --backend cpu"
    if not torch.cuda.is_available():
        return "no CUDA device", "check nvidia-smi, or use --backend cpu"
    return None
