"""With landmarks, the network says how deep they are, and nothing else about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from talkcli.engines.splat_portrait.align import FOCAL
from talkcli.engines.splat_portrait.look import look_with
from talkcli.engines.splat_portrait.network import SplatPortraitNet
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD, euler_to_rotation
from tests.support.heads import write_network

SIDE = 160


def test_landmarks_stay_on_their_pixels(tmp_path: Path) -> None:
    model = FaceModel.load()
    turn = IMAGE_TO_HEAD @ euler_to_rotation(12.0, -4.0, 3.0)
    points = 3.4 * model.vertices @ turn.T + (SIDE / 2, SIDE / 2, 0)
    points[:, 2] /= DEPTH_SCALE
    network = SplatPortraitNet.load(write_network(tmp_path / "w.safetensors"))
    looked = look_with(network, torch.rand(1, 3, SIDE, SIDE), points, model)
    assert looked.face is not None
    x, y, z = looked.face.vertices.T
    shown = np.stack([x, y], 1) / z[:, None] * FOCAL * SIDE + SIDE / 2
    np.testing.assert_allclose(shown, points[:, :2], atol=1e-3)
    # Points of a parallel projection, seen by a pinhole at 1.1 m.
    np.testing.assert_allclose(looked.euler, (12, -4, 3), atol=3)
