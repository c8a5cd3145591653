"""How deep is this face? FaceMesh's depth fits some faces and flattens others.

A head that is too flat seems to turn less than it is told to, one too deep seems to turn more.
So the head is built small, turned to both sides, and looked at with FaceMesh again: the depth is
scaled until it answers a turn of 50° with 50°. On portraits the factor found lies between 0.8 and
1.5; on clips it agrees with the one at which views of the same head reproject best.
"""

from __future__ import annotations

import cv2
import numpy as np

from talkcli.avatar.portrait import PortraitAvatar
from talkcli.portrait.assemble import assemble_avatar
from talkcli.portrait.crop import Crop
from talkcli.portrait.geometry import head_geometry
from talkcli.render.cpu import rasterize
from talkcli.tracking.facemodel import FaceModel
from talkcli.tracking.headfit import DEPTH_SCALE, fit_pose, rotation_to_euler
from talkcli.tracking.landmarks import landmarks_in_crop
from talkcli.tracking.matte import Matte
from talkcli.types import MotionFrame

#: Side of the trial crop: FaceMesh itself sees 256 pixels or fewer.
_TRIAL_PX = 256
_TRIAL_YAW_DEG = 25.0
_TRIAL_SCALES = (1.0, 1.4)
_LOWEST, _HIGHEST = 0.8, 1.55


def calibrated_depth_scale(crop: Crop, matte: Matte, model: FaceModel) -> float:
    """The factor on FaceMesh's depth at which the head turns as far as it is told to.

    Args:
        crop: the head's square.
        matte: of the crop.
        model: face template.

    Returns:
        A factor between 0.8 and 1.55; the usual 1.1 where the face is not found again.
    """
    small_crop, small_matte = _shrunk(crop, matte)
    answers = []
    for scale in _TRIAL_SCALES:
        answer = _answer(small_crop, small_matte, model, scale)
        if answer is None:
            return DEPTH_SCALE
        answers.append(answer)
    slope = (answers[1] - answers[0]) / (_TRIAL_SCALES[1] - _TRIAL_SCALES[0])
    # Deeper heads must answer more; where noise says otherwise, nothing can be learned.
    if slope < 0.1:
        return DEPTH_SCALE
    wanted = _TRIAL_SCALES[0] + (1 - answers[0]) / slope
    return float(np.clip(wanted, _LOWEST, _HIGHEST))


def _shrunk(crop: Crop, matte: Matte) -> tuple[Crop, Matte]:
    ratio = min(1.0, _TRIAL_PX / len(crop.rgb))
    side = round(len(crop.rgb) * ratio)
    ratio = side / len(crop.rgb)

    def resized(image: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))

    x0, y0, x1, y1 = (round(v * ratio) for v in crop.inside)
    small = Crop(resized(crop.rgb), None, crop.points * ratio, (x0, y0, x1, y1), crop.frame)
    return small, Matte(resized(matte.alpha), resized(matte.foreground))


def _answer(crop: Crop, matte: Matte, model: FaceModel, depth_scale: float) -> float | None:
    """Apparent turn over commanded turn between both trial views; None when the face is lost."""
    geometry = head_geometry(crop.points, matte.alpha, model, depth_scale)
    grey = np.full_like(crop.rgb, 0.5)
    empty = np.zeros((1, 1, 4), np.uint8)
    avatar = assemble_avatar(empty, crop, matte, geometry, grey, model)
    seen = [
        _apparent_yaw(avatar, len(crop.rgb), yaw, model)
        for yaw in (-_TRIAL_YAW_DEG, _TRIAL_YAW_DEG)
    ]
    if seen[0] is None or seen[1] is None:
        return None
    return (seen[1] - seen[0]) / (2 * _TRIAL_YAW_DEG)


def _apparent_yaw(avatar: PortraitAvatar, side: int, yaw: float, model: FaceModel) -> float | None:
    splats = avatar.posed_splats(MotionFrame.neutral(), yaw)
    arrays = (splats.means, splats.covars, splats.opacities, splats.colors)
    rgb, alpha = rasterize(*arrays, avatar.viewmat, avatar.K, side, side)
    shown = np.clip(rgb + (1 - alpha[..., None]) * avatar.plate, 0, 1)
    points = landmarks_in_crop((shown * 255).astype(np.uint8))
    if points is None:
        return None
    pose = fit_pose(points * (1, 1, DEPTH_SCALE), model.vertices)
    return rotation_to_euler(pose.rotation)[0]
