"""A portrait for cameras that go around it: where it stands, and what it shares with its torso."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talkcli.avatar import Camera, PictureFrame, Stance
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.pose import orbit_matrix
from talkcli.imaging import smoothstep
from talkcli.shapes import Float32

#: Splats of less weight look like the torso beneath them. Beyond the picture, those of up to the
#: first weight are not there, those from the second on are hair.
_COLLAR_WEIGHT, _BEYOND_WEIGHT = 0.06, (0.8, 1.0)
#: The neck's axis goes down from here, head frame, cm. Its back is taken from the first azimuth on,
#: in steps, degrees, from the lowest centimetre of where it is still nearly as wide as above.
_NECK_AXIS = np.array([0.0, 1.0, -3.5], np.float32)
_FROM_DEG, _STEP_DEG, _RIM_CM, _NECK_LENGTH_CM, _WIDE = 70.0, 8.0, 1.0, 5.0, 0.93
#: Hair around a neck is wider than this, and no neck is.
_WIDEST_CM = 6.6


def stance_of(splats: RestSplats, camera: Camera) -> Stance:
    """Where the body of a head stands.

    Args:
        splats: of the head, at rest.
        camera: the source's.
    """
    seen = splats.layers == Layer.SKIN
    view = camera.viewmat
    points = splats.positions[seen] @ view[:3, :3].T + view[:3, 3]
    rim, colors = _nape(splats)
    nape = (rim @ view[:3, :3].T + view[:3, 3]).astype(np.float32)
    return Stance(camera, points.astype(np.float32), splats.head_weight[seen], nape, colors)


def _nape(splats: RestSplats) -> tuple[np.ndarray, np.ndarray]:
    """The lower rim ``[k, 3]`` of the head's back in the head frame, and its colours."""
    shell = (splats.layers == Layer.SHELL) & (splats.opacities > 0.5)
    x, y, z = (splats.positions[shell] - _NECK_AXIS).T
    azimuth, wide = np.degrees(np.arctan2(x, z)) % 360, np.hypot(x, z)
    rim, colors = [], []
    for start in np.arange(_FROM_DEG, 360 - _FROM_DEG, _STEP_DEG):
        here = np.flatnonzero((azimuth >= start) & (azimuth < start + _STEP_DEG))
        if len(here) < 3:
            continue
        neck = here[y[here] < y[here].min() + _NECK_LENGTH_CM]
        radius = min(float(np.percentile(wide[neck], 80)), _WIDEST_CM)
        full = neck[wide[neck] > _WIDE * radius]
        low = full[y[full] < y[full].min() + _RIM_CM]
        angle = np.radians(start + _STEP_DEG / 2)
        rim.append((radius * np.sin(angle), y[low].min(), radius * np.cos(angle)))
        colors.append(splats.colors[shell][low].mean(0))
    if len(rim) < 2:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)
    return np.array(rim, np.float32) + _NECK_AXIS, np.clip(np.array(colors, np.float32), 0, 1)


def fading_into_torso(
    splats: RestSplats, camera: Camera, frame: PictureFrame
) -> Float32[np.ndarray, " N"]:
    """``[N]`` opacities with which collars fade into the torso that is drawn beneath them.

    Seen from where the source was, both look the same. From elsewhere, the torso is drawn by the
    pixel and keeps its sharpness, and an edge between the two would show. Nor does a neck show what
    the crop repeats beyond the edges of its picture, where the torso goes on.

    Args:
        splats: of the head, at rest.
        camera: the source's.
        frame: the crop's place in the picture.
    """
    points = splats.positions @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
    pixels = (points / points[:, 2:]) @ camera.K[:2].T * (frame.crop_side / frame.crop_pixels)
    place = pixels + np.array([frame.crop_x, frame.crop_y])
    beyond = ((place < 0) | (place > (frame.width, frame.height))).any(1)
    weight = splats.head_weight
    low, high = _BEYOND_WEIGHT
    share = smoothstep(np.where(beyond, (weight - low) / (high - low), weight / _COLLAR_WEIGHT))
    return (splats.opacities * np.where(splats.layers == Layer.SKIN, share, 1)).astype(np.float32)


def camera_after(orbit_deg: float, camera: Camera) -> Camera:
    """The camera once it has gone around the person by some degrees."""
    if not orbit_deg:
        return camera
    return replace(camera, viewmat=orbit_matrix(camera.viewmat, orbit_deg) @ camera.viewmat)


def camera_position(camera: Camera) -> Float32[np.ndarray, " 3"]:
    """``[3]`` where a camera is, in the head frame."""
    view = camera.viewmat
    return np.asarray(-view[:3, :3].T @ view[:3, 3], np.float32)
