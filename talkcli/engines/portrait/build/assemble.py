"""Puts the parts of a head together: seen surface, eyes, completion, mouth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from talkcli.engines.portrait.avatar import PortraitAvatar
from talkcli.engines.portrait.build.crop import Crop
from talkcli.engines.portrait.build.eyes import EyeParts, eye_parts
from talkcli.engines.portrait.build.front import (
    FrontPixels,
    front_group,
    front_pixels,
    surface_tangents,
)
from talkcli.engines.portrait.build.geometry import HeadGeometry
from talkcli.engines.portrait.build.glasses import frame_depth, glasses_frame, without_frame
from talkcli.engines.portrait.build.groups import SplatBuilder, SplatGroup
from talkcli.engines.portrait.build.images import window
from talkcli.engines.portrait.build.lip_rim import lips_without_teeth
from talkcli.engines.portrait.build.mouth import mouth_frame, mouth_groups
from talkcli.engines.portrait.build.neutral import neutralise
from talkcli.engines.portrait.build.own_teeth import SeenTeeth, row_of_teeth
from talkcli.engines.portrait.build.shades import EYE_SHAPES, behind_shades
from talkcli.engines.portrait.build.shell import shell_group
from talkcli.engines.portrait.build.symmetry import FaceTexture, complete_face, completion_group
from talkcli.engines.portrait.splats import Layer, RestSplats
from talkcli.face.model import FaceModel
from talkcli.face.pose import IMAGE_TO_HEAD, HeadPose
from talkcli.layers.matte import Matte
from talkcli.shapes import Int32

#: Makes the splats of a head that its picture does not show, beside those of the face: from the
#: front pixels, the foreground's colours, the matte, the measured head and the completed face.
RestOfHead = Callable[[FrontPixels, np.ndarray, np.ndarray, HeadGeometry, FaceTexture], SplatGroup]

#: Hairs that cover less are left out.
_FAINT = 0.02


@dataclass(frozen=True)
class Assembly:
    """An avatar before its colour fit.

    Attributes:
        avatar: colours as photographed.
        pixels: ``[N, 2]`` int32 row and column of the crop that each splat came from, or -1.
    """

    avatar: PortraitAvatar
    pixels: Int32[np.ndarray, "N 2"]


def assemble_avatar(
    picture: np.ndarray,
    crop: Crop,
    matte: Matte,
    geometry: HeadGeometry,
    plate: np.ndarray,
    model: FaceModel,
    neutral: tuple[np.ndarray, np.ndarray] | None = None,
    rest: RestOfHead = shell_group,
) -> Assembly:
    """Build the whole avatar except for the colour fit.

    Args:
        picture: ``[H, W, 4]`` uint8, kept with the avatar.
        crop: the head's square.
        matte: matte of the crop.
        geometry: the measured head.
        plate: ``[S, S, 3]`` the crop without the head.
        model: face template.
        neutral: the result of ``neutralise`` for this face, if already known.
        rest: makes the splats of hair, ears and back that the source does not show.
    """
    builder = SplatBuilder()
    # Down the neck, the splats fade into the photographed torso and must look exactly like it.
    solid = (geometry.head_weight > 0.06)[..., None]
    colors = np.where(solid, matte.foreground, crop.rgb)
    hidden = behind_shades(crop.rgb, geometry)
    colors, eyes, teeth = _add_surface(builder, crop, matte, colors, geometry, model, rest, hidden)
    face = geometry.pose.to_head(geometry.vertices)
    shift, basis = neutral or neutralise(face, model)
    if hidden:
        basis = basis.copy()
        basis[EYE_SHAPES] = 0
    skin = colors[geometry.on_face & ~geometry.eye_mask() & ~geometry.mouth_mask()]
    enlarged = crop.frame.crop_pixels / crop.frame.crop_side
    mouth = mouth_frame(face + shift, shift, skin, enlarged)
    for group in mouth_groups(mouth, geometry.pose, teeth):
        builder.add(group)
    splats = _to_head_frame(builder.build(), geometry.pose)
    moving = _moving(splats)
    order = np.concatenate([np.flatnonzero(moving), np.flatnonzero(~moving)])
    viewmat, intrinsics = _camera(geometry)
    splats = splats.select(order)
    avatar = PortraitAvatar(
        splats=splats,
        dynamic=int(moving.sum()),
        vertices=face.astype(np.float32),
        neutral_shift=shift.astype(np.float32),
        basis=basis.astype(np.float32),
        eye_centres=geometry.pose.to_head(np.stack([e.centre for e in eyes])).astype(np.float32),
        rotation=geometry.pose.rotation,
        viewmat=viewmat,
        K=intrinsics,
        frame=crop.frame,
        source=picture,
        plate=plate.astype(np.float32),
    )
    return Assembly(avatar, builder.pixels()[order])


def _add_surface(
    builder: SplatBuilder,
    crop: Crop,
    matte: Matte,
    colors: np.ndarray,
    geometry: HeadGeometry,
    model: FaceModel,
    rest: RestOfHead,
    hidden: bool,
) -> tuple[np.ndarray, list[EyeParts], SeenTeeth | None]:
    """Add everything but the inside of the mouth.

    Args:
        builder: receives the groups.
        crop: the head's square.
        matte: matte of the crop.
        colors: ``[S, S, 3]`` colours of the person without the background.
        geometry: the measured head.
        model: face template.
        rest: makes the splats that the source does not show.
        hidden: the eyes are behind dark lenses, which are a part of the surface then.

    Returns:
        The colours without glasses, both eyes, and the teeth that the picture shows.
    """
    pixels = front_pixels(crop.rgb, matte.alpha, geometry, model)
    if hidden:
        shown = np.where(pixels.layer == Layer.EYE, np.int8(Layer.SKIN), pixels.layer)
        pixels = replace(pixels, layer=shown)
    ones, rgb = np.ones_like(matte.alpha), crop.rgb
    glasses = glasses_frame(rgb, geometry)
    if glasses.any():
        before = geometry.surface(frame_depth(pixels.positions[..., 2], glasses, geometry))
        worn = glasses & (pixels.layer == Layer.SKIN)
        frame = _rigid(pixels, Layer.GLASSES, worn, before.astype(np.float32))
        builder.add(front_group(frame, Layer.GLASSES, colors, ones, geometry, model))
        colors, rgb = (without_frame(image, glasses) for image in (colors, rgb))
    eyes = eye_parts(rgb, pixels.positions, geometry)
    teeth, opening = row_of_teeth(crop.rgb, geometry), geometry.mouth_mask()
    colors = lips_without_teeth(
        colors, teeth=teeth, mouth=opening,
        lip_side=pixels.lip_side, on_face=geometry.on_face, face_height=geometry.face_height,
    )  # fmt: skip
    builder.add(front_group(pixels, Layer.SKIN, colors, matte.alpha, geometry, model))
    if matte.strands is not None:
        tint, cover = matte.strands[..., :3], matte.strands[..., 3]
        hairs = replace(pixels, layer=np.where(cover > _FAINT, Layer.SKIN, -1).astype(np.int8))
        builder.add(front_group(hairs, Layer.SKIN, tint, cover, geometry, model))
    if not hidden:
        _add_eyes(builder, eyes, pixels, geometry, model)
    builder.add(front_group(pixels, Layer.PICTURE_MOUTH, crop.rgb, ones, geometry, model))
    texture = complete_face(colors, matte.alpha, pixels.contour_trust, geometry, model)
    builder.add(completion_group(texture))
    builder.add(rest(pixels, colors, matte.alpha, geometry, texture))
    seen = SeenTeeth(crop.rgb, teeth, opening, geometry.camera) if teeth.any() else None
    return colors, eyes, seen


def _moving(splats: RestSplats) -> np.ndarray:
    """``[n]`` bool: splats that expressions move, and their neighbours, whose tangents change.

    Neighbours outside this set are replaced by the splat itself, so that moving splats refer only
    to moving ones.
    """
    bound = (splats.weights != 0).any(1)
    moving = bound.copy()
    moving[splats.neighbours[bound]] = True
    own = np.arange(len(moving), dtype=splats.neighbours.dtype)[:, None]
    splats.neighbours = np.where(moving[splats.neighbours], splats.neighbours, own)
    return moving


def _add_eyes(
    builder: SplatBuilder,
    eyes: list[EyeParts],
    pixels: FrontPixels,
    geometry: HeadGeometry,
    model: FaceModel,
) -> None:
    ones = np.ones(pixels.layer.shape, np.float32)
    for eye in eyes:
        # The eyeball is rigid and extends a little under the lids, at the depth of the opening.
        around = _rigid(pixels, Layer.EYE, eye.area, eye.surface)
        builder.add(front_group(around, Layer.EYE, eye.eyeball, ones, geometry, model))
        builder.add(eye.iris)
        builder.add(eye.lid)
        builder.add(eye.lashes)


def _rigid(pixels: FrontPixels, layer: Layer, area: np.ndarray, surface: np.ndarray) -> FrontPixels:
    """The pixels of ``area [S, S]`` at ``surface [S, S, 3]``, which no expression moves."""
    box = window(area, 2)
    tangent_u, tangent_v = np.zeros_like(surface), np.zeros_like(surface)
    if area.any():
        tangent_u[box] = surface_tangents(surface[box], axis=1)
        tangent_v[box] = surface_tangents(surface[box], axis=0)
    return replace(
        pixels,
        layer=np.where(area, np.int8(layer), np.int8(-1)),
        positions=surface,
        tangent_u=tangent_u,
        tangent_v=tangent_v,
        binding=np.zeros_like(pixels.binding),
    )


def _to_head_frame(splats: RestSplats, pose: HeadPose) -> RestSplats:
    turn = (IMAGE_TO_HEAD @ pose.rotation).astype(np.float32)
    splats.positions = pose.to_head(splats.positions).astype(np.float32)
    splats.tangent_u = splats.tangent_u @ turn / np.float32(pose.scale)
    splats.tangent_v = splats.tangent_v @ turn / np.float32(pose.scale)
    splats.normals = splats.normals @ turn
    return splats


def _camera(geometry: HeadGeometry) -> tuple[np.ndarray, np.ndarray]:
    """``viewmat [4, 4]`` and ``K [3, 3]`` of the source camera, world = head frame in cm."""
    pose, camera = geometry.pose, geometry.camera
    viewmat = np.eye(4)
    viewmat[:3, :3] = IMAGE_TO_HEAD @ pose.rotation
    viewmat[:3, 3] = (pose.shift + np.array([0, 0, camera.distance])) / pose.scale
    intrinsics = np.array(
        [[camera.distance, 0, camera.centre], [0, camera.distance, camera.centre], [0, 0, 1]]
    )
    return viewmat, intrinsics
