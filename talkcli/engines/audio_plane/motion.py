"""The motion of a clip as its avatar has to make it, so that what is drawn covers what is seen.

Tracking measures a head against the person's median face; an avatar turns the face of one frame
about a neck. The few pixels between the two would blur everything that is fitted, so each frame's
pose is corrected until the avatar's rigid landmarks lie on the measured ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter1d

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.face.pose import NECK_PIVOT
from talkcli.face.topology import RIGID
from talkcli.shapes import Float
from talkcli.types import MotionCurves, MotionFrame

#: Landmarks tremble by a fraction of a pixel from frame to frame, and heads do not: corrections
#: are smoothed over this many frames (standard deviation).
_SMOOTH_FRAMES = 1.5
#: A correction moves the head, which the next one sees from a slightly different side.
_ROUNDS = 2


def aligned_motion(
    avatar: PortraitAvatar, motion: MotionCurves, points: Float[np.ndarray, "n 478 3"]
) -> MotionCurves:
    """Correct the poses of a clip so that the avatar's face lies on the measured landmarks.

    Args:
        avatar: of the clip's source frame.
        motion: from :func:`talkcli.motion.retarget.relative_to`.
        points: ``[n, 478, 3]`` landmarks in pixels of the avatar's picture.

    Returns:
        The curves with corrected rotation (roll alone) and translation.
    """
    frame = avatar.frame
    scale = frame.crop_pixels / frame.crop_side
    seen = (points[:, list(RIGID), :2] - (frame.crop_x, frame.crop_y)) * scale
    for _ in range(_ROUNDS):
        corrections = [
            _correction(avatar, pose, target)
            for pose, target in zip(motion.frames, seen, strict=True)
        ]
        smooth = gaussian_filter1d(np.array(corrections), _SMOOTH_FRAMES, axis=0, mode="nearest")
        rotation = motion.rotation.copy()
        rotation[:, 2] += smooth[:, 3]
        translation = motion.translation + smooth[:, :3]
        motion = replace(
            motion,
            rotation=rotation.astype(np.float32),
            translation=translation.astype(np.float32),
        )
    return motion


def face_pixels(avatar: PortraitAvatar, motion: MotionFrame) -> Float[np.ndarray, "478 3"]:
    """``[478, 3]`` the face's vertices in crop pixels and, last, their depth in centimetres."""
    rotation = avatar.head_rotation(motion, None)
    face = avatar.vertices + avatar.displacement(motion)
    world = (face - NECK_PIVOT) @ rotation.T + motion.translation + NECK_PIVOT
    seen = world @ avatar.viewmat[:3, :3].T + avatar.viewmat[:3, 3]
    pixels = seen @ avatar.K.T
    return np.asarray(np.column_stack([pixels[:, :2] / pixels[:, 2:], seen[:, 2]]))


def _correction(avatar: PortraitAvatar, motion: MotionFrame, target: np.ndarray) -> np.ndarray:
    """``[4]`` shift in centimetres of the world and roll in degrees that a frame lacks."""
    drawn = face_pixels(avatar, motion)[list(RIGID)]
    depth = float(drawn[:, 2].mean())
    here, there = drawn[:, :2], target
    a, b = here - here.mean(0), there - there.mean(0)
    # The least-squares similarity as one complex number: its size is the scale, its angle the turn.
    along = float((a * b).sum())
    across = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    square = float((a**2).sum())
    size = float(np.hypot(along, across)) / square
    away = (there.mean(0) - here.mean(0)) * depth / avatar.K[0, 0]
    camera_shift = np.array([away[0], away[1], depth / size - depth])
    # Roll > 0 is clockwise as seen, as are angles in pixels, whose y points down.
    return np.append(avatar.viewmat[:3, :3].T @ camera_shift, np.degrees(np.arctan2(across, along)))
