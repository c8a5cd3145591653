"""One picture through the network, thrice: what its maps show of the pose betters the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkcli.engines.splat_portrait.align import ANGLE, FOCAL, SIDE_CM, Alignment, grid_of, sample
from talkcli.engines.splat_portrait.face_fit import FittedFace, fit_face
from talkcli.engines.splat_portrait.network import HeadMaps, SplatPortraitNet
from talkcli.engines.splat_portrait.unet import MAP_PX
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD, fit_pose, rotation_to_euler
from talkcli.face.topology import RIGID
from talkcli.shapes import Float

#: How often the network sees a picture.
_LOOKS = 3
#: The turn that a network is told is at most this, in units of 45 degrees.
_MOST_TURN = 1.3
#: By how much the maps move a landmark in depth, beyond the median of all, centimetres.
_STEP_CM = 0.8


@dataclass(frozen=True)
class LookedAt:
    """What the network says of one picture.

    Attributes:
        maps: in the aligned square.
        seen: where that lies in the picture, and how the head was said to be turned.
        face: what the maps show; None if that is no face.
    """

    maps: HeadMaps
    seen: Alignment
    face: FittedFace | None

    @property
    def euler(self) -> tuple[float, float, float]:
        """Yaw, pitch, roll of the head in degrees, from the maps where they show a face."""
        if self.face is None:
            yaw, pitch = (self.seen.turn[0] * np.degrees(ANGLE)).tolist()
            return float(yaw), float(pitch), float(np.degrees(self.seen.roll[0].item()))
        return rotation_to_euler(IMAGE_TO_HEAD @ self.face.rotation)


def look_at(
    network: SplatPortraitNet,
    picture: Float[Tensor, "1 3 S S"],
    model: FaceModel,
    known: Alignment | None = None,
) -> LookedAt:
    """Find the head of a picture, and its maps.

    Args:
        network: in its evaluation mode.
        picture: ``[1, 3, S, S]`` crop, 0-1.
        model: face template.
        known: where the head is; None lets the network find it.
    """
    looks = 1 if known is not None else _LOOKS
    with torch.no_grad():
        seen = network.find(picture) if known is None else known
        for number in range(looks):
            maps = _maps_of(network, picture, seen)
            looked = LookedAt(maps, seen, _face_of(maps, seen, model))
            if looked.face is None:
                break
            if number < looks - 1:
                seen = _where(looked.face, seen)
    return looked


def look_with(
    network: SplatPortraitNet,
    picture: Float[Tensor, "1 3 S S"],
    points: Float[np.ndarray, "478 3"],
    model: FaceModel,
) -> LookedAt:
    """The maps of a picture whose landmarks are known; these lie on the surface of the maps.

    Args:
        network: in its evaluation mode.
        picture: ``[1, 3, S, S]`` crop, 0-1.
        points: ``[478, 3]`` landmarks in its pixels, FaceMesh depth.
        model: face template.
    """
    side = picture.shape[-1]
    distance = FOCAL * side
    scaled = points * (1.0, 1.0, DEPTH_SCALE)
    scaled[:, 2] -= scaled[list(RIGID), 2].mean()
    depth = scaled[:, 2:] + distance
    space = np.concatenate([(scaled[:, :2] - side / 2) * depth / distance, scaled[:, 2:]], 1)
    pose = fit_pose(space, model.vertices)
    to_camera = np.array([0.0, 0.0, distance])
    origin = (pose.shift + to_camera) / pose.scale
    rotation = IMAGE_TO_HEAD @ pose.rotation
    none = torch.zeros(1)
    seen = Alignment(torch.zeros(1, 2), none + SIDE_CM * FOCAL / origin[2], none, torch.zeros(1, 2))
    vertices = (space + to_camera) / pose.scale
    seen = _where(FittedFace(vertices, rotation, 1.0, origin), seen)
    with torch.no_grad():
        maps = _maps_of(network, picture, seen)
        place = torch.from_numpy((points[:, :2] / side * 2 - 1).astype(np.float32))
        there = place @ seen.inverse()[0, :, :2].T + seen.inverse()[0, :, 2]
        found = sample(maps.front, there[None, None])[0, 0, 0].numpy()
    apart = found + origin[2] - vertices[:, 2]
    middle = float(np.median(apart[list(RIGID)]))
    # Vertices that are hidden, or at the rim, are not on the surface that their pixel shows.
    moved = vertices[:, 2] + np.clip(apart, middle - _STEP_CM, middle + _STEP_CM)
    vertices = vertices * (moved / vertices[:, 2])[:, None]
    return LookedAt(maps, seen, FittedFace(vertices, rotation, 1.0, origin))


def _maps_of(network: SplatPortraitNet, picture: Tensor, seen: Alignment) -> HeadMaps:
    side = 2 * MAP_PX
    small = functional.interpolate(picture, size=(side, side), mode="bilinear", antialias=True)
    aligned = functional.avg_pool2d(sample(small, grid_of(seen.matrix(), side)), 2)
    maps: HeadMaps = network(aligned, seen)
    return maps


def _where(face: FittedFace, seen: Alignment) -> Alignment:
    """Where a fitted face says that the head is.

    Not its size: measured on the avatars' own maps, that of the face varies by 5.7 % for one of the
    head, as much as heads in their crops do; the place is right to 3 mm, the yaw to 1.5 degrees.
    """
    yaw, pitch, roll = np.radians(rotation_to_euler(IMAGE_TO_HEAD @ face.rotation))
    turn = np.clip(np.array([[yaw, pitch]]) / ANGLE, -_MOST_TURN, _MOST_TURN)
    centre = 2 * FOCAL * face.origin[None, :2] / face.origin[2]
    device = seen.scale.device
    return Alignment(
        torch.from_numpy(centre.astype(np.float32)).to(device),
        seen.scale,
        torch.full_like(seen.roll, float(roll)),
        torch.from_numpy(turn.astype(np.float32)).to(device),
    )


def _face_of(maps: HeadMaps, seen: Alignment, model: FaceModel) -> FittedFace | None:
    depth = seen.distance()[0] + maps.front[0, 0]
    rays = grid_of(seen.matrix(), MAP_PX)[0] * (0.5 / FOCAL)
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], -1) * depth[..., None]
    share = torch.sigmoid(maps.face) * (maps.alpha > 0)
    places = maps.place[0].permute(1, 2, 0)
    return fit_face(
        points.reshape(-1, 3).cpu().numpy(),
        places.reshape(-1, 3).cpu().numpy(),
        share.ravel().cpu().numpy(),
        model,
    )
