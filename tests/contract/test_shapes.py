"""Arrays of a wrong shape or type do not get past the annotations while tests run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from talkcli.types import Cameras, Gaussians, MotionFrame, SplatArrays

f32 = np.float32


def frame(**changed: np.ndarray) -> MotionFrame:
    arrays = {
        "expression": np.zeros(52, f32),
        "rotation": np.zeros(3, f32),
        "translation": np.zeros(3, f32),
        "gaze": np.zeros(2, f32),
    }
    return MotionFrame(**{**arrays, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"expression": np.zeros(51, f32)},
        {"expression": np.zeros((1, 52), f32)},
        {"rotation": np.zeros(3, np.int64)},
        {"gaze": [0.0, 0.0]},
    ],
)
def test_a_frame_of_wrong_shape_or_type_fails(changed) -> None:
    frame()
    with pytest.raises(TypeError, match=next(iter(changed))):
        frame(**changed)


def test_fields_share_their_count() -> None:
    def splats(colours: int) -> SplatArrays:
        return SplatArrays(
            np.zeros((5, 3), f32),
            np.zeros((5, 6), f32),
            np.zeros(5, f32),
            np.zeros((colours, 3), f32),
        )

    assert len(splats(5)) == 5
    with pytest.raises(TypeError, match="colors"):
        splats(4)


def test_tensors_are_checked_too() -> None:
    three, one = torch.zeros(5, 3), torch.zeros(5)
    assert len(Gaussians(three, one, three, covars=torch.zeros(5, 6))) == 5
    with pytest.raises(TypeError, match="covars"):
        Gaussians(three, one, three, covars=torch.zeros(5, 9))
    with pytest.raises(TypeError, match="viewmats"):
        Cameras(np.eye(4, dtype=f32)[None], torch.eye(3)[None], 8, 8)
