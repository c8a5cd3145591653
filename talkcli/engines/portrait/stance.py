"""A portrait for cameras that go around it: where it stands, and what it shares with its torso."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from talkcli.avatar import Camera, Stance
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.pose import orbit_matrix
from talkcli.imaging import smoothstep
from talkcli.shapes import Float32

#: Splats of less weight look like the torso beneath them.
_COLLAR_WEIGHT = 0.06


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


def fading_into_torso(splats: RestSplats) -> Float32[np.ndarray, " N"]:
    """``[N]`` opacities with which collars fade into the torso that is drawn beneath them.

    Seen from where the source was, both look the same. From elsewhere, the torso is drawn by the
    pixel and keeps its sharpness, and an edge between the two would show.
    """
    on_head = np.where(
        splats.layers == Layer.SKIN, smoothstep(splats.head_weight / _COLLAR_WEIGHT), 1
    )
    return (splats.opacities * on_head).astype(np.float32)


def camera_after(orbit_deg: float, camera: Camera) -> Camera:
    """The camera once it has gone around the person by some degrees."""
    if not orbit_deg:
        return camera
    return replace(camera, viewmat=orbit_matrix(camera.viewmat, orbit_deg) @ camera.viewmat)


def camera_position(camera: Camera) -> Float32[np.ndarray, " 3"]:
    """``[3]`` where a camera is, in the head frame."""
    view = camera.viewmat
    return np.asarray(-view[:3, :3].T @ view[:3, 3], np.float32)
