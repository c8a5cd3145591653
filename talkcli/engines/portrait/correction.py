"""What an avatar fitted to more than one picture changes beyond its rig."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from talkcli.shapes import Float, Integer
from talkcli.types import MotionFrame


@runtime_checkable
class Correction(Protocol):
    """What an expression changes about some splats beyond what the rig does.

    Attributes:
        index: ``[m]`` the splats, rising.
    """

    @property
    def index(self) -> Integer[np.ndarray, " m"]:
        """See the class."""

    def apply(
        self,
        motion: MotionFrame,
        positions: Float[np.ndarray, "N 3"],
        spread: Float[np.ndarray, " N"],
        colors: Float[np.ndarray, "N 3"],
    ) -> None:
        """Change the splats ``index`` in place, before the head turns.

        Args:
            motion: of the frame.
            positions: ``[N, 3]`` of all splats, moved by the expression, centimetres.
            spread: ``[N]`` their covariance per squared tangent.
            colors: ``[N, 3]`` their colours.
        """

    def part(self, order: Integer[np.ndarray, " M"]) -> Correction:
        """The correction of an avatar of the splats ``order`` alone."""
