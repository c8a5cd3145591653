"""Landmarks that are kept come back as they were, and damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from talkcli.tracking.spool import LandmarkSpool, Measured


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    with LandmarkSpool() as spool:
        for k in range(5):
            points = None if k == 2 else rng.normal(size=(478, 3)).astype(np.float32)
            spool.append(Measured(k / 25, points, float(k)))
        spool.save(tmp_path)
    return tmp_path


def test_kept_landmarks_are_the_same(kept: Path) -> None:
    rng = np.random.default_rng(0)
    with LandmarkSpool.open(kept) as spool:
        assert (len(spool), spool.found) == (5, 4)
        np.testing.assert_allclose(spool.middles, (np.arange(5) + 0.5) / 25)
        for k, frame in enumerate(spool):
            assert frame.sharpness == k
            if k == 2:
                assert frame.points is None and spool.points(k) is None
            else:
                np.testing.assert_array_equal(
                    frame.points, rng.normal(size=(478, 3)).astype(np.float32)
                )


def test_damage_is_refused(kept: Path) -> None:
    frames = np.load(kept / "frames.npy")
    for wrong in (frames[:4], frames[::-1], frames[:, :1], np.full((5, 2), np.nan)):
        np.save(kept / "frames.npy", wrong)
        with pytest.raises(ValueError, match="frames"):
            LandmarkSpool.open(kept)
    np.save(kept / "frames.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        LandmarkSpool.open(kept)
