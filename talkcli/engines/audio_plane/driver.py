"""What drives the field of a frame: its expression, or what the speech network hears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from talkcli.engines.audio_plane.offsets import MOST_UNUSUAL, motion_features
from talkcli.shapes import Float32
from talkcli.types import MotionFrame

#: Standard deviation below which a feature of the expression counts as constant.
_LEAST_SPREAD = 0.03
#: Principal components that are kept of windows of the speech network's states.
_COMPONENTS = 32
#: Components weaker than this share of the strongest are not blown up to unit size.
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class DriverBasis:
    """From a motion to K numbers of about unit size.

    Attributes:
        mean: ``[F]`` of the raw features over the clip.
        basis: ``[K, F]`` rows by which deviations are measured.
        speech: whether the raw features are :attr:`talkcli.types.MotionFrame.speech`; otherwise
            those of :func:`talkcli.engines.audio_plane.offsets.motion_features`.
    """

    mean: Float32[np.ndarray, " F"]
    basis: Float32[np.ndarray, "K F"]
    speech: bool

    @staticmethod
    def of(motions: Sequence[MotionFrame], *, speech: bool) -> DriverBasis:
        """The basis for some frames of a clip.

        Args:
            motions: of the frames that are fitted.
            speech: see the class.
        """
        raw = np.stack([_raw(motion, speech) for motion in motions])
        mean = raw.mean(0)
        if not speech:
            basis = np.diag(1 / (raw.std(0) + _LEAST_SPREAD))
        else:
            # Neighbouring states tell much the same, in thousands of numbers for hundreds of
            # frames; a query from all of them would know each frame by heart.
            _, sizes, rows = np.linalg.svd(raw - mean, full_matrices=False)
            kept = sizes[:_COMPONENTS]
            spread = np.maximum(kept, _LEAST_SHARE * max(kept[0], 1e-6)) / np.sqrt(len(raw))
            basis = rows[:_COMPONENTS] / spread[:, None]
        return DriverBasis(mean.astype(np.float32), basis.astype(np.float32), speech)

    def features(self, motion: MotionFrame) -> Float32[np.ndarray, " K"]:
        """``[K]`` of a frame; those of the clip's mean for a frame without speech."""
        if self.speech and motion.speech is None:
            return np.zeros(len(self.basis), np.float32)
        x = self.basis @ (_raw(motion, self.speech) - self.mean)
        return np.clip(x, -MOST_UNUSUAL, MOST_UNUSUAL)


def _raw(motion: MotionFrame, speech: bool) -> Float32[np.ndarray, " F"]:
    if not speech:
        return motion_features(motion)
    assert motion.speech is not None
    return np.asarray(motion.speech, np.float32).reshape(-1)
