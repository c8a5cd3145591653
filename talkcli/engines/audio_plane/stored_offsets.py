"""Driven offsets as arrays of a file, whichever engine's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from talkcli.engines.audio_plane.offsets import FEATURES, DrivenOffsets, Mixer
from talkcli.files.tensors import Rule, Tensors

_FAR = 1e4
#: Offsets beyond these would be a diverged fit: centimetres, logarithm of size, sRGB levels.
_MOST_OFFSET = 50.0

#: Requirements of the arrays, for :class:`talkcli.files.tensors.TensorSchema`.
OFFSET_RULES: Mapping[str, Rule] = {
    "offsets.index": Rule("M", "i", low=0),
    "offsets.shapes": Rule("K M 7", low=-_MOST_OFFSET, high=_MOST_OFFSET),
    "mixer.mean": Rule(f"{FEATURES}"),
    "mixer.scale": Rule(f"{FEATURES}", low=1e-3),
    "mixer.hidden_weight": Rule(f"H {FEATURES}", low=-_FAR, high=_FAR),
    "mixer.hidden_bias": Rule("H", low=-_FAR, high=_FAR),
    "mixer.weight": Rule("K H", low=-_FAR, high=_FAR),
    "mixer.bias": Rule("K", low=-_FAR, high=_FAR),
}


def offset_tensors(offsets: DrivenOffsets) -> Tensors:
    """The arrays of some offsets, their shapes in half precision."""
    return {
        "offsets.index": offsets.index.astype(np.int32),
        "offsets.shapes": offsets.shapes.astype(np.float16),
        **{f"mixer.{name}": array for name, array in vars(offsets.mixer).items()},
    }


def offsets_of(tensors: Tensors) -> DrivenOffsets:
    """The offsets of a file's arrays."""
    mixer = Mixer(**{n.split(".")[1]: a for n, a in tensors.items() if n.startswith("mixer.")})
    return DrivenOffsets(tensors["offsets.index"], tensors["offsets.shapes"], mixer)


def fits(index: np.ndarray, splats: int | None = None) -> bool:
    """Whether an index is rising and, if their number is known, names only splats there are."""
    rising = not np.any(np.diff(index) <= 0)
    return rising and (splats is None or not len(index) or int(index.max()) < splats)
