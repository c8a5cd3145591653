"""How deep is this face, and how far is it turned? FaceMesh asked again about its own answer.

FaceMesh's depth fits some faces and flattens others: a head that is too flat seems to turn less
than it is told to, one too deep seems to turn more. And its yaw of a single picture may be a few
degrees off. So the head is built small, turned, and looked at with FaceMesh again: the depth is
scaled until it answers a turn of 50° with 50°, and the source's yaw is moved until the turned
views are off by as much to one side as to the other. On portraits the factor found lies between
0.8 and 1.5; on clips it agrees with the one at which views of the same head reproject best.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from talkcli.avatar import View
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.assemble import assemble_avatar
from talkcli.engines.portrait.build.crop import Crop
from talkcli.engines.portrait.build.geometry import head_geometry
from talkcli.engines.portrait.build.images import fill_smooth
from talkcli.engines.portrait.build.neutral import neutralise
from talkcli.engines.portrait.mouth_light import find_contact_shade
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, fit_pose, rotation_to_euler
from talkcli.layers.matte import Matte
from talkcli.render.player import Player, draw_head
from talkcli.render.player import player as make_player
from talkcli.tracking.landmarks import landmarks_in_crop
from talkcli.types import MotionFrame

#: Side of the trial crop. FaceMesh sees 256 pixels of it or fewer, but smaller heads answer
#: differently from large ones by a degree or two.
_TRIAL_PX = 320
_TRIAL_YAWS_DEG = (-25.0, 0.0, 25.0)
_TRIAL_SCALES = (1.0, 1.4)
_LOWEST, _HIGHEST = 0.8, 1.55
#: The source's yaw is moved by this much at most, degrees.
_LARGEST_OFFSET_DEG = 3.5


@dataclass(frozen=True)
class Calibration:
    """What a second look corrects.

    Attributes:
        depth_scale: factor on FaceMesh's depth, 0.8–1.55.
        yaw_offset: degrees to add to the source's yaw.
    """

    depth_scale: float = DEPTH_SCALE
    yaw_offset: float = 0.0


def calibrate(crop: Crop, matte: Matte, model: FaceModel) -> Calibration:
    """Depth and yaw at which the head looks as far turned as it is told to.

    Args:
        crop: the head's square.
        matte: of the crop.
        model: face template.

    Returns:
        The usual depth and no offset where the face is not found again.
    """
    small_crop, small_matte = _shrunk(crop, matte)
    answers: list[tuple[float, float, float]] = []
    # How the face relaxes hardly depends on its depth.
    flat = head_geometry(small_crop.points, small_matte.alpha, model)
    neutral = neutralise(flat.pose.to_head(flat.vertices), model)

    behind = fill_smooth(small_crop.rgb, 1.0 - small_matte.alpha)
    nothing = np.zeros((1, 1, 4), np.uint8)

    def ask(scale: float) -> bool:
        geometry = head_geometry(small_crop.points, small_matte.alpha, model, scale)
        trial = assemble_avatar(nothing, small_crop, small_matte, geometry, behind, model, neutral)
        head = trial.avatar
        head.contact = find_contact_shade(head.splats, head.viewmat, head.K)
        errors = _yaw_errors(head, model)
        if errors is not None:
            slope = float(np.polyfit(_TRIAL_YAWS_DEG, errors, 1)[0])
            answers.append((scale, slope, float(np.mean(errors))))
        return errors is not None

    if not all(ask(scale) for scale in _TRIAL_SCALES):
        return Calibration()
    # Deeper heads must answer more; where noise says otherwise, nothing more can be learned.
    (low, slope, _), (high, steeper, _) = answers
    rate = (steeper - slope) / (high - low)
    if rate > 0.1:
        ask(float(np.clip(low - slope / rate, _LOWEST, _HIGHEST)))
    _, scale, offset = min((abs(slope), scale, offset) for scale, slope, offset in answers)
    return Calibration(scale, float(np.clip(offset, -_LARGEST_OFFSET_DEG, _LARGEST_OFFSET_DEG)))


def _shrunk(crop: Crop, matte: Matte) -> tuple[Crop, Matte]:
    ratio = min(1.0, _TRIAL_PX / len(crop.rgb))
    side = round(len(crop.rgb) * ratio)
    ratio = side / len(crop.rgb)

    def resized(image: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))

    x0, y0, x1, y1 = (round(v * ratio) for v in crop.inside)
    small = Crop(resized(crop.rgb), None, crop.points * ratio, (x0, y0, x1, y1), crop.frame)
    return small, Matte(resized(matte.alpha), resized(matte.foreground))


def _yaw_errors(avatar: PortraitAvatar, model: FaceModel) -> list[float] | None:
    """Apparent minus commanded yaw of the trial views; None when the face is lost."""
    errors, player = [], make_player("cpu")
    for yaw in _TRIAL_YAWS_DEG:
        seen = _apparent_yaw(player, avatar, yaw, model)
        if seen is None:
            return None
        errors.append(seen - yaw)
    return errors


def _apparent_yaw(
    player: Player, avatar: PortraitAvatar, yaw: float, model: FaceModel
) -> float | None:
    # Not made solid: the limits and steps above were measured on heads drawn so.
    rgb, alpha = draw_head(player, avatar, MotionFrame.neutral(), View(yaw))
    shown = np.clip(rgb + (1 - alpha[..., None]) * avatar.plate, 0, 1)
    points = landmarks_in_crop((shown * 255).astype(np.uint8))
    if points is None:
        return None
    pose = fit_pose(points * (1, 1, DEPTH_SCALE), model.vertices)
    return rotation_to_euler(pose.rotation)[0]
