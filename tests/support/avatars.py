"""An avatar that takes no time to make."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from talkcli.engines.portrait.avatar import PictureFrame, PortraitAvatar
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.model import FaceModel

TINY_SPLATS, TINY_DYNAMIC, TINY_SIDE = 64, 48, 32


def tiny_avatar() -> PortraitAvatar:
    """A few splats in front of a face; nothing to look at, everything to store."""
    rng = np.random.default_rng(3)
    widths = {"neighbours": 4, "vertices": 4, "weights": 4, "weight_slope": 2, "positions": 3}
    widths |= {"tangent_u": 3, "tangent_v": 3, "colors": 3, "normals": 3}
    arrays: dict[str, Any] = {}
    for item in fields(RestSplats):
        shape = (TINY_SPLATS, widths[item.name]) if item.name in widths else (TINY_SPLATS,)
        # Quarters are exact in half floats.
        arrays[item.name] = (rng.integers(0, 5, shape) / 4).astype(np.float32)
    arrays["neighbours"] = rng.integers(0, TINY_SPLATS, (TINY_SPLATS, 4)).astype(np.int32)
    arrays["vertices"] = rng.integers(0, 468, (TINY_SPLATS, 4)).astype(np.int32)
    arrays["layers"] = rng.integers(0, max(Layer) + 1, TINY_SPLATS).astype(np.int32)
    face = FaceModel.load()
    viewmat = np.diag([1.0, -1.0, -1.0, 1.0]).astype(np.float32)
    viewmat[2, 3] = 100
    return PortraitAvatar(
        splats=RestSplats(**arrays),
        dynamic=TINY_DYNAMIC,
        vertices=face.vertices,
        neutral_shift=np.zeros((478, 3), np.float32),
        basis=face.basis,
        eye_centres=np.array([[-3, 3, 3], [3, 3, 3]], np.float32),
        rotation=np.eye(3, dtype=np.float32),
        viewmat=viewmat,
        K=np.array([[90, 0, 16], [0, 90, 16], [0, 0, 1]], np.float32),
        frame=PictureFrame(40, 50, 4, 4, TINY_SIDE, TINY_SIDE),
        source=rng.integers(0, 256, (50, 40, 4)).astype(np.uint8),
        plate=(rng.integers(0, 256, (TINY_SIDE, TINY_SIDE, 3)) / 255).astype(np.float32),
        torso=rng.integers(0, 256, (50, 40)).astype(np.uint8),
    )
