"""Offsets of splats that follow the expression, as they are played: without torch.

The twin that is trained is :class:`talkcli.engines.audio_plane.network.OffsetBasis`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from talkcli.engines.audio_plane.mixing import add_mixed, in_blocks
from talkcli.engines.portrait.splats import renumbered
from talkcli.shapes import Float, Float32, Integer
from talkcli.types import MotionFrame

#: What one unit of each of the seven channels means: 1 mm of shift, 20 % of size and of colour.
CHANNEL_UNITS = np.array([0.1, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2], np.float32)
#: Expression, rotation and gaze; see :func:`motion_features`.
FEATURES = 52 + 3 + 2
#: Features further from the clip's mean, in standard deviations, are limited: nothing that the clip
#: does not show can be known.
MOST_UNUSUAL = 4.0


def motion_features(motion: MotionFrame) -> Float32[np.ndarray, " 57"]:
    """``[57]`` what drives the offsets: expression, head rotation and gaze."""
    parts = (motion.expression, np.divide(motion.rotation, 20.0), np.divide(motion.gaze, 10.0))
    return np.concatenate(parts).astype(np.float32)


@dataclass(frozen=True)
class Mixer:
    """A small network from the features of a frame to the shares of the offset shapes.

    Attributes:
        mean: ``[57]`` mean of the features over the clip.
        scale: ``[57]`` what they are divided by.
        hidden_weight: ``[H, 57]``, followed by a rectifier.
        hidden_bias: ``[H]``.
        weight: ``[K, H]``.
        bias: ``[K]``.
    """

    mean: Float32[np.ndarray, " 57"]
    scale: Float32[np.ndarray, " 57"]
    hidden_weight: Float32[np.ndarray, "H 57"]
    hidden_bias: Float32[np.ndarray, " H"]
    weight: Float32[np.ndarray, "K H"]
    bias: Float32[np.ndarray, " K"]

    def shares(self, motion: MotionFrame) -> Float32[np.ndarray, " K"]:
        """``[K]`` the share of each shape in a frame."""
        x = (motion_features(motion) - self.mean) / self.scale
        x = np.clip(x, -MOST_UNUSUAL, MOST_UNUSUAL)
        hidden = np.maximum(self.hidden_weight @ x + self.hidden_bias, 0)
        return np.asarray(self.weight @ hidden + self.bias, np.float32)


@dataclass(frozen=True)
class DrivenOffsets:
    """Offset shapes of some splats, mixed by the expression.

    Implements :class:`talkcli.engines.portrait.correction.Correction`.

    Attributes:
        index: ``[m]`` int32 the splats, rising.
        shapes: ``[K, m, 7]`` shift (cm, head frame), logarithm of size, colour, in centimetres and
            sRGB levels of 0–1.
        mixer: mixes them.
    """

    index: Integer[np.ndarray, " m"]
    shapes: Float32[np.ndarray, "K m 7"]
    mixer: Mixer

    def offsets(self, motion: MotionFrame) -> Float32[np.ndarray, "m 7"]:
        """``[m, 7]`` the offsets in a frame."""
        count, moved = self.shapes.shape[:2]
        mixed = self.mixer.shares(motion) @ self.shapes.reshape(count, 7 * moved)
        return np.asarray(mixed.reshape(moved, 7))

    def apply(
        self,
        motion: MotionFrame,
        positions: Float[np.ndarray, "N 3"],
        spread: Float[np.ndarray, " N"],
        colors: Float[np.ndarray, "N 3"],
    ) -> None:
        """See :class:`talkcli.engines.portrait.correction.Correction`."""
        add_mixed(self.mixer.shares(motion), self._blocks, self.index, (positions, spread, colors))

    @cached_property
    def _blocks(self) -> Float32[np.ndarray, " floats"]:
        return in_blocks(self.shapes)

    def part(self, order: Integer[np.ndarray, " M"]) -> DrivenOffsets:
        """See :class:`talkcli.engines.portrait.correction.Correction`."""
        kept, index = renumbered(self.index, order)
        return replace(self, index=index, shapes=np.ascontiguousarray(self.shapes[:, kept]))
