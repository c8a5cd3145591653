"""Gaussian splatting: one function, :func:`render`, over interchangeable back-ends.

Importing this package loads neither torch nor numba; :func:`render` does on first use. Code that
only plays frames back from numpy arrays uses :mod:`talkcli.render.cpu` and never loads torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from talkcli.render.api import render
    from talkcli.render.backend import BACKENDS, choose_backend

__all__ = ["BACKENDS", "choose_backend", "render"]

_HOMES = {"render": "api", "choose_backend": "backend", "BACKENDS": "backend"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
