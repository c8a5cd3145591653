"""Changes of a frame, added to the splats that they are for."""

from __future__ import annotations

import numpy as np

from talkcli.engines.audio_plane.apply import add_offsets


def test_only_the_splats_named_change() -> None:
    rng = np.random.default_rng(8)
    index = np.array([1, 4, 5, 9], np.int32)
    offsets = rng.normal(size=(4, 7)).astype(np.float32)
    before = [rng.uniform(1, 2, s).astype(np.float32) for s in ((12, 3), (12,), (12, 3))]
    positions, spread, colors = (array.copy() for array in before)
    add_offsets(index, offsets, positions, spread, colors)
    wanted = [array.copy() for array in before]
    wanted[0][index] += offsets[:, :3]
    wanted[1][index] *= np.exp(2 * offsets[:, 3])
    wanted[2][index] += offsets[:, 4:]
    for found, right in zip((positions, spread, colors), wanted, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-6)
