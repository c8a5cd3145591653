"""The body that follows the head: how far it goes along, and the head's motion relative to it.

A body is moved as a whole, by a lean about the hips and a shift, as a function of the head's motion
alone. The camera that draws the head is moved with it, so that whatever a head's neck weight leaves
behind moves exactly as the torso in the picture does.

Figures come from clips of people who speak, by regression of the chest's travel (optical flow) on
the head's: .55 to .86 of the neck's own travel sideways, .1 to .2 of what a turn moves the face by,
.7° of lean per centimetre. In real clips, chest and face move in a ratio of .40 and .29, sideways
and up (medians of thirteen). A head that mostly turns, as idle motion does, needs a larger share of
its turns for that: in four films of speech the ratios are .33 to .36 and .29 to .36.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from talkcli.avatar import Camera, View
from talkcli.face.pose import (
    IMAGE_TO_HEAD,
    NECK_PIVOT,
    euler_to_rotation,
    orbit_matrix,
    rotation_to_euler,
)
from talkcli.shapes import Float
from talkcli.types import MotionFrame

#: Shares of the neck's travel, and of the face's travel by turning, sideways and up, by which a
#: body moves at the neck; the chest below, nearer to the hips, moves by three quarters of it.
_OF_NECK = np.array([0.7, 0.5, 0.0])
_OF_TURN = np.array([0.5, 0.33, 0.0])
#: The middle of the face in the head frame, cm.
_FACE = np.array([0.0, -1.0, 4.0])
#: From the neck's pivot down to the point that a body leans about, cm: .7° per centimetre.
_HIPS_CM = 80.0
#: By which throat and chest lie nearer to the camera than the neck's pivot, cm, as portraits are
#: built: splats without neck weight then move with the torso, but for 1 to 5 % of its way.
_THROAT_CM = 7.0
#: No body goes further than this, cm: it would uncover more of the background than is filled.
REACH_CM = 2.2


@dataclass(frozen=True)
class BodyMotion:
    """How a body has moved, as seen from the camera.

    Attributes:
        matrix: ``[4, 4]`` rigid, applied after ``viewmat``, in the camera's axes.
        affine: ``[2, 3]`` the same for pixels of the head's crop, whose first pixel has its centre
            at .5.
    """

    matrix: Float[np.ndarray, "4 4"]
    affine: Float[np.ndarray, "2 3"]

    def seen_after(self, orbit_deg: float, camera: Camera) -> BodyMotion:
        """The same motion as seen by a camera that has gone around the person.

        Args:
            orbit_deg: how far.
            camera: sees the source's pose, from where it has started.
        """
        around = orbit_matrix(camera.viewmat, orbit_deg)
        throat = camera.viewmat[:3, :3] @ NECK_PIVOT + camera.viewmat[:3, 3] - (0, 0, _THROAT_CM)
        points = throat + np.array([[0, 0, 0], [0, _HIPS_CM / 4, 0], [_HIPS_CM / 4, 0, 0]])
        before, after = (
            _pixels(points @ matrix[:3, :3].T + matrix[:3, 3], camera.K)
            for matrix in (around, around @ self.matrix)
        )
        affine = cv2.getAffineTransform(before, after)
        return BodyMotion(around @ self.matrix @ np.linalg.inv(around), affine)


def follow(
    motion: MotionFrame, camera: Camera, view: View
) -> tuple[BodyMotion | None, MotionFrame]:
    """How the body follows a head, and what is left of the head's motion on that body.

    Args:
        motion: of the head, relative to the source.
        camera: sees the source's pose.
        view: its turn replaces the source's yaw; the body keeps its side to that camera.

    Returns:
        The body's motion, or None where it stays, and the head's motion relative to it: seen on
        that body, the head is where ``motion`` has it.
    """
    if not (motion.rotation.any() or motion.translation.any()):
        return None, motion
    source = IMAGE_TO_HEAD @ camera.viewmat[:3, :3]
    yaw, pitch, roll = rotation_to_euler(source)
    turned = euler_to_rotation(*(np.array([yaw, pitch, roll]) + motion.rotation))
    by_turn = (turned @ source.T - np.eye(3)) @ source @ (_FACE - NECK_PIVOT)
    by_neck = source @ motion.translation
    shift = _limited(_OF_TURN * by_turn + _OF_NECK * by_neck)
    lean = -shift[0] / _HIPS_CM  # counter-clockwise as seen, for y up
    tilt = np.array(
        [
            [math.cos(lean), -math.sin(lean), 0],
            [math.sin(lean), math.cos(lean), 0],
            [0, 0, 1],
        ]
    )
    body = _body(tilt, shift, camera)
    # The head's own pose, as seen from a body that has moved already.
    base = np.array([yaw if view.turned_deg is None else view.turned_deg, pitch, roll])
    rotation = rotation_to_euler(tilt.T @ euler_to_rotation(*(base + motion.rotation)))
    hips = np.array([0, -_HIPS_CM, 0])
    rise = np.array([0, shift[1], 0])
    translation = source.T @ (tilt.T @ (by_neck - rise - hips) + hips)
    return body, replace(
        motion,
        rotation=(rotation - base).astype(np.float32),
        translation=translation.astype(np.float32),
    )


def _pixels(points: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Points ``[n, 3]`` before a camera to pixels ``[n, 2]``."""
    return ((points / points[:, 2:]) @ K[:2].T).astype(np.float32)


def _limited(shift: np.ndarray) -> np.ndarray:
    """The shift, bent off softly before :data:`REACH_CM`."""
    length = float(np.linalg.norm(shift))
    return shift * (REACH_CM * math.tanh(length / REACH_CM) / length) if length else shift


def _body(tilt: np.ndarray, shift: np.ndarray, camera: Camera) -> BodyMotion:
    """The motion about the hips below the neck of ``camera``'s head, by a tilt with y up."""
    turn = IMAGE_TO_HEAD @ tilt @ IMAGE_TO_HEAD
    neck = camera.viewmat[:3, :3] @ NECK_PIVOT + camera.viewmat[:3, 3]
    hips = neck + np.array([0, _HIPS_CM, 0])
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = hips - turn @ hips + (0, -shift[1], 0)
    # At the distance of the throat and the chest, pixels are a multiple of centimetres.
    scale = camera.K[0, 0] / (neck[2] - _THROAT_CM)
    centre = camera.K[:2, 2]
    linear = matrix[:2, :2]
    offset = scale * matrix[:2, 3] + centre - linear @ centre
    return BodyMotion(matrix, np.column_stack([linear, offset]))
