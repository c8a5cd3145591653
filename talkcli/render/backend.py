"""Chooses the renderer, with a reason, or an error if it is not available."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import cache

from talkcli.errors import MissingDependencyError, UsageError

#: Values of ``--backend``. ``reference`` is the slow ground truth that tests compare with.
BACKENDS: tuple[str, ...] = ("auto", "cpu", "cuda", "reference")

#: How to get gsplat.
CUDA_MEND = "run: pip install 'talkcli[cuda]', or use --backend cpu"

_log = logging.getLogger(__name__)


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
    """Choose the back-end that renders, and log it with the reason on the first choice.

    ``auto`` uses gsplat if it and a CUDA device are available, and the CPU otherwise. A back-end
    requested by name is never replaced by another one.

    Args:
        requested: one of :data:`BACKENDS`.

    Raises:
        UsageError: there is no such back-end.
        MissingDependencyError: ``cuda`` was requested and cannot run; says what is missing.
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
        choice = BackendChoice("cuda", "asked for")
    elif missing:
        choice = BackendChoice("cpu", missing[0])
    else:
        choice = BackendChoice("cuda", "a CUDA device and gsplat are here")
    _announce(requested, choice)
    return choice


@cache
def _announce(requested: str, choice: BackendChoice) -> None:
    """Log a choice once per process, not once per frame."""
    _log.info("renderer back-end %s (--backend %s: %s)", choice.name, requested, choice.reason)


@cache
def cuda_obstacle() -> tuple[str, str] | None:
    """What keeps the CUDA back-end from running, as ``(what, mend)``; None if nothing does.

    torch is imported only if gsplat is installed, so on most machines the answer costs nothing. It
    is determined once per process, since asking the import system takes longer (0.14 ms) than
    everything else that a call of ``render`` does besides drawing.
    """
    if importlib.util.find_spec("gsplat") is None:
        return "gsplat is not installed", CUDA_MEND
    import torch

    if torch.version.cuda is None:
        return "this torch is built without CUDA", "install a CUDA build, or use --backend cpu"
    if not torch.cuda.is_available():
        return "no CUDA device", "check nvidia-smi, or use --backend cpu"
    return None
