"""What the renderer's tests share: which back-ends run here, and when two images agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from talkcli.avatar import Camera
from talkcli.render.backend import cuda_obstacle
from talkcli.render.cpu import RasterSettings, rasterize
from talkcli.types import SplatArrays
from tests.support.scenes import Scene

_missing = cuda_obstacle()
needs_cuda = pytest.mark.skipif(_missing is not None, reason=_missing[0] if _missing else "")
FAST_BACKENDS = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])]

#: Single precision against double; the largest error seen over these scenes is 4e-6. Over many
#: seeds, needles given by covariances reach 1.5e-5: their conics cancel, and the reference, run in
#: single precision, comes to 0.8e-5 on the same ones.
IMAGE_TOLERANCE = 1e-5
#: Rounding decides whether alpha counts as 1/255 or less, and whether a pixel stops one splat
#: earlier. Either moves one pixel by at most 1/255 of a colour, here and there.
FLIP = 1 / 255
FLIPPED_SHARE = 2e-3


def assert_images_agree(actual: np.ndarray, expected: np.ndarray, scale: float = 1.0) -> None:
    """Equal to ``IMAGE_TOLERANCE`` outside isolated flips."""
    error = np.abs(np.asarray(actual, np.float64) - np.asarray(expected, np.float64)) / scale
    assert error.max(initial=0) <= 1.05 * FLIP
    flipped = np.count_nonzero(error > IMAGE_TOLERANCE)
    assert flipped <= max(1, FLIPPED_SHARE * error.size), f"{flipped} of {error.size} differ"


def as_arrays(scene: Scene) -> tuple[SplatArrays, Camera]:
    """A scene given by covariances, in its first camera, for the numpy renderer."""
    g, c = scene.gaussians, scene.cameras
    arrays = (t.float().numpy() for t in (g.means, g.covars, g.opacities, g.colors))
    camera = Camera(c.viewmats[0].numpy(), c.Ks[0].numpy(), c.width, c.height)
    return SplatArrays(*arrays), camera


def play(scene: Scene, threads: int | None = None, **options: Any) -> tuple[np.ndarray, ...]:
    """Render the first camera of a scene given by covariances."""
    return rasterize(*as_arrays(scene), settings=RasterSettings(threads=threads), **options)
