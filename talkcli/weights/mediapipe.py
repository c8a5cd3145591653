"""MediaPipe's solutions, which bring the networks that are bundled in its wheel."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from talkcli.errors import MissingDependencyError

#: What MediaPipe imports for drawing charts, which talkcli never does.
_CHARTS = ("matplotlib", "matplotlib.pyplot")
_lock = threading.Lock()


def mediapipe_solutions() -> Any:
    """The module ``mediapipe.solutions``.

    MediaPipe imports Matplotlib, which takes three quarters of the time; here, that waits until
    somebody draws a chart with it.

    Raises:
        MissingDependencyError: MediaPipe cannot be imported.
    """
    with _lock:
        try:
            with _deferred(_CHARTS):
                import mediapipe
        except ImportError as error:
            raise MissingDependencyError(
                f"MediaPipe cannot be loaded ({error})", "run: talkcli doctor"
            ) from error
    return mediapipe.solutions


class _Deferred(ModuleType):
    """Stands for a module that is imported when something in it is used."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def _deferred(names: tuple[str, ...]) -> Iterator[None]:
    """A block in which importing one of these modules, unless it has been, is put off."""
    stand_ins = {name: _Deferred(name) for name in names if name not in sys.modules}
    sys.modules.update(stand_ins)
    for name, module in stand_ins.items():
        parent, _, child = name.rpartition(".")
        if parent in stand_ins:
            setattr(stand_ins[parent], child, module)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
