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


def stance_of(splats: RestSplats, camera: Camera) -> Stance:
    """Where the body of a head stands.

    Args:
        splats: of the head, at rest.
        camera: the source's.
    """
    seen = splats.layers == Layer.SKIN
    view = camera.viewmat
    points = splats.positions[seen] @ view[:3, :3].T + view[:3, 3]
    return Stance(camera, points.astype(np.float32), splats.head_weight[seen])


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
