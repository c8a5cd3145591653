"""talkcli: talking-head video from one portrait or a short clip, with 3D Gaussian splatting.

The functions of :mod:`talkcli.api` and :mod:`talkcli.clips` are available here and loaded on first
use: ``import talkcli`` itself imports no numeric library.
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
    from talkcli.clips import evaluate as evaluate
    from talkcli.clips import fit as fit
    from talkcli.clips import preprocess as preprocess

__version__ = "0.1.0"

_CLIPS = ("preprocess", "fit", "evaluate")
_API = (
    *("reconstruct", "animate", "draw", "frames", "speak", "track", "export", "load"),
    *("RunOptions", "Subject"),
    *_CLIPS,
)
__all__ = ["__version__", *_API]

# The package ``talkcli.export`` has the same name as an API function. It is imported here and its
# name removed; otherwise its first import would replace the function.
import_module("talkcli.export")
del globals()["export"]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from talkcli import runtime

    # Threads and caches must be configured before the first numeric library is imported.
    runtime.configure()
    globals()[name] = value = getattr(_home(name), name)
    return value


def _home(name: str) -> Any:
    return import_module("talkcli.clips" if name in _CLIPS else "talkcli.api")


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
