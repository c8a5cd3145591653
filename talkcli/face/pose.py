"""Head pose from landmarks: a similarity transform of the rigid vertices, and Euler angles.

Angles follow ``docs/conventions.md``: yaw > 0 turns the face to the subject's left, pitch > 0
looks up, roll > 0 tilts clockwise as seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from talkcli.face.topology import RIGID
from talkcli.shapes import Float

#: Factor on FaceMesh's depth, which is too flat: on multi-view clips, reprojection is best between
#: 1.0 and 1.7; with this factor the yaw detected on a head rendered at 30° rises from 25° to 27°.
DEPTH_SCALE = 1.1
#: From image axes (x right, y down, z away) to head axes seen from the front (x, y up, z out).
IMAGE_TO_HEAD = np.diag([1.0, -1.0, -1.0])
#: Centre of the head's rotation: top of the neck, behind the jaw. Head frame, centimetres.
NECK_PIVOT = np.array([0.0, -5.0, -5.5])


@dataclass(frozen=True)
class HeadPose:
    """``image ≈ scale · IMAGE_TO_HEAD · rotation · head + shift``.

    Attributes:
        scale: pixels per centimetre.
        rotation: ``[3, 3]`` head frame to frontal head frame (identity for a frontal face).
        shift: ``[3]`` image position of the head frame's origin, pixels (z as FaceMesh's).
    """

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    shift: Float[np.ndarray, " 3"]

    def to_head(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Convert image points ``[..., 3]`` (pixels, scaled depth) to the head frame, in cm.

        Here and back, in the precision of the points.
        """
        turn = (IMAGE_TO_HEAD @ self.rotation / self.scale).astype(points.dtype)
        return (points - self.shift.astype(points.dtype)) @ turn

    def to_image(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Convert head-frame points ``[..., 3]`` in centimetres to image pixels with depth."""
        turn = (self.scale * IMAGE_TO_HEAD @ self.rotation).T.astype(points.dtype)
        return points @ turn + self.shift.astype(points.dtype)


def fit_similarity(
    source: Float[np.ndarray, "n 3"], target: Float[np.ndarray, "n 3"]
) -> tuple[float, Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """Fit ``target ≈ scale · source @ rotation.T + shift`` by least squares.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", 1991, equations 40–42.

    Args:
        source: ``[n, 3]``.
        target: ``[n, 3]``.
    """
    centre_s, centre_t = source.mean(0), target.mean(0)
    a, b = source - centre_s, target - centre_t
    u, singular, vt = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = float((singular * signs).sum() / (a * a).sum())
    return scale, rotation, centre_t - scale * rotation @ centre_s


def fit_pose(points: Float[np.ndarray, "478 3"], template: Float[np.ndarray, "478 3"]) -> HeadPose:
    """Fit the pose of landmarks relative to a template.

    Args:
        points: ``[478, 3]`` image landmarks (pixels, depth already scaled by ``DEPTH_SCALE``).
        template: ``[478, 3]`` head frame, centimetres.
    """
    rigid = list(RIGID)
    scale, rotation, shift = fit_similarity(template[rigid], points[rigid])
    return HeadPose(scale, IMAGE_TO_HEAD @ rotation, shift)


def landmarks_in_head_frame(
    points: Float[np.ndarray, "478 3"], template: Float[np.ndarray, "478 3"]
) -> Float[np.ndarray, "478 3"]:
    """Landmarks freed of pose and scale: ``[478, 3]`` head frame, centimetres.

    Args:
        points: ``[478, 3]`` as FaceMesh gives them, depth not yet scaled.
        template: as for ``fit_pose``.
    """
    scaled = points * (1.0, 1.0, DEPTH_SCALE)
    return fit_pose(scaled, template).to_head(scaled)


def euler_to_rotation(yaw: float, pitch: float, roll: float) -> Float[np.ndarray, "3 3"]:
    """``[3, 3]`` rotation in the head frame from degrees: roll first, then pitch, then yaw."""
    y, p, r = math.radians(yaw), math.radians(-pitch), math.radians(-roll)
    about_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(p), -math.sin(p)], [0, math.sin(p), math.cos(p)]])
    about_z = np.array([[math.cos(r), -math.sin(r), 0], [math.sin(r), math.cos(r), 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def rotation_to_euler(rotation: Float[np.ndarray, "3 3"]) -> tuple[float, float, float]:
    """Yaw, pitch, roll in degrees; inverse of ``euler_to_rotation`` for |pitch| < 90°."""
    pitch = np.arcsin(np.clip(rotation[1, 2], -1, 1))
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    roll = -np.arctan2(rotation[1, 0], rotation[1, 1])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def orbit_matrix(viewmat: Float[np.ndarray, "4 4"], orbit_deg: float) -> Float[np.ndarray, "4 4"]:
    """``[4, 4]`` a camera's way around the person, to be applied after ``viewmat``.

    The person turns about the camera's vertical through the top of the neck, as a head does that is
    turned by yaw alone, so that a head keeps its place in the picture.

    Args:
        viewmat: ``[4, 4]`` head frame to the camera's axes.
        orbit_deg: by how much the person's yaw grows.
    """
    turn = IMAGE_TO_HEAD @ euler_to_rotation(orbit_deg, 0.0, 0.0) @ IMAGE_TO_HEAD
    pivot = viewmat[:3, :3] @ NECK_PIVOT + viewmat[:3, 3]
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = pivot - turn @ pivot
    return matrix
