"""One picture to a portrait avatar: the steps in their order.

Follows MGGTalk's plan (depth-aware symmetric geometry, then Gaussian prediction) with an analytic
solution at every step; nothing is learned, so nothing has to be downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from talkcli.avatar.portrait import PictureFrame, PortraitAvatar
from talkcli.compose.background import background_plate
from talkcli.portrait.eyes import EyeParts, eye_parts
from talkcli.portrait.fit import fit_colors
from talkcli.portrait.front import FrontPixels, front_group, front_pixels, surface_tangents
from talkcli.portrait.geometry import HeadGeometry, head_geometry
from talkcli.portrait.mouth import mouth_frame, mouth_groups
from talkcli.portrait.neutral import neutralise
from talkcli.portrait.shell import shell_group
from talkcli.portrait.splats import Layer, SplatArrays, SplatBuilder
from talkcli.portrait.symmetry import complete_face, completion_group
from talkcli.tracking.facemodel import FaceModel
from talkcli.tracking.headfit import IMAGE_TO_HEAD, HeadPose
from talkcli.tracking.landmarks import Face, crop_rectangle
from talkcli.tracking.matte import Matte, person_matte


@dataclass(frozen=True)
class PortraitConfig:
    """What shapes a portrait avatar.

    Attributes:
        output_side: longest side of the video the avatar is made for, pixels; splats match it.
        max_crop: longest side of the head crop, pixels; bounds splats (one per pixel) and time.
        fit_iterations: steps of the colour fit.
    """

    output_side: int = 1024
    max_crop: int = 1024
    fit_iterations: int = 12


@dataclass(frozen=True)
class Crop:
    """The head's square cut from the picture, padded by replication.

    Attributes:
        rgb: ``[S, S, 3]`` float32 0–1.
        alpha: ``[S, S]`` the picture's own transparency, or None.
        points: ``[478, 3]`` landmarks in crop pixels.
        inside: x0, y0, x1, y1 of real pixels within the crop.
        frame: its place in the picture.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    points: np.ndarray
    inside: tuple[int, int, int, int]
    frame: PictureFrame


def build_portrait(
    picture: np.ndarray,
    face: Face,
    config: PortraitConfig | None = None,
    progress: Callable[[str], None] | None = None,
) -> PortraitAvatar:
    """Build the avatar of one face.

    Args:
        picture: ``[H, W, 4]`` uint8 RGBA, straight alpha.
        face: the face, in pixels of the picture.
        config: sizes and effort.
        progress: called with the name of each step as it starts.

    Returns:
        The avatar at the source's expression and pose.
    """
    config = config or PortraitConfig()
    tell = progress or (lambda _: None)
    model = FaceModel.load()
    tell("matte")
    crop = cut_crop(picture, face, config)
    matte = person_matte(
        crop.rgb, crop.points, _height(crop.points), crop.alpha, inside=crop.inside
    )
    tell("geometry")
    geometry = head_geometry(crop.points, matte.alpha, model)
    plate = background_plate(crop.rgb, matte.alpha, geometry.head_weight)
    avatar = _assemble(picture, crop, matte, geometry, plate, model, tell)
    tell("colours")
    # What the plate shows below the head must not be fitted again by faint neck splats.
    fit_colors(avatar, crop.rgb, matte.alpha, config.fit_iterations)
    return avatar


def cut_crop(picture: np.ndarray, face: Face, config: PortraitConfig) -> Crop:
    """Cut and scale the standard head crop out of a picture."""
    height, width = picture.shape[:2]
    x, y, side = (round(v) for v in crop_rectangle(face.points))
    scale = min(1.0, config.output_side / max(height, width))
    pixels = int(np.clip(round(side * scale), 192, config.max_crop))
    left, top = max(0, -x), max(0, -y)
    right, bottom = max(0, x + side - width), max(0, y + side - height)
    padded = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_REPLICATE)
    cut = padded[y + top : y + top + side, x + left : x + left + side]
    shrink = cv2.INTER_AREA if pixels < side else cv2.INTER_CUBIC
    cut = cv2.resize(np.ascontiguousarray(cut), (pixels, pixels), interpolation=shrink)
    ratio = pixels / side
    inside = (
        int(np.ceil(left * ratio)),
        int(np.ceil(top * ratio)),
        int((side - right) * ratio),
        int((side - bottom) * ratio),
    )
    transparent = bool((picture[..., 3] < 250).any())
    return Crop(
        rgb=cut[..., :3].astype(np.float32) / 255,
        alpha=cut[..., 3].astype(np.float32) / 255 if transparent else None,
        points=(face.points - (x, y, 0)) * ratio,
        inside=inside,
        frame=PictureFrame(width, height, x, y, side, pixels),
    )


def _height(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[10] - points[152]))


def _assemble(
    picture: np.ndarray,
    crop: Crop,
    matte: Matte,
    geometry: HeadGeometry,
    plate: np.ndarray,
    model: FaceModel,
    tell: Callable[[str], None],
) -> PortraitAvatar:
    tell("surface")
    pixels = front_pixels(crop.rgb, matte.alpha, geometry, model)
    # Down the neck the splats fade into the photographed torso: they must look exactly like it.
    solid = (geometry.head_weight > 0.06)[..., None]
    colors = np.where(solid, matte.foreground, crop.rgb)
    eyes = eye_parts(crop.rgb, pixels.positions, geometry)
    builder = SplatBuilder()
    builder.add(front_group(pixels, Layer.SKIN, colors, matte.alpha, geometry, model))
    _add_eyes(builder, eyes, pixels, geometry, model)
    ones = np.ones_like(matte.alpha)
    for layer in (Layer.PICTURE_TEETH, Layer.PICTURE_MOUTH):
        builder.add(front_group(pixels, layer, crop.rgb, ones, geometry, model))
    tell("completion")
    texture = complete_face(colors, geometry, model)
    builder.add(completion_group(texture, matte.alpha, geometry, model))
    builder.add(shell_group(pixels, colors, matte.alpha, geometry))
    tell("mouth")
    face = geometry.pose.to_head(geometry.vertices)
    shift, basis = neutralise(face, model)
    skin = colors[geometry.on_face & ~geometry.eye_mask() & ~geometry.mouth_mask()]
    for group in mouth_groups(mouth_frame(face + shift, shift, skin), geometry.pose):
        builder.add(group)
    splats = _to_head_frame(builder.build(), geometry.pose)
    moving = (splats.weights != 0).any(1)
    order = np.concatenate([np.flatnonzero(moving), np.flatnonzero(~moving)])
    viewmat, intrinsics = _camera(geometry)
    return PortraitAvatar(
        splats=splats.select(order),
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


def _add_eyes(
    builder: SplatBuilder,
    eyes: list[EyeParts],
    pixels: FrontPixels,
    geometry: HeadGeometry,
    model: FaceModel,
) -> None:
    ones = np.ones(pixels.layer.shape, np.float32)
    for eye in eyes:
        # The eyeball reaches a little under the lids, at the depth of the opening; it is rigid.
        around = replace(
            pixels,
            layer=np.where(eye.area, Layer.EYE, -1),
            positions=eye.surface,
            tangent_u=surface_tangents(eye.surface, axis=1),
            tangent_v=surface_tangents(eye.surface, axis=0),
            binding=np.zeros_like(pixels.binding),
        )
        builder.add(front_group(around, Layer.EYE, eye.eyeball, ones, geometry, model))
        builder.add(eye.iris)
        builder.add(eye.lid)


def _to_head_frame(splats: SplatArrays, pose: HeadPose) -> SplatArrays:
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
