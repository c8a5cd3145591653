"""Depth of every pixel of the head crop: the measured face and an inflated head around it.

Working frame ("pixel space"): camera axes (x right, y down, z away) in crop pixels, origin on the
optical axis at the face's depth; the camera is ``distance`` in front of it, so that a point
``(x, y, z)`` appears at ``centre + (x, y) · distance / (distance + z)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from talkcli.engines.portrait.build.hanging import HangingHair, hanging_hair
from talkcli.engines.portrait.build.images import (
    at,
    blur,
    dilate,
    distance_to,
    inside_distance,
    nearest,
)
from talkcli.engines.portrait.build.raster import rasterize_triangles
from talkcli.face.measures import face_height
from talkcli.face.model import FaceModel
from talkcli.face.pose import DEPTH_SCALE, IMAGE_TO_HEAD, HeadPose, fit_pose
from talkcli.face.topology import CHIN_TIP, EARS, EYE_OPENING, JAW_LINE, MOUTH_OPENING, RIGID
from talkcli.imaging import smoothstep
from talkcli.shapes import Bool, Float, Integer

#: Camera distance in face heights: a portrait lens at 1.1 m; nearer cameras exaggerate noses.
CAMERA_DISTANCE_FH = 6.0
#: Centre of the head behind the ears, head frame (cm): the silhouette of the hair is at its depth.
_SILHOUETTE_POINT = (0.0, 2.0, -3.2)
#: Exponent of the superellipse from the face's border to the silhouette; 2 is an ellipse.
_ROUNDNESS = 1.7
#: Where a neck is widest, head frame (cm): its outline is at that depth.
_NECK_POINT = (0.0, -11.0, -3.5)
#: The unit of distances from the neck's axis: half of a wide neck.
HALF_NECK_CM = 6.5
#: Tip of the nose; cheeks and wings beside it; half of its width, cm.
_NOSE_TIP, _NOSE_BASE, _NOSE_CM = 4, (116, 345, 117, 346, 98, 327), 1.6
#: Half the width of the band that joins the face's mesh to its surroundings.
_RIM_FH = 0.03


@dataclass(frozen=True)
class Pinhole:
    """The source camera in pixel space."""

    distance: float
    centre: float

    def unproject(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Convert pixel coordinates and depth to pixel-space points ``[..., 3]``."""
        scale = (z + self.distance) / self.distance
        points = np.empty((*np.broadcast_shapes(np.shape(x), np.shape(y), z.shape), 3), z.dtype)
        points[..., 0] = (x - self.centre) * scale
        points[..., 1] = (y - self.centre) * scale
        points[..., 2] = z
        return points

    def project(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 2"]:
        """Convert pixel-space points ``[..., 3]`` to pixel coordinates ``[..., 2]``."""
        scale = self.distance / (self.distance + points[..., 2])
        projected = np.empty((*points.shape[:-1], 2), points.dtype)
        for axis in (0, 1):
            projected[..., axis] = points[..., axis] * scale + self.centre
        return projected


@dataclass(frozen=True)
class HeadGeometry:
    """The head in the square crop (side S), pixel by pixel.

    Attributes:
        camera: source camera.
        pose: head pose in pixel space; ``pose.scale`` is pixels per centimetre.
        vertices: ``[478, 3]`` landmarks in pixel space.
        landmarks: ``[478, 2]`` landmarks in crop pixels.
        face_height: distance from forehead to chin, pixels.
        depth: ``[S, S]`` z of the visible surface.
        triangle: ``[S, S]`` face triangle shown; outside the face, that of the nearest face pixel.
        barycentric: ``[S, S, 3]`` barycentric coordinates in that triangle.
        on_face: ``[S, S]`` bool, inside the landmark mesh.
        face_distance: ``[S, S]`` distance to the mesh in pixels, 0 inside.
        silhouette_distance: ``[S, S]`` distance to the matte's edge from within, pixels.
        below_jaw: ``[S, S]`` signed distance below the jaw line in face heights.
        neck_across: ``[S, S]`` distance from the neck's axis in half neck widths.
        head_weight: ``[S, S]`` 1 on the head, fading to 0 down the neck.
        triangle_labels: ``[898]`` skin, eye opening or mouth opening.
        hair_falls_fh: how far hair falls below the jaw beside the neck, face heights.
    """

    camera: Pinhole
    pose: HeadPose
    vertices: Float[np.ndarray, "478 3"]
    landmarks: Float[np.ndarray, "478 2"]
    face_height: float
    depth: Float[np.ndarray, "S S"]
    triangle: Integer[np.ndarray, "S S"]
    barycentric: Float[np.ndarray, "S S 3"]
    on_face: Bool[np.ndarray, "S S"]
    face_distance: Float[np.ndarray, "S S"]
    silhouette_distance: Float[np.ndarray, "S S"]
    below_jaw: Float[np.ndarray, "S S"]
    neck_across: Float[np.ndarray, "S S"]
    head_weight: Float[np.ndarray, "S S"]
    triangle_labels: Integer[np.ndarray, " T"]
    hair_falls_fh: float = 0.0

    @property
    def pixel_x(self) -> np.ndarray:
        """``[1, S]`` x of pixel centres."""
        return np.arange(self.depth.shape[1], dtype=np.float32)[None] + 0.5

    @property
    def pixel_y(self) -> np.ndarray:
        """``[S, 1]`` y of pixel centres."""
        return np.arange(self.depth.shape[0], dtype=np.float32)[:, None] + 0.5

    @cached_property
    def weight_slope(self) -> Float[np.ndarray, "S S 2"]:
        """``[S, S, 2]`` change of ``head_weight`` per pixel to the right and down."""
        return grid_slope(self.head_weight)

    def surface(self, depth: Float[np.ndarray, "S S"]) -> Float[np.ndarray, "S S 3"]:
        """``[S, S, 3]`` pixel-space points of all pixels at the depth ``[S, S]``."""
        return self.camera.unproject(self.pixel_x, self.pixel_y, depth)

    def pixels_of(self, points: Float[np.ndarray, "*n 3"]) -> Integer[np.ndarray, "*n"]:
        """``[...]`` flat indices of the pixels that show pixel-space points ``[..., 3]``.

        Points outside the picture get the nearest pixel at its border.
        """
        last = np.float32(len(self.depth) - 1)
        place = np.clip(self.camera.project(points), 0, last).astype(np.int32)
        return np.asarray(place[..., 1] * np.int32(len(self.depth)) + place[..., 0])

    def in_picture(self, points: Float[np.ndarray, "*n 3"]) -> Bool[np.ndarray, "*n"]:
        """``[...]`` bool: pixel-space points ``[..., 3]`` that a pixel of the crop shows."""
        place = self.camera.project(points)
        inside = (place >= 0) & (place < len(self.depth))
        return np.asarray(inside[..., 0] & inside[..., 1])

    def label_mask(self, label: int) -> Bool[np.ndarray, "S S"]:
        """``[S, S]`` bool: face pixels whose triangle has the label ``label``."""
        return np.asarray(self.on_face & (self.triangle_labels[self.triangle] == label))

    def eye_mask(self) -> Bool[np.ndarray, "S S"]:
        """``[S, S]`` bool: eye openings."""
        return self.label_mask(EYE_OPENING)

    def mouth_mask(self) -> Bool[np.ndarray, "S S"]:
        """``[S, S]`` bool: mouth opening."""
        return self.label_mask(MOUTH_OPENING)


def grid_slope(values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W 2"]:
    """``[H, W, 2]`` change of ``[H, W]`` values per grid step to the right and down."""
    return np.stack([np.gradient(values, axis=1), np.gradient(values, axis=0)], -1)


def place_landmarks(
    points: Float[np.ndarray, "478 3"],
    size: int,
    model: FaceModel,
    depth_scale: float = DEPTH_SCALE,
) -> tuple[Pinhole, HeadPose, Float[np.ndarray, "478 3"]]:
    """Derive camera, head pose and pixel-space landmarks from the crop's FaceMesh points.

    Args:
        points: ``[478, 3]`` crop pixels, FaceMesh depth.
        size: side of the crop in pixels.
        model: face template.
        depth_scale: factor on FaceMesh's depth.
    """
    scaled = points * (1.0, 1.0, depth_scale)
    scaled[:, 2] -= scaled[list(RIGID), 2].mean()
    height = float(face_height(points))
    camera = Pinhole(CAMERA_DISTANCE_FH * height, size / 2)
    vertices = camera.unproject(scaled[:, 0], scaled[:, 1], scaled[:, 2])
    pose = fit_pose(vertices, model.vertices)
    scaled[:, 2] += pose.scale * _nose_excess(pose, vertices, model.vertices)
    return camera, pose, camera.unproject(scaled[:, 0], scaled[:, 1], scaled[:, 2])


def _nose_excess(pose: HeadPose, vertices: np.ndarray, template: np.ndarray) -> np.ndarray:
    """``[478]`` cm by which a long nose is moved away from the camera.

    How far a nose stands off is FaceMesh's guess times a depth scale that suits the whole face: the
    mean of it and the template's is nearer to the truth. What a turned head shows of it is kept.
    """
    heads = pose.to_head(vertices), template
    base = [head[list(_NOSE_BASE), 2].mean() for head in heads]
    stands_off = [head[_NOSE_TIP, 2] - z for head, z in zip(heads, base, strict=True)]
    excess = 0.5 * max(0.0, float(stands_off[0] - stands_off[1]))
    x, y = (template - template[_NOSE_TIP])[:, :2].T
    share = np.clip((template[:, 2] - base[1]) / stands_off[1], 0, 1)
    share *= np.exp(-((x / _NOSE_CM) ** 2)) * smoothstep((y + 2.0) / 1.2) * smoothstep((5 - y) / 2)
    facing = (IMAGE_TO_HEAD @ pose.rotation)[2, 2]
    return np.asarray(excess * share * facing**2)


def head_geometry(
    points: Float[np.ndarray, "478 3"],
    alpha: Float[np.ndarray, "S S"],
    model: FaceModel,
    depth_scale: float = DEPTH_SCALE,
    rgb: Float[np.ndarray, "S S 3"] | None = None,
) -> HeadGeometry:
    """Measure the head in a crop.

    Args:
        points: ``[478, 3]`` FaceMesh landmarks in crop pixels.
        alpha: ``[S, S]`` float32 matte of the person.
        model: face template.
        depth_scale: factor on FaceMesh's depth.
        rgb: ``[S, S, 3]`` the crop, to tell hair that turns with the head; None where that does
            not matter.
    """
    size = len(alpha)
    camera, pose, vertices = place_landmarks(points, size, model, depth_scale)
    face_height = camera.distance / CAMERA_DISTANCE_FH
    drawn = np.column_stack([points[:, :2], vertices[:, 2]])
    triangle, barycentric, face_depth = rasterize_triangles(drawn, model.triangles, size, size)
    on_face = triangle >= 0
    face_distance, border = nearest(on_face)
    inside = inside_distance(alpha > 0.5)
    below_jaw, across = neck_coordinates(points, pose, face_height, size)
    border_depth = at(face_depth, border)
    outside = _inflated_depth(border_depth, face_distance, inside, pose)
    neck = _neck_depth(border_depth, vertices, below_jaw, across, inside, pose, face_height)
    blend = smoothstep((below_jaw + 0.05) / 0.22)
    depth = np.where(on_face, face_depth, outside * (1 - blend) + neck * blend)
    depth = _smoothed(depth.astype(np.float32), on_face, face_height)
    depth = _solid_rim(depth, alpha)
    weight = 1 - smoothstep(below_jaw / 0.55)
    hair = HangingHair(np.zeros_like(alpha), 0.0)
    if rgb is not None:
        hair = hanging_hair(rgb, alpha, below_jaw, across, face_distance, face_height)
        weight = np.maximum(weight, hair.free)
    weight = blur(np.where(on_face, 1, weight), 3.0)
    return HeadGeometry(
        camera=camera,
        pose=pose,
        vertices=vertices,
        landmarks=points[:, :2],
        face_height=face_height,
        depth=depth,
        triangle=at(triangle, border),
        barycentric=at(barycentric, border),
        on_face=on_face,
        face_distance=face_distance,
        silhouette_distance=inside,
        below_jaw=below_jaw,
        neck_across=np.abs(across),
        head_weight=np.where(on_face, 1, weight).astype(np.float32),
        triangle_labels=model.triangle_labels,
        hair_falls_fh=hair.falls_fh,
    )


def picture_axes(pose: HeadPose) -> tuple[Float[np.ndarray, " 2"], Float[np.ndarray, " 2"]]:
    """Where the head's down and its right hand side (as seen) point in the picture, unit length."""
    down = (IMAGE_TO_HEAD @ pose.rotation @ (0.0, -1.0, 0.0))[:2]
    down = down / np.linalg.norm(down)
    return down, np.array([down[1], -down[0]])


def neck_coordinates(
    points: Float[np.ndarray, "478 k"], pose: HeadPose, face_height: float, size: int
) -> tuple[Float[np.ndarray, "S S"], Float[np.ndarray, "S S"]]:
    """How far below the jaw, and how far from the neck's axis, every pixel lies.

    Args:
        points: ``[478, 2]`` or more columns, landmarks in crop pixels.
        pose: pose of the head.
        face_height: pixels.
        size: side of the crop, pixels.

    Returns:
        ``[S, S]`` distance below the jaw's line in face heights, and from the chin's axis in half
        neck widths; both have signs.
    """
    down, right = picture_axes(pose)
    x = np.arange(size) + 0.5
    y = x[:, None]
    along, sideways = x * down[0] + y * down[1], x * right[0] + y * right[1]
    jaw = points[list(JAW_LINE), :2]
    jaw_x, jaw_y = jaw @ right, jaw @ down
    order = np.argsort(jaw_x)
    line = np.interp(sideways, jaw_x[order], jaw_y[order])
    half_neck = HALF_NECK_CM * pose.scale
    below = (along - line) / face_height
    across = (sideways - points[CHIN_TIP, :2] @ right) / half_neck
    return below.astype(np.float32), across.astype(np.float32)


def _inflated_depth(
    border_depth: np.ndarray,
    to_face: np.ndarray,
    to_silhouette: np.ndarray,
    pose: HeadPose,
) -> np.ndarray:
    """Depth of a superellipse from the face's border to the silhouette: hair, ears, hats."""
    silhouette = float(pose.to_image(np.array(_SILHOUETTE_POINT))[2])
    span = blur(to_face + to_silhouette, 4.0)
    target = border_depth + np.minimum(silhouette - border_depth, 1.8 * span)
    t = to_face / (to_face + to_silhouette + 1e-3)
    profile = 1 - np.clip(1 - t**_ROUNDNESS, 0, 1) ** (1 / _ROUNDNESS)
    return np.asarray(border_depth + (target - border_depth) * profile)


def _neck_depth(
    border_depth: np.ndarray,
    vertices: np.ndarray,
    below_jaw: np.ndarray,
    across: np.ndarray,
    to_silhouette: np.ndarray,
    pose: HeadPose,
    face_height: float,
) -> np.ndarray:
    """Depth of a neck that lies behind the chin and curves back to its axis at its outline.

    An outline that lies further in front swings inwards when the head turns, and leaves a lobe
    before 2 to 3 cm of completed neck, where a round neck shows half a centimetre.
    """
    chin, ears = float(vertices[CHIN_TIP, 2]), float(vertices[list(EARS), 2].mean())
    front = chin + 0.42 * (ears - chin)
    profile = front + (ears - front) * np.clip(np.abs(across), 0, 1) ** 2
    underside = 1 - np.exp(-np.clip(below_jaw, 0, None) / 0.07)
    depth = border_depth + (profile - border_depth) * underside
    axis = float(pose.to_image(np.array(_NECK_POINT))[2])
    half = np.abs(across) * HALF_NECK_CM * pose.scale
    t = half / (half + to_silhouette + 1e-3)
    round_ = 1 - np.sqrt(np.clip(1 - t**2, 0, 1))
    return np.asarray(np.maximum(depth, front + (axis - front) * round_))


def _smoothed(depth: np.ndarray, on_face: np.ndarray, face_height: float) -> np.ndarray:
    """Smooth outside the face; inside, remove facets but keep occlusions (nose, lips) sharp.

    The mesh ends edge-on, 10 or more pixels deep per pixel, and its surroundings begin flat. The
    groove between them would tear hair and cheek apart when the head turns.
    """
    smooth = depth
    for _ in range(30):
        smooth = blur(smooth, 2.0)
        np.copyto(smooth, depth, where=on_face)
    gradient = np.maximum(np.abs(np.gradient(depth, axis=0)), np.abs(np.gradient(depth, axis=1)))
    occlusion = dilate((gradient > 3) & on_face, 2)
    smooth = np.where(on_face & ~occlusion, blur(smooth, 1.5), smooth)
    rim = distance_to(~on_face) + distance_to(on_face) < _RIM_FH * face_height
    for _ in range(8):
        smooth = np.where(rim, blur(smooth, 0.3 * _RIM_FH * face_height), smooth)
    return smooth


def _solid_rim(depth: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give half-transparent rim pixels the depth of the nearest solid pixel.

    At their own inflated depth they would swing out as bright crescents when the head turns.
    """
    solid = alpha > 0.9
    return at(depth, nearest(solid)[1])
