"""talkcli: talking-head video from one portrait or a short clip, with 3D Gaussian splatting.

The functions of :mod:`talkcli.api` are offered here and loaded when they are first asked for:
``import talkcli`` itself takes no numeric library in.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from talkcli.api import RunOptions as RunOptions
    from talkcli.api import Subject as Subject
    from talkcli.api import animate as animate
    from talkcli.api import draw as draw
    from talkcli.api import export as export
    from talkcli.api import frames as frames
    from talkcli.api import load as load
    from talkcli.api import reconstruct as reconstruct
    from talkcli.api import speak as speak
    from talkcli.api import track as track

__version__ = "0.1.0"

_API = (
    *("reconstruct", "animate", "draw", "frames", "speak", "track", "export", "load"),
    *("RunOptions", "Subject"),
)
__all__ = ["__version__", *_API]

# A package has the name of a function of the API. It is loaded first and its name given up, or its
# first import would put the package where the function stands.
import_module("talkcli.export")
del globals()["export"]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from talkcli import runtime

    # Threads and caches must stand before the first numeric library is imported.
    runtime.configure()
    globals()[name] = value = getattr(import_module("talkcli.api"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
