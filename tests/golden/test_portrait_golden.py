"""The sample portrait's head as small pictures, so that no change of its looks goes unseen.

``make golden`` writes the pictures anew. On failure, what was drawn and the difference (×8) lie in
pytest's temporary folder, which the message names.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcli.compose import Compositor
from talkcli.compose.solid import solidify
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.build import PortraitConfig, build_portrait
from talkcli.render.cpu import rasterize
from talkcli.tracking.landmarks import Face
from talkcli.types import ARKIT_NAMES, MotionFrame

HERE = Path(__file__).parent
CASES: dict[str, tuple[float, dict[str, float]]] = {
    "front": (0.0, {}),
    "left_open": (25.0, {"jawOpen": 0.4, "mouthUpperUpLeft": 0.3, "mouthUpperUpRight": 0.3}),
    "right_round": (-25.0, {"jawOpen": 0.2, "mouthPucker": 0.8}),
    "blink": (0.0, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
}
# Another build of the landmark network or of numpy moves landmarks by hundredths of a pixel; that
# changes edges by a few levels, while a lost layer changes tens of levels in hundreds of pixels.
MEAN_LEVELS, EDGE_LEVELS = 1.5, 40.0


@pytest.fixture(scope="module")
def avatar(picture: np.ndarray, face: Face) -> PortraitAvatar:
    return build_portrait(picture, face, PortraitConfig(output_side=200, fit_iterations=6))


def drawn(avatar: PortraitAvatar, yaw: float, weights: dict[str, float]) -> np.ndarray:
    expression = np.zeros(52, np.float32)
    for name, value in weights.items():
        expression[ARKIT_NAMES.index(name)] = value
    zeros = np.zeros(3, np.float32)
    motion = MotionFrame(expression, zeros, zeros, np.zeros(2, np.float32))
    splats = avatar.posed_splats(motion, yaw)
    side = avatar.frame.crop_pixels
    arrays = (splats.means, splats.covars, splats.opacities, splats.colors)
    rgb, alpha = rasterize(*arrays, avatar.viewmat, avatar.K, side, side)
    solidify(rgb, alpha)
    return Compositor(avatar, bg="keep", size=200).frame(rgb, alpha).copy()


@pytest.mark.parametrize("name", CASES)
def test_head_looks_as_before(name: str, avatar: PortraitAvatar, tmp_path: Path) -> None:
    actual = drawn(avatar, *CASES[name])
    path = HERE / f"portrait_{name}.png"
    if os.environ.get("TALKCLI_UPDATE_GOLDEN"):
        cv2.imwrite(str(path), actual[..., ::-1])
    wanted = cv2.imread(str(path))[..., ::-1]
    assert actual.shape == wanted.shape
    difference = np.abs(actual.astype(float) - wanted)
    if difference.mean() > MEAN_LEVELS or np.quantile(difference, 0.999) > EDGE_LEVELS:
        cv2.imwrite(str(tmp_path / "actual.png"), actual[..., ::-1])
        cv2.imwrite(str(tmp_path / "difference.png"), np.clip(8 * difference, 0, 255)[..., ::-1])
        pytest.fail(f"{name} differs by {difference.mean():.2f} levels in the mean; see {tmp_path}")
