"""Corrects FaceMesh's depth and yaw by applying FaceMesh again to views of the built head.

FaceMesh's depth suits some faces and flattens others: a head that is too flat appears to turn less
than commanded, and one that is too deep appears to turn more. The yaw of a single picture may also
be a few degrees off. So a small head is built and turned, and FaceMesh is applied to it again: the
depth is scaled until a turn of 50° is measured as 50°, and the source's yaw is shifted until the
views turned to either side are equally far off. How much a turn grows with the depth is much the
same for all faces, so that a second head has nearly the right depth already. On portraits, the
factor found lies between 0.8 and 1.5; on clips, it agrees with the factor at which views of the
same head reproject best.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from talkcli.avatar import View
from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.assemble import assemble_avatar
from talkcli.engines.portrait.build.crop import Crop
from talkcli.engines.portrait.build.geometry import head_geometry, place_landmarks
from talkcli.engines.portrait.build.images import fill_smooth
from talkcli.engines.portrait.build.neutral import neutralise
from talkcli.engines.portrait.build.shell import shell_group
from talkcli.engines.portrait.mouth_light import find_contact_shade
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, fit_pose, rotation_to_euler
from talkcli.layers.matte import Matte
from talkcli.render.player import Player, draw_head
from talkcli.render.player import player as make_player
from talkcli.tracking.landmarks import landmarks_in_crop
from talkcli.types import MotionFrame

#: Side of the trial crop. FaceMesh sees 256 pixels of it or fewer, but results on smaller heads
#: differ from those on large ones. Over 32 portraits, the mean differences from a trial at 512 are
#: .033 in scale and .25° in yaw at 288 as at 320 pixels, and .039 and .32° at 256; the sample turns
#: a degree less after a trial at 288, for a tenth of a second.
_TRIAL_PX = 320
_TRIAL_YAWS_DEG = (-25.0, 0.0, 25.0)
_LOWEST, _HIGHEST = 0.8, 1.55
#: By how much the views' error per degree of turn grows with the depth scale. Over 64 portraits,
#: the median is .6 and nine of ten lie between these limits.
_RATE, _LEAST_RATE, _MOST_RATE = 0.6, 0.4, 0.8
#: A first trial this close to the answer needs no second one: repeated with other sizes of the
#: trial crop, answers differ by .02 on average.
_CLOSE = 0.03
#: Grid step of the trial's shell, which hardly shows at 25°, and has no texture.
_trial_shell = partial(shell_group, step=2.1, textured=False)
#: Largest shift of the source's yaw, degrees.
_LARGEST_OFFSET_DEG = 3.5


@dataclass(frozen=True)
class Calibration:
    """Corrections found by the second measurement.

    Attributes:
        depth_scale: factor on FaceMesh's depth, 0.8–1.55.
        yaw_offset: degrees to add to the source's yaw.
    """

    depth_scale: float = DEPTH_SCALE
    yaw_offset: float = 0.0


def calibrate(crop: Crop, matte: Matte, model: FaceModel) -> Calibration:
    """Find the depth and yaw at which the head appears to turn as far as commanded.

    Args:
        crop: the head's square.
        matte: matte of the crop.
        model: face template.

    Returns:
        The correction; the default depth and no offset if the face is not found again.
    """
    small_crop, small_matte = _shrunk(crop, matte)
    # The neutral expression hardly depends on the face's depth.
    _, pose, vertices = place_landmarks(small_crop.points, len(small_crop.rgb), model)
    neutral = neutralise(pose.to_head(vertices), model)
    behind = fill_smooth(small_crop.rgb, 1.0 - small_matte.alpha)
    nothing = np.zeros((1, 1, 4), np.uint8)

    def ask(scale: float) -> tuple[float, float, float] | None:
        """The scale, the views' error per degree of turn, and their mean error in degrees."""
        geometry = head_geometry(small_crop.points, small_matte.alpha, model, scale)
        trial = assemble_avatar(
            nothing, small_crop, small_matte, geometry, behind, model, neutral, _trial_shell
        )
        head = trial.avatar
        head.contact = find_contact_shade(head.splats, head.viewmat, head.K)
        errors = _yaw_errors(head, model)
        if errors is None:
            return None
        slope = float(np.polyfit(_TRIAL_YAWS_DEG, errors, 1)[0])
        return scale, slope, float(np.mean(errors))

    first = ask(1.0)
    if first is None:
        return Calibration()
    # Deeper heads appear to turn more.
    expected = float(np.clip(1.0 - first[1] / _RATE, _LOWEST, _HIGHEST))
    if abs(expected - 1.0) < _CLOSE:
        return _calibration(expected, first[2])
    second = ask(expected)
    if second is None:
        return Calibration()
    rate = np.clip((second[1] - first[1]) / (expected - 1.0), _LEAST_RATE, _MOST_RATE)
    scale, slope, offset = min(first, second, key=lambda answer: abs(answer[1]))
    return _calibration(scale - slope / rate, offset)


def _calibration(scale: float, offset: float) -> Calibration:
    return Calibration(
        float(np.clip(scale, _LOWEST, _HIGHEST)),
        float(np.clip(offset, -_LARGEST_OFFSET_DEG, _LARGEST_OFFSET_DEG)),
    )


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
    """Apparent minus commanded yaw of the trial views; None if the face is not found."""
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
    # Not made solid, since the limits and steps above were measured on heads drawn this way.
    rgb, alpha = draw_head(player, avatar, MotionFrame.neutral(), View(yaw))
    shown = np.clip(rgb + (1 - alpha[..., None]) * avatar.plate, 0, 1)
    points = landmarks_in_crop((shown * 255).astype(np.uint8))
    if points is None:
        return None
    pose = fit_pose(points * (1, 1, DEPTH_SCALE), model.vertices)
    return rotation_to_euler(pose.rotation)[0]
