"""The network's maps at the picture's own resolution: geometry, matte, back of the head."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from talkcli.engines.portrait.build.front import FrontPixels
from talkcli.engines.portrait.build.geometry import (
    HeadGeometry,
    Pinhole,
    grid_slope,
    neck_coordinates,
)
from talkcli.engines.portrait.build.groups import (
    SplatGroup,
    clamp_length,
    grid_neighbours,
    grid_tangents,
)
from talkcli.engines.portrait.build.images import at, inside_distance, nearest, unit
from talkcli.engines.portrait.build.raster import rasterize_triangles
from talkcli.engines.portrait.build.symmetry import FaceTexture
from talkcli.engines.portrait.splats import Layer
from talkcli.engines.splat_portrait.align import FOCAL, Alignment, grid_of
from talkcli.engines.splat_portrait.face_fit import FittedFace
from talkcli.engines.splat_portrait.look import look_at, look_with
from talkcli.engines.splat_portrait.network import HeadMaps, SplatPortraitNet
from talkcli.engines.splat_portrait.unet import MAP_PX
from talkcli.errors import InputError
from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.face.pose import IMAGE_TO_HEAD, HeadPose
from talkcli.imaging import disc, smoothstep
from talkcli.layers.closed_form import solve_matte
from talkcli.layers.colors import split_layers
from talkcli.layers.matte import Matte
from talkcli.shapes import Float
from talkcli.weights.registry import shipped

#: Grid step of the back of the head, in pixels of the aligned picture of 128.
_BACK_PX = 0.75
#: Steps of its grid longer than this many steps are folds, not surface.
_LONGEST = 6.0
#: Width of the rim over which the back of the head comes round to its front, centimetres.
_ROUND_CM = 4.0
#: Splats along the outline, within this share of that width, are continued to the first surface
#: in this many steps.
_WALL, _LEVELS = 0.35, 6
_COLUMNS = (
    "positions", "tangent_u", "tangent_v", "colors", "opacities", "head_weight", "weight_slope",
    "normals",
)  # fmt: skip
#: Width of the doubtful band along the matte's edge, face heights.
_BAND_FH = 0.045
#: Name of the weights that the package ships.
BUNDLED = "bundled"


@dataclass(frozen=True)
class SeenHead:
    """What the network says of one crop, at the crop's resolution.

    Attributes:
        front: ``[S, S]`` camera z of the first surface behind the head's origin, cm.
        back: ``[S, S]`` of the last one.
        alpha: ``[S, S]`` coverage as the network sees it, 0-1.
        weight: ``[S, S]`` share of the head's rotation.
        tint: ``[S, S, 3]`` colour of the last surface.
        face: the face's vertices and pose.
        distance: camera z of the head's origin, cm.
    """

    front: Float[np.ndarray, "S S"]
    back: Float[np.ndarray, "S S"]
    alpha: Float[np.ndarray, "S S"]
    weight: Float[np.ndarray, "S S"]
    tint: Float[np.ndarray, "S S 3"]
    face: FittedFace
    distance: float


@lru_cache(maxsize=2)
def network_of(weights: str) -> SplatPortraitNet:
    """The network of a setting ``splat_portrait.weights``.

    Raises:
        InputError: the file is missing, damaged or of another network.
    """
    return SplatPortraitNet.load(weights_file(weights))


def weights_file(weights: str) -> Path:
    """The file that a setting ``splat_portrait.weights`` names.

    Raises:
        InputError: there is no such file.
    """
    path = shipped("splat-portrait") if weights == BUNDLED else Path(weights)
    if not path.is_file():
        raise InputError(
            f"there are no weights {path}", "train some with: talkcli train splat-portrait"
        )
    return path


def see_head(
    rgb: Float[np.ndarray, "S S 3"],
    network: SplatPortraitNet,
    model: FaceModel,
    points: Float[np.ndarray, "478 3"] | None = None,
) -> SeenHead:
    """Find the head of a crop and its maps.

    Args:
        rgb: ``[S, S, 3]`` float32 crop, 0-1.
        network: the network.
        model: face template.
        points: ``[478, 3]`` landmarks in crop pixels; None leaves the head to the network.

    Raises:
        InputError: the network sees no face.
    """
    picture = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
    if points is None:
        looked = look_at(network, picture, model)
    else:
        looked = look_with(network, picture, points, model)
    face = looked.face
    if face is None:
        raise InputError(
            "the network sees no face in the picture", "use --engine portrait, or another picture"
        )
    lifted = _lifted(looked.maps, looked.seen, len(rgb))
    return SeenHead(
        front=lifted[0],
        back=np.maximum(lifted[1], lifted[0]),
        alpha=np.clip(lifted[2], 0, 1),
        weight=np.clip(lifted[3], 0, 1),
        tint=np.clip(lifted[4:].transpose(1, 2, 0), 0, 1),
        face=face,
        distance=float(looked.seen.distance()[0]),
    )


def _lifted(maps: HeadMaps, found: Alignment, side: int) -> Float[np.ndarray, "C S S"]:
    """Depths, coverage, weight and colour of the back at the pixels of the crop."""
    laid = torch.cat(
        [
            maps.front, maps.front + maps.thickness, torch.sigmoid(maps.alpha),
            torch.sigmoid(maps.weight), maps.back,
        ], 1,
    )  # fmt: skip
    grid = grid_of(found.inverse(), side)
    whole: Tensor = torch.nn.functional.grid_sample(
        laid, grid, mode="bicubic", padding_mode="border", align_corners=False
    )
    whole[:, 2] *= (grid.abs().amax(-1) < 1).float()
    return np.asarray(whole[0].numpy())


def head_of(seen: SeenHead, side: int, model: FaceModel) -> HeadGeometry:
    """The measured head that the builders of the portrait engine take, from the maps.

    Args:
        seen: what the network says.
        side: of the crop, pixels.
        model: face template.
    """
    camera = Pinhole(FOCAL * side, side / 2)
    ratio = camera.distance / seen.distance
    rotation = IMAGE_TO_HEAD @ seen.face.rotation
    origin = seen.face.origin * ratio - (0, 0, camera.distance)
    pose = HeadPose(ratio * seen.face.scale, rotation, origin)
    vertices = seen.face.vertices * ratio - (0, 0, camera.distance)
    landmarks = camera.project(vertices)
    drawn = np.column_stack([landmarks, vertices[:, 2]])
    triangle, barycentric, _ = rasterize_triangles(drawn, model.triangles, side, side)
    on_face = triangle >= 0
    face_distance, border = nearest(on_face)
    height = float(face_height(drawn))
    below, across = neck_coordinates(landmarks, pose, height, side)
    depth = (seen.front * ratio).astype(np.float32)
    return HeadGeometry(
        camera=camera,
        pose=pose,
        vertices=vertices,
        landmarks=landmarks,
        face_height=height,
        depth=at(depth, nearest(seen.alpha > 0.6)[1]),
        triangle=at(triangle, border),
        barycentric=at(barycentric, border),
        on_face=on_face,
        face_distance=face_distance,
        silhouette_distance=inside_distance(seen.alpha > 0.5),
        below_jaw=below,
        neck_across=np.abs(across),
        head_weight=np.where(on_face, 1, seen.weight).astype(np.float32),
        triangle_labels=model.triangle_labels,
    )


def matte_of(rgb: Float[np.ndarray, "S S 3"], alpha: np.ndarray, face_height_px: float) -> Matte:
    """The matte of a head at the picture's own edges.

    Args:
        rgb: ``[S, S, 3]`` crop.
        alpha: ``[S, S]`` as the network sees it.
        face_height_px: face height, pixels.
    """
    sharp = smoothstep((alpha - 0.25) / 0.5).astype(np.float32)
    band = disc(_BAND_FH * face_height_px)
    front = cv2.erode((alpha > 0.6).astype(np.uint8), band) > 0
    back = cv2.dilate((alpha > 0.4).astype(np.uint8), band) == 0
    start = np.where(front, 1, np.where(back, 0, sharp)).astype(np.float32)
    trust = np.full_like(alpha, 0.05)
    found = solve_matte(rgb, sharp, trust, ~(front | back), start, eps=1e-4, iterations=20)
    found = np.clip((found - 0.03) / 0.94, 0, 1).astype(np.float32)
    colors, _ = split_layers(rgb, found)
    solid = smoothstep((found - 0.95) / 0.05)[..., None]
    return Matte(found, rgb * solid + colors * (1 - solid))


def _with_wall(
    group: SplatGroup, rim: np.ndarray, ways: np.ndarray, outward: np.ndarray
) -> SplatGroup:
    """Close the gap between the two surfaces along the outline.

    Args:
        group: the last surface.
        rim: ``[k]`` which of its splats lie at the outline.
        ways: ``[k, 3]`` the way there from the first surface, pixel space.
        outward: ``[k, 2]`` direction out of the head in the picture.
    """
    parts = {name: [getattr(group, name)] for name in _COLUMNS}
    assert group.neighbours is not None and group.normals is not None
    count = len(group)
    along = np.linalg.norm(group.tangent_u[rim], axis=1, keepdims=True)
    side = np.pad(np.stack([-outward[:, 1], outward[:, 0]], 1), ((0, 0), (0, 1)))
    for share in (np.arange(_LEVELS) + 0.5) / _LEVELS:
        wall = {
            "positions": group.positions[rim] - share * ways,
            "tangent_u": np.minimum(along, 3.0) * unit(side),
            "tangent_v": ways / _LEVELS,
            "normals": unit(np.pad(outward, ((0, 0), (0, 1)))),
        }
        for name in _COLUMNS:
            parts[name].append(wall.get(name, getattr(group, name)[rim]))
    whole = {name: np.concatenate(arrays).astype(np.float32) for name, arrays in parts.items()}
    total = len(whole["positions"])
    own = np.repeat(np.arange(count, total, dtype=np.int32)[:, None], 4, 1)
    return replace(group, **whole, neighbours=np.concatenate([group.neighbours, own]))


@dataclass(frozen=True)
class BackOfHead:
    """The last surface as splats; see :data:`talkcli.engines.portrait.build.assemble.RestOfHead`.

    Attributes:
        seen: what the network says.
    """

    seen: SeenHead

    def __call__(
        self,
        pixels: FrontPixels,
        colors: np.ndarray,
        alpha: np.ndarray,
        geometry: HeadGeometry,
        texture: FaceTexture,
    ) -> SplatGroup:
        """One splat per cell of a grid over the head."""
        side = len(alpha)
        cells = int(MAP_PX / _BACK_PX)
        small = (cells, cells)

        def reduced(image: np.ndarray) -> np.ndarray:
            return np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.float32)

        # Heads are round: towards the outline, the last surface meets the first one, so that no
        # gap opens between them when the head turns.
        within = reduced(geometry.silhouette_distance) / (_ROUND_CM * geometry.pose.scale)
        share = np.sqrt(np.clip(1 - np.square(1 - np.clip(within, 0, 1)), 0, 1))
        front = reduced(geometry.depth)
        last = reduced(self.seen.back) * np.float32(geometry.camera.distance / self.seen.distance)
        depth = front + np.maximum(last - front, 0) * share
        tint = reduced(self.seen.tint)
        tint = tint + (reduced(colors) - tint) * (1 - smoothstep(within))[..., None]
        place = (np.arange(cells, dtype=np.float32) + 0.5) * (side / cells)
        grid = geometry.camera.unproject(place[None], place[:, None], depth)
        cover, weight = reduced(alpha), reduced(geometry.head_weight)
        step = _LONGEST * side / cells
        tangent_u, tangent_v = (clamp_length(t, step) for t in grid_tangents(grid))
        kept = np.flatnonzero((cover > 0.5) & (weight > 0.02))
        index = np.full(cells * cells, -1, np.int32)
        index[kept] = np.arange(len(kept), dtype=np.int32)
        around = index[grid_neighbours(cells, cells)[kept]]
        normals = unit(np.cross(tangent_u, tangent_v)).reshape(-1, 3)[kept]
        own = np.arange(len(kept), dtype=np.int32)[:, None]
        group = SplatGroup(
            layer=Layer.SHELL,
            positions=grid.reshape(-1, 3)[kept],
            tangent_u=tangent_u.reshape(-1, 3)[kept],
            tangent_v=tangent_v.reshape(-1, 3)[kept],
            colors=tint.reshape(-1, 3)[kept],
            opacities=0.97 * cover.ravel()[kept],
            head_weight=weight.ravel()[kept],
            weight_slope=grid_slope(weight).reshape(-1, 2)[kept],
            neighbours=np.where(around < 0, own, around),
            normals=normals,
        )
        at_rim = np.flatnonzero((within < _WALL).ravel() & (cover > 0.5).ravel() & (index >= 0))
        outward = np.stack([-np.gradient(within, axis=1), -np.gradient(within, axis=0)], -1)
        ways = (
            grid.reshape(-1, 3)[at_rim]
            - geometry.camera.unproject(place[None], place[:, None], front).reshape(-1, 3)[at_rim]
        )
        return _with_wall(group, index[at_rim], ways, outward.reshape(-1, 2)[at_rim])
