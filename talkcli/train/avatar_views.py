"""The views of a pack in memory, and batches of them as a network sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from talkcli.engines.portrait.build.raster import rasterize_triangles
from talkcli.engines.splat_portrait.align import ANGLE, SIDE_CM, Alignment
from talkcli.errors import InputError
from talkcli.face.model import FaceModel
from talkcli.face.pose import NECK_PIVOT, euler_to_rotation
from talkcli.shapes import Float
from talkcli.train.distillation import KIND, MAP_PX, Drawing
from talkcli.train.packs import Record, picture_of, read_pack

#: Side of pictures in memory.
PICTURE_PX = 192
#: Channels of a view's maps: depth of first and last surface (cm), coverage, share of rotation,
#: colour of the last surface (3), place on the template (3, cm), whether it shows the face.
FRONT, BACK, ALPHA, WEIGHT, FACE = 0, 1, 2, 3, 10
TINT, PLACE = slice(4, 7), slice(7, 10)


@dataclass(frozen=True)
class AvatarView:
    """One view of an avatar.

    Attributes:
        person: whose it is.
        number: 0 the source, 1 turned, 2 turned and with another expression.
        picture: ``[3, 192, 192]`` uint8.
        maps: ``[11, 128, 128]`` float16, see the module.
        seen: where the head is in the picture; one.
        focal: focal length in sides of the picture.
        vertices: ``[478, 3]`` float32 camera frame, centimetres.
        pivot: ``[3]`` the head's centre of rotation, camera frame, centimetres.
    """

    person: str
    number: int
    picture: Tensor
    maps: Tensor
    seen: Alignment
    focal: float
    vertices: Float[np.ndarray, "478 3"]
    pivot: Float[np.ndarray, " 3"]


@dataclass(frozen=True)
class AvatarViews:
    """The views of one person, by number, and what is behind the head.

    Attributes:
        views: three of them.
        plate: ``[3, 192, 192]`` uint8 the source's picture without the head.
    """

    views: tuple[AvatarView, ...]
    plate: Tensor

    @property
    def person(self) -> str:
        """Whose they are."""
        return self.views[0].person


def load_views(pack: Path, split: str, limit: int = 0) -> list[AvatarViews]:
    """The views of a pack's people.

    Args:
        pack: a pack of avatars.
        split: ``train`` or ``held``.
        limit: at most so many people; 0 for all.

    Raises:
        InputError: no such pack, or nobody in it to train on.
    """
    model = FaceModel.load()
    found: list[AvatarViews] = []
    for record in read_pack(pack, KIND, split):
        if limit and len(found) >= limit:
            break
        found.append(_views_of(record, model))
    if not found and split == "train":
        raise InputError(f"the pack {pack} has nobody to train on", "add pictures to it")
    return found


def _views_of(record: Record, model: FaceModel) -> AvatarViews:
    views = []
    for number, facts in enumerate(record.facts["views"]):
        start = f"{number}."
        arrays = {k[len(start) :]: v for k, v in record.arrays.items() if k.startswith(start)}
        views.append(_view_of(record.facts["person"], number, facts, arrays, model))
    return AvatarViews(tuple(views), _picture(picture_of(record.arrays["plate"])))


def _view_of(
    person: str,
    number: int,
    facts: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    model: FaceModel,
) -> AvatarView:
    drawing = Drawing.unpacked(facts, arrays)
    origin, focal = drawing.origin, drawing.focal
    vertices = (drawing.vertices + origin).astype(np.float32)
    place, face = _places(vertices, focal, model)
    tint = cv2.resize(drawing.back_rgb, (MAP_PX, MAP_PX)).astype(np.float32) / 255
    planes = [
        np.stack([drawing.front, drawing.back, drawing.alpha, drawing.weight]),
        tint.transpose(2, 0, 1),
        place.transpose(2, 0, 1),
        face[None],
    ]
    yaw, pitch, roll = np.radians(drawing.euler)
    seen = Alignment(
        centre=_row([2 * focal * v / origin[2] for v in origin[:2]]),
        scale=_row(SIDE_CM * focal / origin[2])[:, 0],
        roll=_row(roll)[:, 0],
        turn=_row([yaw / ANGLE, pitch / ANGLE]),
    )
    to_camera = np.diag([1.0, -1.0, -1.0]) @ euler_to_rotation(*drawing.euler)
    return AvatarView(
        person=person,
        number=number,
        picture=_picture(drawing.rgb),
        maps=torch.from_numpy(np.concatenate(planes)).half(),
        seen=seen,
        focal=focal,
        vertices=vertices,
        pivot=origin + to_camera @ NECK_PIVOT,
    )


def _row(values: float | Sequence[float]) -> Tensor:
    return torch.tensor(np.atleast_1d(values), dtype=torch.float32)[None]


def _picture(rgb: np.ndarray) -> Tensor:
    size, way = (PICTURE_PX, PICTURE_PX), cv2.INTER_LINEAR
    if len(rgb) > PICTURE_PX:
        way = cv2.INTER_AREA
    resized = cv2.resize(rgb, size, interpolation=way)
    return torch.from_numpy(np.ascontiguousarray(resized.transpose(2, 0, 1)))


def _places(
    vertices: np.ndarray, focal: float, model: FaceModel
) -> tuple[Float[np.ndarray, "M M 3"], Float[np.ndarray, "M M"]]:
    """What point of the template every pixel shows, and whether it shows the face."""
    drawn = vertices.astype(np.float64).copy()
    drawn[:, :2] = (drawn[:, :2] / drawn[:, 2:] * focal + 0.5) * MAP_PX
    triangle, barycentric, _ = rasterize_triangles(drawn, model.triangles, MAP_PX, MAP_PX)
    on_face = triangle >= 0
    corners = model.vertices[model.triangles[np.maximum(triangle, 0)]]
    place = np.einsum("hwkd,hwk->hwd", corners, barycentric) * on_face[..., None]
    return place.astype(np.float32), on_face.astype(np.float32)


def warped(
    maps: Float[Tensor, "B 11 M M"], grid: Float[Tensor, "B h w 2"]
) -> Float[Tensor, "B 11 h w"]:
    """Maps at the points of a grid; values are means over the pixels that are covered."""
    alpha, face = maps[:, ALPHA : ALPHA + 1], maps[:, FACE:]
    own = torch.cat([maps[:, FRONT : BACK + 1], maps[:, WEIGHT : WEIGHT + 1], maps[:, TINT]], 1)
    laid = torch.cat([alpha, face, own * alpha, maps[:, PLACE] * face], 1)
    found = functional.grid_sample(laid, grid, padding_mode="zeros", align_corners=False)
    alpha, face = found[:, :1], found[:, 1:2]
    own = found[:, 2:8] / alpha.clamp_min(1e-3)
    place = found[:, 8:] / face.clamp_min(1e-3)
    return torch.cat([own[:, :2], alpha, own[:, 2:3], own[:, 3:], place, face], 1)
